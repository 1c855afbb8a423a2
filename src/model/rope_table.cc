// RoPE's angles as transformers defines them: inv_freq[i] = theta^(-2i / head_dim) in fp32, scaled in fp32
// where the config asks for it; angle = fp32(position) * inv_freq[i] in fp32; cos and sin of that fp32 angle,
// rounded once. The functions are evaluated in long double, so that the table's bits do not depend on a
// libm's float routines. RoFormer, arXiv 2104.09864, eq. 15; "llama3" scaling as in Llama 3.1's reference
// code.
#include "model/rope_table.h"

#include <cmath>
#include <numbers>

#include "base/check.h"
#include "kernels/attention/attention.h"
#include "model/config.h"

namespace octavo::model {

namespace {

// Long wavelengths are stretched by `factor`, short ones kept, those between interpolated.
float llama3_scaled(float inv_freq, const RopeConfig& rope) {
  const auto factor = static_cast<float>(rope.factor);
  const auto low = static_cast<float>(rope.low_freq_factor);
  const auto high = static_cast<float>(rope.high_freq_factor);
  const auto original = static_cast<float>(rope.original_max_positions);
  const float wavelength = static_cast<float>(2 * std::numbers::pi) / inv_freq;
  if (wavelength < original / high) return inv_freq;
  if (wavelength > original / low) return inv_freq / factor;
  const float smooth = (original / wavelength - low) / (high - low);
  return (1 - smooth) * inv_freq / factor + smooth * inv_freq;
}

}  // namespace

RopeTable::RopeTable(const ModelConfig& config) {
  const auto theta = static_cast<long double>(config.rope.theta);
  for (int64_t i = 0; i < config.head_dim / 2; ++i) {
    const long double exponent = static_cast<long double>(2 * i) / static_cast<long double>(config.head_dim);
    auto inv_freq = static_cast<float>(1 / std::pow(theta, exponent));
    if (config.rope.scaling == RopeConfig::Scaling::kLinear)
      inv_freq /= static_cast<float>(config.rope.factor);
    if (config.rope.scaling == RopeConfig::Scaling::kLlama3) inv_freq = llama3_scaled(inv_freq, config.rope);
    inv_freq_.push_back(inv_freq);
  }
}

void RopeTable::reserve(int64_t n_positions) {
  const size_t half = inv_freq_.size();
  const size_t n_made = cosine_.size() / half;
  if (static_cast<size_t>(n_positions) <= n_made) return;
  // A KV block's worth at a time: a decode step pays for few rows, and seldom.
  const auto block = static_cast<size_t>(kernels::kKvBlockTokens);
  const size_t n_wanted = (static_cast<size_t>(n_positions) + block - 1) / block * block;
  cosine_.resize(n_wanted * half);
  sine_.resize(n_wanted * half);
  for (size_t position = n_made; position < n_wanted; ++position) {
    for (size_t i = 0; i < half; ++i) {
      const long double angle = static_cast<float>(position) * inv_freq_[i];
      cosine_[position * half + i] = static_cast<float>(std::cos(angle));
      sine_[position * half + i] = static_cast<float>(std::sin(angle));
    }
  }
}

const float* RopeTable::cosine(int64_t position) const {
  const size_t at = static_cast<size_t>(position) * inv_freq_.size();
  OCTAVO_CHECK(at < cosine_.size());
  return &cosine_[at];
}

const float* RopeTable::sine(int64_t position) const {
  const size_t at = static_cast<size_t>(position) * inv_freq_.size();
  OCTAVO_CHECK(at < sine_.size());
  return &sine_[at];
}

}  // namespace octavo::model
