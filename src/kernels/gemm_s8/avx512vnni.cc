// gemm_s8 with AVX512-VNNI: 6 rows of x by a panel of 64 outputs (vnni.inl). The weights are packed as w +
// 128, unsigned (GemmS8Offset::kInputsTimes128).
#include "kernels/isa.h"

#if defined(OCTAVO_X86_KERNELS)

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <utility>

#include "kernels/gemm_s8/kernel.h"
#include "kernels/x86_intrinsics.h"

OCTAVO_TARGET_BEGIN_AVX512VNNI
namespace octavo::kernels {
namespace {

using Register = __m512i;
constexpr int kLanes = 16;
constexpr int kVectors = 4;
constexpr int kPanel = kLanes * kVectors;
// 24 sums, 4 registers of weights, the broadcast: 29 of 32.
constexpr int kTileRows = 6;
// Steps of a pass: 64 KB of the panel, which stay in L2 while all rows of the block go over them (32 KB: 1 %
// slower at m = 512, 16 KB: 4 %), with the 64 KB of the next pass that its tiles ask for.
constexpr int64_t kPassSteps = 256;

inline Register load_register(const void* from) { return _mm512_loadu_si512(from); }
inline void store_register(void* to, Register value) { _mm512_storeu_si512(to, value); }
inline Register broadcast_lanes(int32_t lane) { return _mm512_set1_epi32(lane); }
inline Register subtract(Register a, Register b) { return _mm512_sub_epi32(a, b); }
inline Register add_products(Register sums, Register of_unsigned, Register by_signed) {
  return _mm512_dpbusd_epi32(sums, of_unsigned, by_signed);
}
inline Register load_weights(const std::byte* from) { return load_register(from); }
// Each file builds on the one before.
// clang-format off
#include "kernels/unroll.inl"
#include "kernels/vec/avx512.inl"
#include "kernels/vec/exp.inl"
#include "kernels/vec/codes.inl"
#include "kernels/gemm_s8/write.inl"
#include "kernels/gemm_s8/vnni.inl"
// clang-format on
}  // namespace

void gemm_s8_f32_6x64x4_avx512vnni(const GemmS8Block& block) { run_vnni(block, block.x_sums); }
void sum_rows_avx512vnni(const int8_t* x, int64_t m, int64_t k, int32_t* sums) { sum_rows(x, m, k, sums); }

}  // namespace octavo::kernels
OCTAVO_TARGET_END

#endif
