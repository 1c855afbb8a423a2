// The definition of gemm_s8 (gemm_s8.h): one sum at a time. A panel is a row of w and the sum's start.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/gemm_s8/kernel.h"
#include "tensor/dtype.h"

namespace octavo::kernels {
namespace {
// Each file builds on the one before.
// clang-format off
#include "kernels/vec/ref.inl"
#include "kernels/vec/exp.inl"
#include "kernels/vec/codes.inl"
// clang-format on

// The epilogue of one sum. Vector kernels write the same steps (write.inl).
void write_sum(const GemmS8Output& out, int64_t i, int64_t j, int32_t sum) {
  const int64_t at = i * out.stride + j;
  if (out.sums != nullptr) {
    out.sums[at] = sum;
    return;
  }
  float value = static_cast<float>(sum) * out.w_scale[j] * out.x_scale[i];
  if (out.bias != nullptr) value += out.bias[j];
  if (out.gate != nullptr) value = silu(broadcast(out.gate[i * out.gate_stride + j])).lane[0] * value;
  if (out.codes != nullptr) {
    write_static_codes(out.static_codes, j, broadcast(value), 1, out.codes + at);
    if (!is_finite(std::abs(value))) mark_not_a_number(out.code_scale + i);
    return;
  }
  if (out.accumulate) value += out.y[at];
  out.y[at] = value;
}

}  // namespace

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
      write_sum(block.out, i, j, sum);
    }
  }
}

}  // namespace octavo::kernels
