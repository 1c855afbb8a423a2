#pragma once
// One request from prompt to last token: prefill in chunks, then a token a step. The caller (api/engine.cc)
// pulls; a scheduler that batches many requests can stand behind the same step() later.
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "octavo/status.h"

#include "engine/loaded_model.h"
#include "engine/sampler.h"
#include "engine/sequence_cache.h"

namespace octavo::engine {

struct GenerationRequest {
  std::vector<int32_t> prompt;  // at least one token
  SamplingConfig sampling;
  std::optional<int64_t> max_tokens;  // >= 1; default and upper bound: to the context's end
  std::vector<int32_t> stop_ids;      // any of them ends the text and is its last token
};

enum class Finish { kNone, kStop, kLength };

struct GenerationStep {
  std::optional<int32_t> token;  // none after a prefill chunk that was not the last
  Finish finish = Finish::kNone;
};

class Generation {
 public:
  // Errors name the field: an empty prompt or one that fills the context, a token that the model lacks,
  // sampling settings out of range.
  static Result<std::unique_ptr<Generation>> start(LoadedModel& loaded, GenerationRequest request);

  // Holds loaded.mutex() while the model runs. Not to be called after a step that finished.
  Result<GenerationStep> step();
  int64_t n_prompt_tokens() const { return n_prompt_; }
  int64_t n_output_tokens() const { return static_cast<int64_t>(tokens_.size()) - n_prompt_; }

 private:
  Generation(LoadedModel& loaded, GenerationRequest request, int64_t max_tokens);

  LoadedModel& loaded_;
  SamplingConfig sampling_;
  std::vector<int32_t> stop_ids_;
  std::vector<int32_t> tokens_;  // prompt and output
  int64_t n_prompt_, max_tokens_;
  int64_t n_cached_ = 0;  // tokens whose keys and values are in cache_
  SequenceCache cache_;
  std::vector<float> logits_;  // [n_vocab]
  SamplerScratch scratch_;
};

}  // namespace octavo::engine
