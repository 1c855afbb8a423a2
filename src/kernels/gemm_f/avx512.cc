// gemm_f with AVX-512, bit for bit ref.cc: 6 rows of x by a panel of 32 outputs (tile.inl). vdpbf16ps is not
// used: it adds two products at once, which is another order.
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

OCTAVO_TARGET_BEGIN_AVX512VNNI
namespace octavo::kernels {
namespace {
// 6 rows x 2 registers of outputs x (even, odd) = 24 sums; two of w and a broadcast: 27 of 32 registers.
constexpr int kTileRows = 6;
constexpr int kPanelVectors = 2;
// None: from 1 to 16 KB, one row by bf16 weights was up to 9 % slower.
constexpr int64_t kOneRowPrefetchBytes = 0;
// Each file builds on the one before.
// clang-format off
#include "kernels/unroll.inl"
#include "kernels/vec/avx512.inl"
#include "kernels/gemm_f/write.inl"
#include "kernels/gemm_f/tile.inl"
// clang-format on
}  // namespace

void gemm_f_bf16_6x32_avx512(const GemmFBlock& block) { run<Bf16Panel>(block); }
void gemm_f_f32_6x32_avx512(const GemmFBlock& block) { run<F32Panel>(block); }
void gemm_f_bf16_free_order_avx512(const GemmFBlock& block) { run<FreeOrderPanel>(block); }

}  // namespace octavo::kernels
OCTAVO_TARGET_END

#endif
