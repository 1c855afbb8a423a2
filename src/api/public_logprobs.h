#pragma once
// The engine's log-probabilities in the public form. For streams and for Engine::score.
#include <algorithm>
#include <vector>

#include "octavo/engine.h"

#include "engine/generation.h"
#include "engine/logprobs.h"

namespace octavo::api {

inline TokenLogprob public_logprob(const engine::RankedLogprob& ranked) {
  return {ranked.id, ranked.logprob, ranked.rank};
}

inline std::vector<TokenLogprob> public_logprobs(const std::vector<engine::RankedLogprob>& ranked) {
  std::vector<TokenLogprob> out(ranked.size());
  std::transform(ranked.begin(), ranked.end(), out.begin(), public_logprob);
  return out;
}

inline TokenScore public_score(const engine::StepLogprobs& logprobs) {
  return {public_logprob(logprobs.chosen), public_logprobs(logprobs.top)};
}

}  // namespace octavo::api
