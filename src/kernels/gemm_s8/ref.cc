// The definition of gemm_s8 (gemm_s8.h): one sum at a time. A panel is a row of w and the sum's start.
#include <cstring>

#include "kernels/gemm_s8/kernel.h"

namespace octavo::kernels {

void gemm_s8_f32_ref(const GemmS8Block& block) {
  for (int64_t j = 0; j < block.n; ++j) {
    const std::byte* panel = block.panels + j * block.panel_stride_bytes;
    const auto* w = reinterpret_cast<const int8_t*>(panel);
    int32_t start = 0;
    std::memcpy(&start, panel + block.panel_stride_bytes - kLaneBytes, sizeof start);
    for (int64_t i = 0; i < block.m; ++i) {
      const int8_t* x = block.x + i * block.k;
      int32_t sum = start;
      for (int64_t kk = 0; kk < block.k; ++kk) sum += x[kk] * w[kk];
      write_gemm_s8_sum(block.out, i, j, sum);
    }
  }
}

}  // namespace octavo::kernels
