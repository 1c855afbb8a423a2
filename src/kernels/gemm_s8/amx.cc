// gemm_s8 with AMX: 32 rows of x by a panel of 32 outputs, 64 k a step (amx_tiles.inl). tdpbssd multiplies
// signed by signed codes, so a sum starts where the panel says and nothing is taken away. A few rows go by
// vpdpbusd over the same panels (vnni.inl), the weights made unsigned as they are loaded.
// Exact on emulated instructions; not yet measured on a CPU that has them.
#include "kernels/isa.h"

#if defined(OCTAVO_X86_KERNELS)

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <numeric>
#include <utility>

#include "kernels/amx_tiles.h"
#include "kernels/gemm_s8/kernel.h"
#include "kernels/x86_intrinsics.h"

#define OCTAVO_TILE_PRODUCT(sums, x, w) _tile_dpbssd(sums, x, w)

OCTAVO_TARGET_BEGIN_AMX
namespace octavo::kernels {
namespace {

using Register = __m512i;
constexpr int kLanes = 16;
constexpr int kVectors = 2;
constexpr int kPanel = kLanes * kVectors;
constexpr int kTileRows = 4;  // of the few: they pass the weights once, so a pass may be of any length
constexpr int64_t kPassSteps = 256;

inline Register load_register(const void* from) { return _mm512_loadu_si512(from); }
inline void store_register(void* to, Register value) { _mm512_storeu_si512(to, value); }
inline Register broadcast_lanes(int32_t lane) { return _mm512_set1_epi32(lane); }
inline Register subtract(Register a, Register b) { return _mm512_sub_epi32(a, b); }
inline Register add_products(Register sums, Register of_unsigned, Register by_signed) {
  return _mm512_dpbusd_epi32(sums, of_unsigned, by_signed);
}
inline Register load_weights(const std::byte* from) {
  return _mm512_xor_si512(load_register(from), _mm512_set1_epi8(-128));
}
// Each file builds on the one before.
// clang-format off
#include "kernels/unroll.inl"
#include "kernels/vec/avx512.inl"
#include "kernels/vec/exp.inl"
#include "kernels/vec/codes.inl"
#include "kernels/gemm_s8/write.inl"
#include "kernels/gemm_s8/vnni.inl"
#include "kernels/amx_tiles.inl"
// clang-format on
static_assert(kFewRows <= kTileRows);

}  // namespace

void gemm_s8_f32_32x32x64_amx(const GemmS8Block& block) {
  if (block.m <= kFewRows) {
    int32_t x_sums[kFewRows];
    sum_rows(block.x, block.m, block.k, x_sums);
    return run_vnni(block, x_sums);
  }
  alignas(64) std::byte copies[kGemmS8BlockRows * kTileRowBytes];
  alignas(64) int32_t sums[kRowsOfTiles * kPanel];
  const TileRows x = tile_rows(block.x, block.m, block.k, copies);
  const int64_t starts_at = block.panel_stride_bytes - kLanesBytes;
  Tiles tiles;
  for (int64_t row = 0; row < block.m; row += kRowsOfTiles) {
    const int64_t n_rows = std::min(kRowsOfTiles, block.m - row);
    tiles.configure(n_rows);
    const auto multiply = n_rows > kRowsOfTile ? multiply_panel<true> : multiply_panel<false>;
    const std::byte* panel = block.panels;
    for (int64_t column = 0; column < block.n; column += kPanel, panel += block.panel_stride_bytes) {
      multiply(x, row, panel, panel + starts_at, row == 0, sums);
      write_panel(block, row, n_rows, column, sums);
    }
  }
}

}  // namespace octavo::kernels
OCTAVO_TARGET_END

#endif
