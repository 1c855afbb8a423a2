// gemm_s8 with AVX-VNNI: 6 rows of x by a panel of 16 outputs (vnni.inl). The weights are packed as w + 128,
// unsigned (GemmS8Offset::kInputsTimes128). Exact on emulated intrinsics; not measured on a CPU that has it.
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

OCTAVO_TARGET_BEGIN_AVXVNNI
namespace octavo::kernels {
namespace {

using Register = __m256i;
constexpr int kLanes = 8;
constexpr int kVectors = 2;
constexpr int kPanel = kLanes * kVectors;
// 12 sums (two vpdpbusd a cycle of latency 5 need 10), 2 registers of weights, the broadcast: 15 of 16.
constexpr int kTileRows = 6;
// Steps of a pass: 16 KB of the panel, which stay in L1 while all rows of the block go over them.
constexpr int64_t kPassSteps = 256;

inline Register load_register(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline void store_register(void* to, Register value) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), value);
}
inline Register broadcast_lanes(int32_t lane) { return _mm256_set1_epi32(lane); }
inline Register subtract(Register a, Register b) { return _mm256_sub_epi32(a, b); }
inline Register add_products(Register sums, Register of_unsigned, Register by_signed) {
  return _mm256_dpbusd_avx_epi32(sums, of_unsigned, by_signed);
}
inline Register load_weights(const std::byte* from) { return load_register(from); }
// Each file builds on the one before.
// clang-format off
#include "kernels/unroll.inl"
#include "kernels/vec/avx2.inl"
#include "kernels/vec/exp.inl"
#include "kernels/vec/codes.inl"
#include "kernels/gemm_s8/write.inl"
#include "kernels/gemm_s8/vnni.inl"
// clang-format on
}  // namespace

void gemm_s8_f32_6x16x4_avxvnni(const GemmS8Block& block) { run_vnni(block, block.x_sums); }
void sum_rows_avxvnni(const int8_t* x, int64_t m, int64_t k, int32_t* sums) { sum_rows(x, m, k, sums); }

}  // namespace octavo::kernels
OCTAVO_TARGET_END

#endif
