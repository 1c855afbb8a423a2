// A row of packed weights, back as floats: a tied embedding is looked up in the copy that lm_head's kernel
// reads, so that it is in memory once. Called by model/linear.cc.
#include <algorithm>

#include "base/check.h"
#include "kernels/gemm_f/kernel.h"

namespace octavo::kernels {

void gemm_f_unpack_row(const GemmFWeights& w, int64_t row, float* to) {
  OCTAVO_CHECK(row >= 0 && row < w.n);
  const PanelLayout& layout = w.kernel->layout;
  const int64_t element_bytes = tensor::dtype_bytes(w.dtype);
  const int64_t per_lane = kLaneBytes / element_bytes;
  const auto* lane = w.packed.as<std::byte>() +
                     row / layout.panel_n * layout.panel_bytes(w.k * element_bytes) +
                     row % layout.panel_n * kLaneBytes;
  for (int64_t k = 0; k < w.k; k += per_lane, lane += layout.panel_n * kLaneBytes) {
    tensor::convert_to_f32(w.dtype, lane, to + k, std::min(per_lane, w.k - k));
  }
}

}  // namespace octavo::kernels
