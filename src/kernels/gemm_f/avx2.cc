// gemm_f with AVX2 and FMA, bit for bit ref.cc: 3 rows of x by a panel of 16 outputs (tile.inl).
#include "kernels/isa.h"

#if defined(OCTAVO_X86_KERNELS)

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/gemm_f/kernel.h"
#include "kernels/x86_intrinsics.h"

OCTAVO_TARGET_BEGIN_AVX2
namespace octavo::kernels {
namespace {
// 3 rows x 2 registers of outputs x (even, odd) = 12 sums; two of w and a broadcast: 15 of 16 registers.
constexpr int kTileRows = 3;
constexpr int kPanelVectors = 1;
// A tile of one row; by bf16 weights 6 to 7 % faster than without (Qwen3-0.6B in bf16, decode).
constexpr int64_t kOneRowPrefetchBytes = 6144;
// Each file builds on the one before.
// clang-format off
#include "kernels/unroll.inl"
#include "kernels/vec/avx2.inl"
#include "kernels/gemm_f/write.inl"
#include "kernels/gemm_f/tile.inl"
// clang-format on
}  // namespace

void gemm_f_bf16_3x16_avx2(const GemmFBlock& block) { run<Bf16Panel>(block); }
void gemm_f_f32_3x16_avx2(const GemmFBlock& block) { run<F32Panel>(block); }
void gemm_f_bf16_free_order_avx2(const GemmFBlock& block) { run<FreeOrderPanel>(block); }

}  // namespace octavo::kernels
OCTAVO_TARGET_END

#endif
