// AMX's arithmetic with all operands in tiles of 16 rows of 64 bytes: 4 independent products an iteration,
// each 16 x 16 sums of 64 codes or of 32 bf16 values. In assembly, like peak_avx2.cc; also because GCC 12
// takes a tile configuration in memory for dead.
#include <algorithm>
#include <cstdint>

#include "kernels/amx_tiles.h"
#include "kernels/peak.h"

#if defined(OCTAVO_PEAK_LOOPS)

#define OCTAVO_LOOP(PRODUCT)                                                                 \
  const TileConfig config = full_tiles();                                                    \
  asm volatile(                                                                              \
      "ldtilecfg %1\n"                                                                       \
      "tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n"              \
      "tilezero %%tmm4\n tilezero %%tmm5\n tilezero %%tmm6\n tilezero %%tmm7\n"              \
      "1:\n" PRODUCT " %%tmm6, %%tmm4, %%tmm0\n" PRODUCT " %%tmm7, %%tmm4, %%tmm1\n" PRODUCT \
      " %%tmm6, %%tmm5, %%tmm2\n" PRODUCT                                                    \
      " %%tmm7, %%tmm5, %%tmm3\n"                                                            \
      "dec %0\n"                                                                             \
      "jnz 1b\n"                                                                             \
      "tilerelease\n"                                                                        \
      : "+r"(n)                                                                              \
      : "m"(config)                                                                          \
      : "cc")

namespace octavo::kernels {
namespace {

TileConfig full_tiles() {
  TileConfig config;
  std::fill_n(config.row_bytes, 8, uint16_t{64});
  std::fill_n(config.rows, 8, uint8_t{16});
  return config;
}

void run_s8(int64_t n) { OCTAVO_LOOP("tdpbssd"); }
void run_bf16(int64_t n) { OCTAVO_LOOP("tdpbf16ps"); }

}  // namespace

extern const PeakLoop kPeakS8Amx, kPeakBF16Amx;
const PeakLoop kPeakS8Amx = {Isa::kAmx, PeakOf::kS8, 2.0 * 16 * 16 * 64 * 4, run_s8};
const PeakLoop kPeakBF16Amx = {Isa::kAmx, PeakOf::kBF16, 2.0 * 16 * 16 * 32 * 4, run_bf16};

}  // namespace octavo::kernels

#endif
