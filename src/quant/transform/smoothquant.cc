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

// Only channels louder than twice the median are smoothed; the others keep s = 1. Dividing by s < 1 would
// make a channel louder that was quiet on the calibration text, and on other text it may not be. KL on
// English and Chinese prose of the demo model, in units of 1e-5 nats, calibrated on English encyclopedia, on
// C-Eval, on prose: 37, 36, 36 with this rule; 53, 42, 36 without; plain rounding 37.
constexpr double kQuietLog2 = 1;

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
  const auto live = [&](size_t j) { return x_absmax[j] > 0 && w_absmax[j] > 0; };
  const auto log_s = [&](size_t j) {
    return strength * std::log2(x_absmax[j]) - (1 - strength) * std::log2(w_absmax[j]);
  };
  std::vector<double> sorted;
  for (size_t j = 0; j < x_absmax.size(); ++j) {
    if (live(j)) sorted.push_back(log_s(j));
  }
  std::vector<float> factors(x_absmax.size(), 1.0F);
  if (sorted.empty()) return factors;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  for (size_t j = 0; j < factors.size(); ++j) {
    if (!live(j)) continue;
    const double s = std::exp2(std::max(log_s(j) - *middle - kQuietLog2, 0.0));
    factors[j] = power_of_two ? nearest_power_of_two(s) : round_factor(s);
    if (!std::isfinite(factors[j])) factors[j] = 1.0F;
  }
  return factors;
}

std::vector<float> equation_4_factors(std::span<const float> x_absmax, std::span<const float> w_absmax,
                                      double strength, bool power_of_two) {
  OCTAVO_CHECK(x_absmax.size() == w_absmax.size());
  constexpr double kSmallest = 1e-5;  // the paper's code and Golden Stick's
  std::vector<float> factors(x_absmax.size(), 1.0F);
  for (size_t j = 0; j < factors.size(); ++j) {
    if (x_absmax[j] == 0 || w_absmax[j] == 0) continue;
    const double s =
        std::max(std::pow(x_absmax[j], strength) / std::pow(w_absmax[j], 1 - strength), kSmallest);
    const float factor = power_of_two ? nearest_power_of_two(s) : static_cast<float>(s);
    if (std::isfinite(factor)) factors[j] = factor;
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
