// The definition of gemm_s8 (gemm_s8.h): one sum at a time. A panel is a row of w.
#include "kernels/gemm_s8/kernel.h"

namespace octavo::kernels {

void gemm_s8_f32_ref(const GemmS8Block& block) {
  for (int64_t j = 0; j < block.n; ++j) {
    const auto* w = reinterpret_cast<const int8_t*>(block.panels + j * block.panel_stride_bytes);
    for (int64_t i = 0; i < block.m; ++i) {
      const int8_t* x = block.x + i * block.k;
      int32_t sum = 0;
      for (int64_t kk = 0; kk < block.k; ++kk) sum += x[kk] * w[kk];
      write_gemm_s8_sum(block.out, i, j, sum);
    }
  }
}

}  // namespace octavo::kernels
