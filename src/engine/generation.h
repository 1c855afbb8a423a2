#pragma once
// One request from prompt to last token: prefill in chunks, then a token a step. The caller (api/engine.cc)
// pulls; a scheduler that batches many requests can stand behind the same step() later.
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "octavo/progress.h"
#include "octavo/status.h"

#include "engine/loaded_model.h"
#include "engine/logprobs.h"
#include "engine/sampler.h"
#include "engine/sequence_cache.h"
#include "engine/token_rules.h"

namespace octavo::engine {

struct GenerationRequest {
  std::vector<int32_t> prompt;  // at least one token
  SamplingConfig sampling;
  std::optional<int64_t> max_tokens;  // >= 1; default and upper bound: to the context's end
  TokenRules rules;                   // any of rules.stop_ids ends the text and is its last token
  std::optional<int32_t> n_logprobs;  // report the chosen token's log-probability and the n best; -1: all
};

enum class Finish { kNone, kStop, kLength };

// Of the model's own distribution, before rules, penalties and temperature.
struct StepLogprobs {
  RankedLogprob chosen;
  std::vector<RankedLogprob> top;
};

struct GenerationStep {
  std::optional<int32_t> token;  // none after a prefill chunk that was not the last
  Finish finish = Finish::kNone;
  std::optional<StepLogprobs> logprobs;  // with a token, where n_logprobs asks for them
};

class Generation {
 public:
  // Errors name the field: an empty prompt or one that fills the context, a token that the model lacks,
  // sampling settings out of range.
  static Result<std::unique_ptr<Generation>> start(LoadedModel& loaded, GenerationRequest request);

  // Holds loaded.mutex() while the model runs. Not to be called after a step that finished or failed.
  // progress: asked between layers whether to end with kCancelled.
  Result<GenerationStep> step(const Progress* progress = nullptr);
  int64_t n_prompt_tokens() const { return n_prompt_; }
  int64_t n_output_tokens() const { return static_cast<int64_t>(tokens_.size()) - n_prompt_; }

 private:
  Generation(LoadedModel& loaded, GenerationRequest request, int64_t max_tokens);
  // Runs the next tokens that are not cached; true when logits_ are those after the last.
  Result<bool> run_model(const Progress* progress);
  // The next token out of logits_.
  Result<GenerationStep> choose();

  LoadedModel& loaded_;
  SamplingConfig sampling_;
  TokenRules rules_;
  std::optional<int32_t> n_logprobs_;
  std::vector<int32_t> tokens_;  // prompt and output
  int64_t n_prompt_, max_tokens_;
  int64_t n_cached_ = 0;  // tokens whose keys and values are in cache_
  SequenceCache cache_;
  std::vector<float> logits_;      // [n_vocab]
  std::vector<float> raw_logits_;  // logits_ before rules and penalties, when log-probabilities are wanted
  SamplerScratch scratch_;
  std::vector<float> rules_scratch_;
  std::vector<int32_t> order_scratch_;
};

}  // namespace octavo::engine
