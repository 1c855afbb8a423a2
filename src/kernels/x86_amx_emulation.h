#pragma once
// AMX's tiles in plain C++, for OCTAVO_EMULATE_ISA: the intrinsics that amx.cc files use, with the
// instructions' operations and conditions as in Intel's manual (SDM volume 2, "Intel AMX instruction
// reference"). Where the instruction would fault, a check ends the process. Included by x86_intrinsics.h and
// by its test.
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "base/threads.h"

namespace octavo::kernels {

// The eight tile registers of a thread and their configuration (palette 1).
class EmulatedTiles {
 public:
  static constexpr int kTiles = 8, kMaxRows = 16, kMaxRowBytes = 64, kMaxLanes = kMaxRowBytes / 4;

  // The 64 bytes: palette, start row, 14 of zeros, then for 16 tiles bytes of a row as uint16_t, then rows as
  // uint8_t; zeros for the tiles that palette 1 lacks. Clears all tiles.
  void configure(const void* bytes) {
    std::array<uint8_t, 64> config;
    std::memcpy(config.data(), bytes, config.size());
    OCTAVO_CHECK(config[0] == 1 && "ldtilecfg: #GP, the palette");
    OCTAVO_CHECK(config[1] == 0 && "a start row is for an interrupted load alone");
    for (size_t i = 2; i < 16; ++i) OCTAVO_CHECK(config[i] == 0 && "ldtilecfg: #GP, reserved bytes");
    *this = {};
    configured_ = true;
    for (size_t t = 0; t < 16; ++t) {
      uint16_t row_bytes;
      std::memcpy(&row_bytes, &config[16 + 2 * t], sizeof row_bytes);
      const uint8_t rows = config[48 + t];
      if (t >= kTiles) {
        OCTAVO_CHECK(row_bytes == 0 && rows == 0 && "ldtilecfg: #GP, a tile beyond the eighth");
        continue;
      }
      OCTAVO_CHECK(row_bytes <= kMaxRowBytes && rows <= kMaxRows && "ldtilecfg: #GP, too large a tile");
      OCTAVO_CHECK((row_bytes == 0) == (rows == 0) && "ldtilecfg: #GP, half of a shape");
      tiles_[t].row_bytes = row_bytes;
      tiles_[t].rows = rows;
    }
  }
  void release() { *this = {}; }

  void zero(int t) { usable(t).lanes = {}; }
  void load(int t, const void* base, int64_t stride) {
    Tile& tile = usable(t);
    tile.lanes = {};
    for (int r = 0; r < tile.rows; ++r) {
      std::memcpy(tile.row(r), static_cast<const std::byte*>(base) + r * stride, tile.row_bytes);
    }
  }
  void store(int t, void* base, int64_t stride) {
    Tile& tile = usable(t);
    for (int r = 0; r < tile.rows; ++r) {
      std::memcpy(static_cast<std::byte*>(base) + r * stride, tile.row(r), tile.row_bytes);
    }
  }

  // sums[m][n] += four products of signed bytes for each lane of a's row m, with b's row of that lane; modulo
  // 2^32.
  void dpbssd(int sums, int a, int b) {
    const Product p = product(sums, a, b);
    for (int m = 0; m < p.sums.rows; ++m) {
      for (int lane = 0; lane < p.b.rows; ++lane) {
        const auto x = std::bit_cast<std::array<int8_t, 4>>(p.a.row(m)[lane]);
        for (int n = 0; n < p.sums.n_lanes(); ++n) {
          const auto w = std::bit_cast<std::array<int8_t, 4>>(p.b.row(lane)[n]);
          p.sums.row(m)[n] += static_cast<uint32_t>(x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3]);
        }
      }
    }
  }

  // Pairs of bf16: even and odd positions apart, from zero, by fused multiply-add, then sums += even + odd.
  // Rounding half to even, denormals zero in and out, whatever the thread's mode.
  void dpbf16ps(int sums, int a, int b) {
    const base::FlushDenormals flush;
    const Product p = product(sums, a, b);
    for (int m = 0; m < p.sums.rows; ++m) {
      std::array<float, kMaxLanes> even{}, odd{};
      for (int lane = 0; lane < p.b.rows; ++lane) {
        const uint32_t x = p.a.row(m)[lane];
        for (int n = 0; n < p.sums.n_lanes(); ++n) {
          const uint32_t w = p.b.row(lane)[n];
          const auto at = static_cast<size_t>(n);
          even[at] = std::fma(low_bf16(x), low_bf16(w), even[at]);
          odd[at] = std::fma(high_bf16(x), high_bf16(w), odd[at]);
        }
      }
      for (int n = 0; n < p.sums.n_lanes(); ++n) {
        uint32_t& sum = p.sums.row(m)[n];
        const auto at = static_cast<size_t>(n);
        sum = std::bit_cast<uint32_t>(std::bit_cast<float>(sum) + (even[at] + odd[at]));
      }
    }
  }

 private:
  struct Tile {
    int rows = 0;
    size_t row_bytes = 0;
    std::array<uint32_t, kMaxRows * kMaxLanes> lanes{};
    uint32_t* row(int r) { return lanes.data() + r * kMaxLanes; }
    int n_lanes() const { return static_cast<int>(row_bytes / 4); }
  };
  struct Product {
    Tile &sums, &a, &b;
  };

  static float low_bf16(uint32_t pair) { return std::bit_cast<float>(pair << 16); }
  static float high_bf16(uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000U); }

  Tile& usable(int t) {
    OCTAVO_CHECK(configured_ && "#UD: tiles are not configured");
    Tile& tile = tiles_[static_cast<size_t>(t)];
    OCTAVO_CHECK(tile.rows > 0 && "#UD: the configuration lacks this tile");
    OCTAVO_CHECK(tile.row_bytes % 4 == 0 && "#UD: part of a lane");
    return tile;
  }
  Product product(int sums, int a, int b) {
    OCTAVO_CHECK(sums != a && sums != b && a != b && "#UD: a product of a tile with itself");
    const Product p = {usable(sums), usable(a), usable(b)};
    OCTAVO_CHECK(p.sums.rows == p.a.rows && "#UD: rows of the sums and of the first operand");
    OCTAVO_CHECK(p.sums.row_bytes == p.b.row_bytes && "#UD: columns of the sums and of the second operand");
    OCTAVO_CHECK(p.a.n_lanes() == p.b.rows && "#UD: depth");
    return p;
  }

  bool configured_ = false;
  std::array<Tile, kTiles> tiles_{};
};

inline EmulatedTiles& emulated_tiles() {
  thread_local EmulatedTiles tiles;
  return tiles;
}

}  // namespace octavo::kernels

#define _tile_loadconfig(config) ::octavo::kernels::emulated_tiles().configure(config)
#define _tile_release() ::octavo::kernels::emulated_tiles().release()
#define _tile_zero(tile) ::octavo::kernels::emulated_tiles().zero(tile)
#define _tile_loadd(tile, base, stride) ::octavo::kernels::emulated_tiles().load(tile, base, stride)
#define _tile_stored(tile, base, stride) ::octavo::kernels::emulated_tiles().store(tile, base, stride)
#define _tile_dpbssd(sums, a, b) ::octavo::kernels::emulated_tiles().dpbssd(sums, a, b)
#define _tile_dpbf16ps(sums, a, b) ::octavo::kernels::emulated_tiles().dpbf16ps(sums, a, b)
