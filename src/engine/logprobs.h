#pragma once
// A row of logits read as a distribution over the vocabulary.
#include <cstdint>
#include <span>
#include <vector>

#include "octavo/status.h"

namespace octavo::engine {

struct RankedLogprob {
  int32_t id = 0;
  float logprob = 0;  // natural
  int64_t rank = 1;   // 1: the likeliest; among equals the lower id comes first
};

class LogprobRow {
 public:
  // logits[n_vocab] outlive it. Error: logits that are no distribution (NaN, +infinity, nothing finite).
  static Result<LogprobRow> read(std::span<const float> logits);

  RankedLogprob of(int32_t id) const;
  // The n likeliest in the order of rank, 0 <= n <= n_vocab. order: memory that calls reuse.
  std::vector<RankedLogprob> top(int64_t n, std::vector<int32_t>& order) const;

 private:
  LogprobRow(std::span<const float> logits, double log_sum) : logits_(logits), log_sum_(log_sum) {}
  float logprob(int32_t id) const { return static_cast<float>(logits_[static_cast<size_t>(id)] - log_sum_); }

  std::span<const float> logits_;
  double log_sum_;
};

}  // namespace octavo::engine
