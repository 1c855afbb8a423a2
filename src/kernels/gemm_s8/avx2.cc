// gemm_s8 with AVX2: 4 rows of x by a panel of 16 outputs, 4 k a step.
// vpmaddubsw wants one unsigned operand: |w|; the sign goes to x, as its complement ~x = -x - 1 where w < 0:
//   sum_k |w| (w < 0 ? ~x : x) = sum_k w x + sum_k min(w, 0)
// and the last term waits, negated, in the sums' start (GemmS8Offset::kNegativeWeights). A pair of products
// lies in [-32768, 32512] for every code, -128 too, so the saturation of vpmaddubsw never acts. vpsignb would
// need no offset, but runs on the multiplier's pipes (Zen 4: 1.56 cycles for 32 products against 1.0).
#include "kernels/isa.h"

#if defined(OCTAVO_X86_KERNELS)

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/gemm_s8/kernel.h"
#include "kernels/x86_intrinsics.h"

OCTAVO_TARGET_BEGIN_AVX2
namespace octavo::kernels {
namespace {

constexpr int kPanel = 16;
// 8 sums, 2 |w|, 2 signs, the ones, the broadcast and a product: 15 of 16 registers.
constexpr int kTileRows = 4;
// Steps of a pass: 16 KB of the panel, which stay in L1 while all rows of the block go over them.
constexpr int64_t kPassSteps = 256;
// How far ahead weights are fetched: 4 rows by weights from memory go from 12.6 to 18.4 GB/s on one Zen 4
// core (1 KB: 18.3, 4 KB: 14.5), weights in cache stay as they were; one row is at the read limit without.
constexpr int64_t kPrefetchBytes = 2048;

// Each file builds on the one before.
// clang-format off
#include "kernels/unroll.inl"
#include "kernels/vec/avx2.inl"
#include "kernels/vec/exp.inl"
#include "kernels/gemm_s8/write.inl"
// clang-format on

inline __m256i load_register(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline void store_register(void* to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }

// sums[r][0..15] += rows r of x times the panel, over n_steps steps and then n_rest < 4 codes.
template <int rows>
void add_tile(const int8_t* x, int64_t k, const std::byte* panel, int64_t n_steps, int64_t n_rest,
              int32_t* sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i zero = _mm256_setzero_si256();
  __m256i sum[rows][2];
  unroll<rows>([&](auto r) {
    sum[r][0] = load_register(sums + r * kPanel);
    sum[r][1] = load_register(sums + r * kPanel + 8);
  });
  const auto step = [&](const std::byte* w, const int8_t* codes, size_t n_codes)
      __attribute__((always_inline)) {
    if constexpr (rows > 1) _mm_prefetch(reinterpret_cast<const char*>(w) + kPrefetchBytes, _MM_HINT_T0);
    const __m256i w0 = load_register(w), w1 = load_register(w + 32);
    const __m256i size0 = _mm256_abs_epi8(w0), size1 = _mm256_abs_epi8(w1);
    const __m256i sign0 = _mm256_cmpgt_epi8(zero, w0), sign1 = _mm256_cmpgt_epi8(zero, w1);
    unroll<rows>([&](auto r) {
      int32_t four = 0;
      std::memcpy(&four, codes + r * k, n_codes);
      const __m256i xs = _mm256_set1_epi32(four);
      const __m256i pairs0 = _mm256_maddubs_epi16(size0, _mm256_xor_si256(xs, sign0));
      const __m256i pairs1 = _mm256_maddubs_epi16(size1, _mm256_xor_si256(xs, sign1));
      sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(pairs0, ones));
      sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(pairs1, ones));
    });
  };
  for (int64_t i = 0; i < n_steps; ++i) step(panel + i * kPanel * kLaneBytes, x + i * kLaneBytes, kLaneBytes);
  if (n_rest > 0) {
    step(panel + n_steps * kPanel * kLaneBytes, x + n_steps * kLaneBytes, static_cast<size_t>(n_rest));
  }
  unroll<rows>([&](auto r) {
    store_register(sums + r * kPanel, sum[r][0]);
    store_register(sums + r * kPanel + 8, sum[r][1]);
  });
}

void add_rows(const int8_t* x, int64_t m, int64_t k, const std::byte* panel, int64_t n_steps, int64_t n_rest,
              int32_t* sums) {
  int64_t i = 0;
  for (; i + kTileRows <= m; i += kTileRows) {
    add_tile<kTileRows>(x + i * k, k, panel, n_steps, n_rest, sums + i * kPanel);
  }
  x += i * k;
  sums += i * kPanel;
  if (m - i == 3) add_tile<3>(x, k, panel, n_steps, n_rest, sums);
  if (m - i == 2) add_tile<2>(x, k, panel, n_steps, n_rest, sums);
  if (m - i == 1) add_tile<1>(x, k, panel, n_steps, n_rest, sums);
}

}  // namespace

void gemm_s8_f32_4x16x4_avx2(const GemmS8Block& block) {
  alignas(64) int32_t sums[kGemmS8BlockRows * kPanel];
  const int64_t n_steps = block.k / kLaneBytes;
  const int64_t start_at = block.panel_stride_bytes - kPanel * kLaneBytes;
  for (int64_t column = 0; column < block.n; column += kPanel) {
    const std::byte* panel = block.panels + column / kPanel * block.panel_stride_bytes;
    for (int64_t i = 0; i < block.m; ++i)
      std::memcpy(sums + i * kPanel, panel + start_at, kPanel * kLaneBytes);
    int64_t step = 0;
    do {
      const int64_t n_pass = std::min(kPassSteps, n_steps - step);
      const int64_t n_rest = step + n_pass == n_steps ? block.k % kLaneBytes : 0;
      add_rows(block.x + step * kLaneBytes, block.m, block.k, panel + step * kPanel * kLaneBytes, n_pass,
               n_rest, sums);
      step += n_pass;
    } while (step < n_steps);
    write_panel(block, 0, block.m, column, sums);
  }
}

}  // namespace octavo::kernels
OCTAVO_TARGET_END

#endif
