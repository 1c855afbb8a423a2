#pragma once
// What a gemm_f kernel is given and what a line of kernels.inc says; included by this folder alone.
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/gemm_f/gemm_f.h"
#include "kernels/panels.h"

namespace octavo::kernels {

inline constexpr int64_t kGemmFBlockK = 32;  // of the canonical order

// Rows and panels of one block at most: the kernel holds block_rows x 512 floats of x (96 KB, a fifth of a
// Zen 3 L2) and block_rows x block_panels x 16 or 32 sums (24 or 48 KB).
inline constexpr int64_t kGemmFBlockRows = 48;
inline constexpr int64_t kGemmFBlockPanels = 8;

// Where the results go. Pointers stand at the block's first row and column.
struct GemmFOutput {
  float* y = nullptr;
  int64_t stride = 0;           // in elements
  const float* bias = nullptr;  // [n] or null
  bool accumulate = false;
};

// One call of a kernel: m rows of x by the n outputs of consecutive panels.
struct GemmFBlock {
  const void* x = nullptr;      // [m,k] of the kernel's dtype
  int64_t m = 0, n = 0, k = 0;  // m <= kGemmFBlockRows, n <= kGemmFBlockPanels panels
  const std::byte* panels = nullptr;
  int64_t panel_stride_bytes = 0;
  GemmFOutput out;
};

using GemmFRun = void (*)(const GemmFBlock& block);

struct GemmFKernel {
  const char* name;
  Isa isa;
  tensor::DType dtype;
  PanelLayout layout;
  int64_t tile_m;  // rows the kernel takes at once
  GemmFRun run;
};

#define OCTAVO_GEMM_F(function, isa, dtype, panel_n, pad_lanes, tile_m) \
  void function(const GemmFBlock& block);
#include "kernels/gemm_f/kernels.inc"
#undef OCTAVO_GEMM_F

void gemm_f_bf16_free_order_avx512(const GemmFBlock& block);
void gemm_f_bf16_free_order_avx2(const GemmFBlock& block);

// The lines of kernels.inc this build has, best first; not all need run on this CPU.
std::span<const GemmFKernel> gemm_f_kernels();

// What follows the sum, the definition of gemm_f.h's formula. Vector kernels write the same steps.
inline void write_gemm_f_sum(const GemmFOutput& out, int64_t i, int64_t j, float sum) {
  float& y = out.y[i * out.stride + j];
  if (out.bias != nullptr) sum += out.bias[j];
  if (out.accumulate) sum += y;
  y = sum;
}

}  // namespace octavo::kernels
