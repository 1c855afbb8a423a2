// Per-channel maximum of |x| over calibration tokens, as integers: the bits of non-negative floats are
// ordered like the floats, and NaN is above all, so one integer maximum finds both the range and what is not
// finite. Fed by collect.cc.
#include "quant/observer.h"

#include <algorithm>
#include <bit>

namespace octavo::quant {
namespace {
constexpr uint32_t kInfinityBits = 0x7f800000U;
}

ChannelObserver::ChannelObserver(int64_t n_channels) : magnitude_(static_cast<size_t>(n_channels), 0) {}

void ChannelObserver::observe(const float* x, int64_t m) {
  const size_t n = magnitude_.size();
  for (int64_t row = 0; row < m; ++row, x += n) {
    for (size_t j = 0; j < n; ++j) {
      magnitude_[j] = std::max(magnitude_[j], std::bit_cast<uint32_t>(x[j]) & 0x7fffffffU);
    }
  }
  n_rows_ += m;
}

std::vector<float> ChannelObserver::absmax() const {
  std::vector<float> result(magnitude_.size());
  std::transform(magnitude_.begin(), magnitude_.end(), result.begin(),
                 [](uint32_t bits) { return std::bit_cast<float>(bits); });
  return result;
}

std::optional<int64_t> ChannelObserver::non_finite_channel() const {
  const auto found =
      std::find_if(magnitude_.begin(), magnitude_.end(), [](uint32_t bits) { return bits >= kInfinityBits; });
  if (found == magnitude_.end()) return std::nullopt;
  return found - magnitude_.begin();
}

}  // namespace octavo::quant
