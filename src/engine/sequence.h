#pragma once
// One output of a request inside the engine: its tokens, its pages, and how its next token is chosen.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/generation.h"
#include "engine/page_pool.h"

namespace octavo::engine {

struct Sequence {
  std::shared_ptr<Generation> generation;            // null once it has ended
  std::shared_ptr<const GenerationRequest> request;  // without its prompt
  int32_t output = 0;
  SamplingConfig sampling;  // with this output's seed
  std::unique_ptr<LogitsMask> mask;
  uint64_t arrival = 0;
  int64_t n_prompt = 0, max_tokens = 0;
  std::vector<int32_t> tokens;                      // prompt and output
  std::vector<std::unique_ptr<Sequence>> siblings;  // the other outputs, until the prompt has run

  bool running = false;
  int64_t n_admissions = 0;     // more than one: it was preempted
  int64_t n_cached = 0;         // tokens whose past is in `pages`
  int64_t n_prompt_scored = 1;  // tokens of the prompt whose log-probabilities were given
  std::vector<int32_t> pages;   // its block table
  std::vector<Chain> chains;    // of its published pages, from the beginning

  std::vector<int32_t> draft;  // guessed behind `tokens`
  // Of the step just run: tokens chosen (at the end of `tokens` as well), or what went wrong.
  std::vector<GenerationStep> made;
  Status failure;

  int64_t n_missing() const { return static_cast<int64_t>(tokens.size()) - n_cached; }
  int64_t n_output() const { return static_cast<int64_t>(tokens.size()) - n_prompt; }
};

// Memory that calls on one thread reuse; holds nothing between them.
struct ChoiceScratch {
  SamplerScratch sampler;
  std::vector<float> raw_logits, rules;
  std::vector<int32_t> order;
};

// Chooses tokens out of logits [n_rows, n_vocab], which are changed: the first row follows the last token,
// each further one a guess of `draft`, and counts only if the guess before it was the token chosen.
void choose_tokens(Sequence& sequence, std::span<float> logits, int64_t n_vocab, ChoiceScratch& scratch);

// The n likeliest (-1: all) and `token` of a row of logits.
Result<StepLogprobs> read_logprobs(std::span<const float> logits, int32_t token, int32_t n,
                                   std::vector<int32_t>& order_scratch);

}  // namespace octavo::engine
