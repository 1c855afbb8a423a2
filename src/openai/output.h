#pragma once
// What the engine answered, collected from its streams: the matter of which responses are made.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "octavo/engine.h"

namespace octavo::openai {

// One choice.
struct Output {
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<TokenScore> logprobs;  // of each of token_ids, where asked for
  FinishReason finish = FinishReason::kNone;
  std::optional<std::string> stop_text;
  std::optional<int32_t> stop_token;

  void add(Delta delta);
};

struct Usage {
  int64_t n_prompt_tokens = 0, n_output_tokens = 0;

  void add(const Usage& other) {
    n_prompt_tokens += other.n_prompt_tokens;
    n_output_tokens += other.n_output_tokens;
  }
};

struct Answer {  // to one prompt
  std::vector<Output> outputs;
  Usage usage;
};

// How a caller follows requests under way, on the thread that pulls them.
struct Watch {
  const Progress* progress = nullptr;          // asked whether to end with kCancelled
  std::function<void(const Delta&)> on_delta;  // may be empty
};

// Runs every request to its end, `n` times each; an Answer a request, in order. The i-th output of a request
// with a seed draws from seed + i.
Result<std::vector<Answer>> generate(Engine& engine, const std::vector<Request>& requests, int32_t n,
                                     const Watch& watch);

// What a response tells of a prompt beside the answer.
struct PromptFacts {
  std::vector<int32_t> token_ids;
  std::vector<ScoredPosition> scores;  // with `top_n` tokens each
};
// Puts the prompt's tokens in the place of its text, so that what is told is what is run. top_n: nothing asks
// for no scores.
Result<PromptFacts> read_prompt_facts(Engine& engine, Request& request, std::optional<int32_t> top_n,
                                      const Watch& watch);

}  // namespace octavo::openai
