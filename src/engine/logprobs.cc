// logprob(id) = logits[id] - log(sum(exp(logits))). Called by engine/sequence.cc and api/engine_scores.cc.
#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "engine/logits_reader.h"

namespace octavo::engine {

Result<LogprobRow> LogprobRow::read(std::span<const float> logits) {
  const double log_sum = log_sum_exp(logits);
  if (!std::isfinite(log_sum)) {
    return internal_error(
        "the model's logits are not finite: its weights or this build's arithmetic are broken; run 'octavo "
        "inspect' on the model");
  }
  return LogprobRow(logits, log_sum);
}

RankedLogprob LogprobRow::of(int32_t id) const {
  const float own = logits_[static_cast<size_t>(id)];
  int64_t rank = 1;
  for (size_t i = 0; i < logits_.size(); ++i) {
    rank += logits_[i] > own || (logits_[i] == own && static_cast<int32_t>(i) < id);
  }
  return {id, logprob(id), rank};
}

std::vector<RankedLogprob> LogprobRow::top(int64_t n, std::vector<int32_t>& order) const {
  OCTAVO_CHECK(n >= 0 && n <= static_cast<int64_t>(logits_.size()));
  order.resize(logits_.size());
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + n, order.end(), [&](int32_t a, int32_t b) {
    const float x = logits_[static_cast<size_t>(a)], y = logits_[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  });
  std::vector<RankedLogprob> likeliest;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t id = order[static_cast<size_t>(i)];
    likeliest.push_back({id, logprob(id), i + 1});
  }
  return likeliest;
}

}  // namespace octavo::engine
