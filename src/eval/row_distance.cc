// Negative log-likelihood, and KL(base || model) = sum_v p_v (b_v - m_v) - lse(b) + lse(m) with p =
// softmax(b). Called for every predicted token by eval/perplexity.cc.
#include "eval/row_distance.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "engine/logits_reader.h"

namespace octavo::eval {

double negative_log_likelihood(std::span<const float> logits, int32_t target) {
  return engine::log_sum_exp(logits) - static_cast<double>(logits[static_cast<size_t>(target)]);
}

RowDistance row_distance(std::span<const float> model, std::span<const float> base, int32_t target) {
  OCTAVO_CHECK(model.size() == base.size());
  const double model_lse = engine::log_sum_exp(model);
  const double base_lse = engine::log_sum_exp(base);
  double kl = 0;
  for (size_t v = 0; v < base.size(); ++v) {
    const double log_p = base[v] - base_lse;
    const double p = std::exp(log_p);
    if (p != 0) kl += p * (log_p - (model[v] - model_lse));
  }
  const auto top = [](std::span<const float> row) {
    return std::max_element(row.begin(), row.end()) - row.begin();
  };
  const auto t = static_cast<size_t>(target);
  // Rounding can leave a sum of equal rows a few 1e-17 below zero. Not std::max: NaN must stay NaN.
  return {model_lse - static_cast<double>(model[t]), base_lse - static_cast<double>(base[t]), kl < 0 ? 0 : kl,
          top(model) == top(base)};
}

}  // namespace octavo::eval
