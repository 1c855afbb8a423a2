#pragma once
// What calibration keeps of the activations that a linear reads: the range of each channel. Pure.
#include <cstdint>
#include <optional>
#include <vector>

#include "base/threads.h"

namespace octavo::quant {

struct ChannelRanges {
  std::vector<float> min, max;        // [n_channels]
  std::vector<float> absmax() const;  // [n_channels]
};

class ChannelObserver {
 public:
  explicit ChannelObserver(int64_t n_channels);

  // x[m, n_channels], contiguous. The result does not depend on the order of the rows; channels in parallel.
  void observe(const float* x, int64_t m, base::ThreadPool& pool);

  int64_t n_rows() const { return n_rows_; }
  ChannelRanges ranges() const;  // of no rows: zeros
  // The first channel in which a NaN or an infinity was seen.
  std::optional<int64_t> non_finite_channel() const;

 private:
  std::vector<int32_t> min_, max_;  // keys of floats, see observer.cc
  int64_t n_rows_ = 0;
};

}  // namespace octavo::quant
