// The emulated tile instructions against Intel's manual, worked by hand: what they compute, and what they
// refuse. That hardware does the same, the products' tests show on a CPU that has it.
#if defined(OCTAVO_EMULATE_ISA)

#include "kernels/x86_amx_emulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/amx_tiles.h"
#include "kernels/guarded_array.h"

namespace octavo::kernels {
namespace {

// Tile 0: sums of `rows` rows, 1: as many rows of x, 2: 16 lanes for `outputs` outputs.
TileConfig product_config(int rows, int outputs) {
  TileConfig config;
  config.rows[0] = config.rows[1] = static_cast<uint8_t>(rows);
  config.rows[2] = 16;
  config.row_bytes[0] = config.row_bytes[2] = static_cast<uint16_t>(4 * outputs);
  config.row_bytes[1] = 64;
  return config;
}

class EmulatedAmx : public testing::Test {
 protected:
  ~EmulatedAmx() override { _tile_release(); }
};

TEST_F(EmulatedAmx, BytesAreSignedAndSumsWrap) {
  const TileConfig config = product_config(2, 3);
  _tile_loadconfig(&config);
  std::vector<int8_t> x(2 * 64), w(16 * 3 * 4);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int8_t>(i * 37);
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<int8_t>(i * 91 + 128);
  const int32_t start = std::numeric_limits<int32_t>::max() - 5;
  const int32_t starts[3] = {start, 0, -7};
  _tile_loadd(0, starts, 0);
  _tile_loadd(1, x.data(), 64);
  _tile_loadd(2, w.data(), 12);
  _tile_dpbssd(0, 1, 2);
  int32_t sums[2][3];
  _tile_stored(0, sums, 12);
  for (size_t i = 0; i < 2; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      int64_t sum = starts[j];
      for (size_t k = 0; k < 64; ++k) sum += x[i * 64 + k] * w[k / 4 * 12 + 4 * j + k % 4];
      EXPECT_EQ(sums[i][j], static_cast<int32_t>(sum)) << i << "," << j;
    }
  }
}

uint32_t pair(float even, float odd) {
  return std::bit_cast<uint32_t>(even) >> 16 | (std::bit_cast<uint32_t>(odd) & 0xffff0000U);
}

float bf16_product(const std::vector<uint32_t>& x, float w, float start) {
  const TileConfig config = product_config(1, 1);
  _tile_loadconfig(&config);
  std::vector<uint32_t> row(16), column(16, pair(w, w));
  std::copy(x.begin(), x.end(), row.begin());
  _tile_loadd(0, &start, 4);
  _tile_loadd(1, row.data(), 64);
  _tile_loadd(2, column.data(), 4);
  _tile_dpbf16ps(0, 1, 2);
  float sum = 0;
  _tile_stored(0, &sum, 4);
  return sum;
}

TEST_F(EmulatedAmx, EvenAndOddPositionsAreSummedApartFromZero) {
  const float big = std::ldexp(1.0F, 24);  // big + 1 == big
  // Even (big + 1) - big = 0, odd 2. One chain would give 1, sums begun at the start 2 + big - big = 0.
  EXPECT_EQ(bf16_product({pair(big, 1), pair(1, 1), pair(-big, 0)}, 1, 0), 2);
  EXPECT_EQ(bf16_product({pair(big, 1), pair(1, 1), pair(-big, 0)}, 1, 5), 7);
  // The start is added last: even + odd = 2, and big + 2 is exact where (big + 1) + 1 is not.
  EXPECT_EQ(bf16_product({pair(1, 1)}, 1, big), big + 2);
}

TEST_F(EmulatedAmx, DenormalsAreZeroWhateverTheThreadsMode) {
  const float tiny = std::ldexp(1.0F, -130);
  EXPECT_EQ(bf16_product({pair(tiny, 0)}, std::ldexp(1.0F, 100), 0), 0);
  EXPECT_EQ(bf16_product({pair(std::ldexp(1.0F, -100), 0)}, std::ldexp(1.0F, -30), 0), 0);
  EXPECT_EQ(bf16_product({pair(0, 0)}, 1, tiny), 0);
}

TEST_F(EmulatedAmx, ATileTouchesItsRowsAndBytesAlone) {
  const TileConfig config = product_config(3, 2);
  _tile_loadconfig(&config);
  GuardedArray<int32_t> rows(2 * 8 + 2);  // 3 rows of 2 lanes, 8 apart
  for (int64_t i = 0; i < 18; ++i) rows[i] = static_cast<int32_t>(i);
  _tile_loadd(0, rows.data(), 32);
  GuardedArray<int32_t> copy(2 * 8 + 2);
  std::ranges::fill(copy, -1);
  _tile_stored(0, copy.data(), 32);
  for (int64_t i = 0; i < 18; ++i) EXPECT_EQ(copy[i], i % 8 < 2 ? i : -1) << i;
  EXPECT_TRUE(copy.front_is_intact());
}

TEST_F(EmulatedAmx, WhatWouldFaultEndsTheProcess) {
  TileConfig config = product_config(4, 4);
  const auto configured = [&](const TileConfig& with) { _tile_loadconfig(&with); };
  EXPECT_DEATH(_tile_zero(0), "not configured");
  config.palette = 2;
  EXPECT_DEATH(configured(config), "the palette");
  config = product_config(17, 4);
  EXPECT_DEATH(configured(config), "too large");
  config = product_config(4, 4);
  config.row_bytes[3] = 64;
  EXPECT_DEATH(configured(config), "half of a shape");
  config = product_config(4, 4);
  config.rows[1] = 3;
  configured(config);
  EXPECT_DEATH(_tile_zero(5), "lacks this tile");
  EXPECT_DEATH(_tile_dpbssd(0, 1, 2), "rows of the sums");
  EXPECT_DEATH(_tile_dpbssd(0, 2, 2), "with itself");
  config = product_config(4, 4);
  config.rows[2] = 15;
  configured(config);
  EXPECT_DEATH(_tile_dpbssd(0, 1, 2), "depth");
  _tile_release();
  EXPECT_DEATH(_tile_zero(0), "not configured");
}

}  // namespace
}  // namespace octavo::kernels

#endif
