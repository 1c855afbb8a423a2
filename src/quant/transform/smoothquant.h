#pragma once
// SmoothQuant: per-channel factors that move the range of activations into the weights that read them, and
// the folds that carry them out without changing what the layer computes. Pure: ranges in, factors out.
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/dtype.h"

namespace octavo::quant {

// s[k] from the ranges of the activations x and of the weight columns that read them: x^a / w^(1-a), divided
// by twice the median and not below 1, so that only outlier channels are changed. A channel that is always
// zero on either side keeps s = 1. power_of_two rounds each s to the nearest power of two: multiplying a
// 16-bit weight by it is exact.
std::vector<float> smoothing_factors(std::span<const float> x_absmax, std::span<const float> w_absmax,
                                     double strength, bool power_of_two);

// Equation 4 as it stands: s[k] = x^a / w^(1-a), at least 1e-5, and 1 where either is zero.
std::vector<float> equation_4_factors(std::span<const float> x_absmax, std::span<const float> w_absmax,
                                      double strength, bool power_of_two);

// What a smoothed norm becomes.
struct NormFold {
  std::vector<float> norm;           // [k] w / s, rounded to the type in which the file stores the norm
  std::vector<float> column_factor;  // [k] w / norm in fp32: what the consumers' columns are multiplied by
};
// A channel whose quotient is not a normal number of `storage` (or whose weight is zero) keeps its weight and
// factor 1.
NormFold fold_into_norm(std::span<const float> norm, std::span<const float> factors, tensor::DType storage);

// Grouped-query attention: o's columns are [n_heads, head_dim], v's rows [n_kv_heads, head_dim], and
// n_heads / n_kv_heads query heads read one kv head.
struct HeadGroups {
  int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
};
// Largest value over the query heads of each kv head: [n_heads * head_dim] -> [n_kv_heads * head_dim].
std::vector<float> max_over_query_heads(std::span<const float> per_column, const HeadGroups& heads);
// Each kv head's values for all its query heads: [n_kv_heads * head_dim] -> [n_heads * head_dim].
std::vector<float> repeat_for_query_heads(std::span<const float> per_row, const HeadGroups& heads);

}  // namespace octavo::quant
