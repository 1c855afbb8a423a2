// Per-channel minimum and maximum over calibration tokens, as integers: a float's bits, with those of
// negative numbers turned over, are ordered like the floats, and NaN lies beyond the infinities, so integer
// extrema find both the range and what is not finite. Fed by collect.cc.
#include "quant/observer.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace octavo::quant {
namespace {

// Its own inverse on the bits.
int32_t ordered(int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }
int32_t key_of(float x) { return ordered(std::bit_cast<int32_t>(x)); }
float value_of(int32_t key) { return std::bit_cast<float>(ordered(key)); }

constexpr int32_t kInfinity = 0x7f800000;           // the key of +infinity
constexpr int32_t kMinusInfinity = -kInfinity - 1;  // of -infinity

}  // namespace

ChannelObserver::ChannelObserver(int64_t n_channels)
    : min_(static_cast<size_t>(n_channels)), max_(static_cast<size_t>(n_channels)) {}

void ChannelObserver::observe(const float* x, int64_t m) {
  const size_t n = min_.size();
  for (int64_t row = 0; row < m; ++row, x += n) {
    if (n_rows_++ == 0) {
      std::transform(x, x + n, min_.begin(), key_of);
      max_ = min_;
    }
    for (size_t j = 0; j < n; ++j) {
      const int32_t key = key_of(x[j]);
      min_[j] = std::min(min_[j], key);
      max_[j] = std::max(max_[j], key);
    }
  }
}

ChannelRanges ChannelObserver::ranges() const {
  ChannelRanges ranges{.min = std::vector<float>(min_.size()), .max = std::vector<float>(max_.size())};
  std::transform(min_.begin(), min_.end(), ranges.min.begin(), value_of);
  std::transform(max_.begin(), max_.end(), ranges.max.begin(), value_of);
  return ranges;
}

std::optional<int64_t> ChannelObserver::non_finite_channel() const {
  for (size_t j = 0; j < min_.size(); ++j) {
    if (min_[j] <= kMinusInfinity || max_[j] >= kInfinity) return static_cast<int64_t>(j);
  }
  return std::nullopt;
}

std::vector<float> ChannelRanges::absmax() const {
  std::vector<float> result(min.size());
  std::transform(min.begin(), min.end(), max.begin(), result.begin(),
                 [](float low, float high) { return std::max(std::fabs(low), std::fabs(high)); });
  return result;
}

}  // namespace octavo::quant
