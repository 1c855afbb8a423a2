#pragma once
// What ldtilecfg reads. Used by the amx.cc files and by peak_amx.cc.
#include <cstdint>

namespace octavo::kernels {

// Palette 1: eight tiles, each of up to 16 rows of 64 bytes; a tile without rows has no bytes.
struct TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

}  // namespace octavo::kernels
