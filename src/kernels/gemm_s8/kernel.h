#pragma once
// What a gemm_s8 kernel is given and what a line of kernels.inc says; included by this folder alone.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "kernels/gemm_s8/gemm_s8.h"
#include "kernels/panels.h"

namespace octavo::kernels {

// Rows of x of one block at most: 64 rows of 4096 codes are 256 KB, half of a Zen 3 L2.
inline constexpr int64_t kGemmS8BlockRows = 64;

// What the kernel's arithmetic adds to each sum. A packed panel ends with the panel_n int32 at which the
// kernel's sums start: minus what is added by output, minus zero_point * sum_k w.
enum class GemmS8Offset {
  kNone,
  kNegativeWeights,  // sum_k min(w, 0): x is complemented where w is negative
  kInputsTimes128,   // 128 sum_k x: codes are packed as w + 128, unsigned; taken away by row (GemmS8SumRows)
};

// Where the results go. Pointers stand at the block's first row and column.
struct GemmS8Output {
  int32_t* sums = nullptr;  // the sums alone, or null
  float* y = nullptr;
  int64_t stride = 0;              // of sums, y or codes, in elements
  const float* x_scale = nullptr;  // [m]
  const float* w_scale = nullptr;  // [n]
  const float* bias = nullptr;     // [n] or null
  bool accumulate = false;
  const float* gate = nullptr;  // [m,n], or null: silu(gate) is multiplied by the value
  int64_t gate_stride = 0;
  // Instead of y, or null: the values' codes by static_codes, whose divisors begin at the block's first
  // column.
  int8_t* codes = nullptr;
  StaticCodes static_codes;
  float* code_scale = nullptr;  // [m]: made NaN where a value is not finite
};

// One call of a kernel: m rows of x by the n outputs of consecutive panels.
struct GemmS8Block {
  const int8_t* x = nullptr;        // [m,k]
  int64_t m = 0, n = 0, k = 0;      // m <= kGemmS8BlockRows
  const int32_t* x_sums = nullptr;  // [m], where the kernel has sum_rows
  const std::byte* panels = nullptr;
  int64_t panel_stride_bytes = 0;
  GemmS8Output out;
};

// Tasks of one row may do so at once.
inline void mark_not_a_number(float* scale) {
  std::atomic_ref<float>(*scale).store(std::numeric_limits<float>::quiet_NaN(), std::memory_order_relaxed);
}

using GemmS8Run = void (*)(const GemmS8Block& block);
// sums[m] = sum_k x[m,k]: once for all blocks that read these rows (Qwen3-0.6B: a decode step of 16 rows is
// 3 % faster than when each block makes them, a prefill of 512 2.5 %).
using GemmS8SumRows = void (*)(const int8_t* x, int64_t m, int64_t k, int32_t* sums);

struct GemmS8Kernel {
  const char* name;
  Isa isa;
  PanelLayout layout;
  GemmS8Offset offset;
  int64_t tile_m;  // rows the kernel takes at once
  GemmS8Run run;
  GemmS8SumRows sum_rows;  // null: the kernel does without

  int64_t panel_stride_bytes(int64_t k) const { return layout.panel_bytes(k) + layout.panel_n * kLaneBytes; }
};

#define OCTAVO_GEMM_S8(function, isa, panel_n, pad_lanes, offset, tile_m, sum_rows) \
  void function(const GemmS8Block& block);
#include "kernels/gemm_s8/kernels.inc"
#undef OCTAVO_GEMM_S8
void sum_rows_avx512vnni(const int8_t* x, int64_t m, int64_t k, int32_t* sums);
void sum_rows_avxvnni(const int8_t* x, int64_t m, int64_t k, int32_t* sums);

// The lines of kernels.inc this build has, best first; not all need run on this CPU.
std::span<const GemmS8Kernel> gemm_s8_kernels();

}  // namespace octavo::kernels
