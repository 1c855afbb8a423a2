// SmoothQuant (Xiao et al. 2022, arXiv:2211.10438, eq. 4): s_j = max|x_j|^a / max|w_j|^(1-a). Activations are
// divided by s, the weights that read them multiplied: the same product, with the outlier channels' range
// moved into weights, which have a scale per output channel. x / s costs nothing: it is folded into what
// makes x, the norm's weight or the rows of v and up. The norm's weight is rounded first and the consumers
// take what its rounding left (w / w'), so that folding itself loses no precision. Called by
// layer_candidate.cc.
#include "quant/transform/smoothquant.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace octavo::quant {
namespace {

using tensor::DType;

// Factors keep 8 bits, so that the last bits of pow(), which differ between C libraries, decide nothing.
float round_factor(double s) { return tensor::round_to_bf16(static_cast<float>(s)); }

float nearest_power_of_two(double s) { return static_cast<float>(std::exp2(std::nearbyint(std::log2(s)))); }

float smallest_normal(DType storage) {
  return storage == DType::kF16 ? 0x1p-14F : std::numeric_limits<float>::min();
}

}  // namespace

std::vector<float> smoothing_factors(std::span<const float> x_absmax, std::span<const float> w_absmax,
                                     double strength, bool power_of_two) {
  OCTAVO_CHECK(x_absmax.size() == w_absmax.size());
  std::vector<double> log_s(x_absmax.size(), 0);
  double sum = 0;
  int64_t n_live = 0;
  const auto live = [&](size_t j) { return x_absmax[j] > 0 && w_absmax[j] > 0; };
  for (size_t j = 0; j < log_s.size(); ++j) {
    if (!live(j)) continue;
    log_s[j] = strength * std::log2(x_absmax[j]) - (1 - strength) * std::log2(w_absmax[j]);
    sum += log_s[j];
    ++n_live;
  }
  const double middle = n_live == 0 ? 0 : std::nearbyint(sum / static_cast<double>(n_live));
  std::vector<float> factors(log_s.size(), 1.0F);
  for (size_t j = 0; j < log_s.size(); ++j) {
    if (!live(j)) continue;
    const double s = std::exp2(log_s[j] - middle);
    factors[j] = power_of_two ? nearest_power_of_two(s) : round_factor(s);
    if (!std::isnormal(factors[j])) factors[j] = 1.0F;
  }
  return factors;
}

NormFold fold_into_norm(std::span<const float> norm, std::span<const float> factors, DType storage) {
  OCTAVO_CHECK(norm.size() == factors.size());
  NormFold fold{.norm = {norm.begin(), norm.end()}, .column_factor = std::vector<float>(norm.size(), 1.0F)};
  for (size_t j = 0; j < norm.size(); ++j) {
    const float smoothed = tensor::round_to_dtype(storage, norm[j] / factors[j]);
    if (!std::isfinite(smoothed) || std::fabs(smoothed) < smallest_normal(storage)) continue;
    const float effective = norm[j] / smoothed;
    if (!std::isnormal(effective)) continue;
    fold.norm[j] = smoothed;
    fold.column_factor[j] = effective;
  }
  return fold;
}

std::vector<float> max_over_query_heads(std::span<const float> per_column, const HeadGroups& heads) {
  OCTAVO_CHECK(static_cast<int64_t>(per_column.size()) == heads.n_heads * heads.head_dim);
  const int64_t heads_per_kv = heads.n_heads / heads.n_kv_heads;
  std::vector<float> result(static_cast<size_t>(heads.n_kv_heads * heads.head_dim), 0.0F);
  for (int64_t head = 0; head < heads.n_heads; ++head) {
    const float* from = per_column.data() + head * heads.head_dim;
    float* to = result.data() + head / heads_per_kv * heads.head_dim;
    for (int64_t d = 0; d < heads.head_dim; ++d) to[d] = std::max(to[d], from[d]);
  }
  return result;
}

std::vector<float> repeat_for_query_heads(std::span<const float> per_row, const HeadGroups& heads) {
  OCTAVO_CHECK(static_cast<int64_t>(per_row.size()) == heads.n_kv_heads * heads.head_dim);
  const int64_t heads_per_kv = heads.n_heads / heads.n_kv_heads;
  std::vector<float> result;
  result.reserve(static_cast<size_t>(heads.n_heads * heads.head_dim));
  for (int64_t head = 0; head < heads.n_heads; ++head) {
    const float* from = per_row.data() + head / heads_per_kv * heads.head_dim;
    result.insert(result.end(), from, from + heads.head_dim);
  }
  return result;
}

}  // namespace octavo::quant
