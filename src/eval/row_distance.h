#pragma once
// What one row of logits says about the token that follows, and how far it is from another model's row. In
// nats, in double, from fp32 logits.
#include <cstdint>
#include <span>

namespace octavo::eval {

struct RowDistance {
  double nll = 0;         // of `model` for the target: log sum exp - logit
  double base_nll = 0;    // of `base`
  double kl = 0;          // KL(base || model) = sum p_base (log p_base - log p_model), >= 0
  bool same_top = false;  // both rank the same token first (the lowest id among equals)
};

// logits: [n_vocab], finite (NaN comes out as NaN). 0 <= target < n_vocab.
double negative_log_likelihood(std::span<const float> logits, int32_t target);
RowDistance row_distance(std::span<const float> model, std::span<const float> base, int32_t target);

}  // namespace octavo::eval
