// The definition of gemm_f's order (gemm_f.h): even and odd positions of each block of 32 apart, by fused
// multiply-add. A panel is a row of w. std::fma is the CPU's instruction, directly or through the C library,
// so it flushes denormals as the vector kernels do.
#include <algorithm>
#include <cmath>

#include "kernels/gemm_f/kernel.h"

namespace octavo::kernels {
namespace {

float to_f32(uint16_t bf16_bits) { return tensor::f32_from_bf16(bf16_bits); }
float to_f32(float value) { return value; }

template <class T>
float dot(const T* x, const T* w, int64_t k) {
  float sum = 0;
  for (int64_t begin = 0; begin < k; begin += kGemmFBlockK) {
    const int64_t end = std::min(begin + kGemmFBlockK, k);
    float even = 0, odd = 0;
    for (int64_t kk = begin; kk < end; kk += 2) even = std::fma(to_f32(x[kk]), to_f32(w[kk]), even);
    for (int64_t kk = begin + 1; kk < end; kk += 2) odd = std::fma(to_f32(x[kk]), to_f32(w[kk]), odd);
    sum += even + odd;
  }
  return sum;
}

template <class T>
void run(const GemmFBlock& block) {
  for (int64_t j = 0; j < block.n; ++j) {
    const auto* w = reinterpret_cast<const T*>(block.panels + j * block.panel_stride_bytes);
    for (int64_t i = 0; i < block.m; ++i) {
      write_gemm_f_sum(block.out, i, j, dot(static_cast<const T*>(block.x) + i * block.k, w, block.k));
    }
  }
}

}  // namespace

void gemm_f_bf16_ref(const GemmFBlock& block) { run<uint16_t>(block); }
void gemm_f_f32_ref(const GemmFBlock& block) { run<float>(block); }

}  // namespace octavo::kernels
