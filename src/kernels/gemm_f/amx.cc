// gemm_f with AMX, bf16 alone: 32 rows of x by a panel of 32 outputs, 32 k a step (amx_tiles.inl). One
// tdpbf16ps of full depth is one block of the canonical order: its even and its odd positions from zero, and
// their sum added. A few rows go by avx512.cc, whose panels are the same. Exact on emulated instructions; not
// yet measured on a CPU that has them.
#include "kernels/isa.h"

#if defined(OCTAVO_X86_KERNELS)

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "kernels/amx_tiles.h"
#include "kernels/gemm_f/kernel.h"
#include "kernels/x86_intrinsics.h"

#define OCTAVO_TILE_PRODUCT(sums, x, w) _tile_dpbf16ps(sums, x, w)

OCTAVO_TARGET_BEGIN_AMX
namespace octavo::kernels {
namespace {

constexpr int kPanel = 32;
// Each file builds on the one before.
// clang-format off
#include "kernels/vec/avx512.inl"
#include "kernels/gemm_f/write.inl"
#include "kernels/amx_tiles.inl"
// clang-format on
static_assert(kTileRowBytes == kGemmFBlockK * int64_t{sizeof(uint16_t)});

}  // namespace

void gemm_f_bf16_32x32_amx(const GemmFBlock& block) {
  if (block.m <= kFewRows) return gemm_f_bf16_6x32_avx512(block);
  alignas(64) std::byte copies[kGemmFBlockRows * kTileRowBytes];
  alignas(64) float sums[kRowsOfTiles * kPanel];
  const TileRows x = tile_rows(block.x, block.m, block.k * int64_t{sizeof(uint16_t)}, copies);
  Tiles tiles;
  for (int64_t row = 0; row < block.m; row += kRowsOfTiles) {
    const int64_t n_rows = std::min(kRowsOfTiles, block.m - row);
    tiles.configure(n_rows);
    const auto multiply = n_rows > kRowsOfTile ? multiply_panel<true> : multiply_panel<false>;
    const std::byte* panel = block.panels;
    for (int64_t column = 0; column < block.n; column += kPanel, panel += block.panel_stride_bytes) {
      multiply(x, row, panel, nullptr, row == 0, sums);
      for (int64_t i = 0; i < n_rows; ++i) {
        for (int64_t j = column; j < std::min(column + kPanel, block.n); j += 16) {
          write_sixteen(block.out, row + i, j, block.n - j, sums + i * kPanel + j - column);
        }
      }
    }
  }
}

}  // namespace octavo::kernels
OCTAVO_TARGET_END

#endif
