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

void ChannelObserver::observe(const float* x, int64_t m, base::ThreadPool& pool) {
  if (m == 0) return;
  const auto n = static_cast<int64_t>(min_.size());
  if (n_rows_ == 0) {
    std::transform(x, x + n, min_.begin(), key_of);
    max_ = min_;
  }
  n_rows_ += m;
  constexpr int64_t kChannelsPerTask = 512;  // 2 KB of each row: streams that a core fetches ahead
  pool.parallel_for((n + kChannelsPerTask - 1) / kChannelsPerTask, [&](int64_t task, int) {
    const int64_t begin = task * kChannelsPerTask;
    const int64_t n_channels = std::min(kChannelsPerTask, n - begin);
    int32_t* min = min_.data() + begin;
    int32_t* max = max_.data() + begin;
    for (int64_t row = 0; row < m; ++row) {
      const float* values = x + row * n + begin;
      for (int64_t j = 0; j < n_channels; ++j) {
        const int32_t key = key_of(values[j]);
        min[j] = std::min(min[j], key);
        max[j] = std::max(max[j], key);
      }
    }
  });
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
