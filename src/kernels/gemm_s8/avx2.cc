// gemm_s8 with AVX2: 4 rows of x by a panel of 16 outputs, 4 k a step.
// vpmaddubsw wants one unsigned operand: |w|; the sign goes to x, as its complement ~x = -x - 1 where w < 0:
//   sum_k |w| (w < 0 ? ~x : x) = sum_k w x + sum_k min(w, 0)
// and the last term waits, negated, in the sums' start (GemmS8Offset::kNegativeWeights). A pair of products
// lies in [-32768, 32512] for every code, -128 too, so the saturation of vpmaddubsw never acts. vpsignb would
// need no offset, but runs on the multiplier's pipes (Zen 4: 1.56 cycles for 32 products against 1.0).
// Many rows share the sizes and signs of a pass, made once and kept in L1: from there a tile runs at 86 % of
// the register-only peak, at 61 % where each tile makes them anew.
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
constexpr int64_t kStepBytes = kPanel * kLaneBytes;
// Steps of a pass over shared weights: their sizes and signs are 16 KB, which stay in L1 while all rows of
// the block go over them; 8 KB did as well, 24 KB cost 5 to 12 %.
constexpr int64_t kPassSteps = 128;
constexpr int64_t kPassCodes = kPassSteps * kLaneBytes;
// Rows from which the weights of a pass are split once for all; 16 rows by weights from memory take 11 %
// longer with it.
constexpr int64_t kSharedRows = 32;
// Panels of a pass: so many outputs share one copy of x.
constexpr int64_t kGroupPanels = 16;
// Steps of a pass of fewer rows: 16 KB of the panel.
constexpr int64_t kFewRowsPassSteps = 256;
// How far ahead weights are fetched, into L2. One row (Qwen3-0.6B, decode): 10 to 13 % faster than without,
// 4 KB 7 %, 2 KB 16 % slower. More rows do as well with 8 KB: 4 rows by weights from memory go from 12.6 to
// 18 GB/s on one Zen 4 core; 2 KB into L1 do as well there, but 8 rows are 7 to 18 % slower with it.
constexpr int64_t kPrefetchBytes = 6144;

// Each file builds on the one before.
// clang-format off
#include "kernels/unroll.inl"
#include "kernels/vec/avx2.inl"
#include "kernels/vec/exp.inl"
#include "kernels/vec/codes.inl"
#include "kernels/gemm_s8/write.inl"
// clang-format on

inline __m256i load_register(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline void store_register(void* to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }

// What the rows of a block meet in a pass.
struct Pass {
  const std::byte* weights;  // of the panel
  std::byte* split;          // their sizes and signs, kSplitBytes a step
  int64_t n_steps, n_rest;   // whole steps, then a step of n_rest < 4 codes
  int64_t k;                 // from a row of x to the next
  const std::byte* ahead;    // what to ask for meanwhile, ahead_bytes a step
  int64_t ahead_bytes;
};
constexpr int64_t kSplitBytes = 2 * kStepBytes;

// Where a tile has the weights of its steps from.
enum class From { kPacked, kPackedSplitting, kSplit };

struct Step {
  __m256i size0, size1, sign0, sign1;
};

// w: the step in the panel; split: its sizes and signs.
template <From from>
[[gnu::always_inline]] inline Step load_step(const std::byte* w, std::byte* split) {
  if constexpr (from == From::kSplit) {
    return {load_register(split), load_register(split + 32), load_register(split + 64),
            load_register(split + 96)};
  }
  const __m256i zero = _mm256_setzero_si256();
  const __m256i w0 = load_register(w), w1 = load_register(w + 32);
  const Step step = {_mm256_abs_epi8(w0), _mm256_abs_epi8(w1), _mm256_cmpgt_epi8(zero, w0),
                     _mm256_cmpgt_epi8(zero, w1)};
  if constexpr (from == From::kPackedSplitting) {
    store_register(split, step.size0);
    store_register(split + 32, step.size1);
    store_register(split + 64, step.sign0);
    store_register(split + 96, step.sign1);
  }
  return step;
}

// x, in a register now: without it GCC 12 hoists loads over the sums and keeps some of these in memory,
// depending on no more than a stride being a constant, which costs a quarter of the speed.
[[gnu::always_inline]] inline __m256i held(__m256i x) {
#if !defined(OCTAVO_EMULATE_ISA)
  asm("" : "+x"(x));
#endif
  return x;
}

// sums[r][0..15] += rows r of x times the pass's weights. A function of its own, for the same reason.
template <int rows, From from>
[[gnu::noinline]] void add_tile(const int8_t* x, const Pass& pass, const std::byte* ahead, int32_t* sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sum[rows][2];
  unroll<rows>([&](auto r) {
    sum[r][0] = load_register(sums + r * kPanel);
    sum[r][1] = load_register(sums + r * kPanel + 8);
  });
  // A pass whose weights are split has its rows side by side; a constant spares the loop three instructions.
  const int64_t k = from == From::kPacked ? pass.k : kPassCodes;
  const std::byte* weights = pass.weights;
  std::byte* split = pass.split;
  const auto step = [&](size_t n_codes) __attribute__((always_inline)) {
    // Rows that share a split pass meet the next one soon: L1 is 1 % faster for them.
    _mm_prefetch(reinterpret_cast<const char*>(ahead), from == From::kPacked ? _MM_HINT_T1 : _MM_HINT_T0);
    ahead += pass.ahead_bytes;
    const Step w = load_step<from>(weights, split);
    unroll<rows>([&](auto r) __attribute__((always_inline)) {
      int32_t four = 0;
      std::memcpy(&four, x + r * k, n_codes);
      const __m256i xs = _mm256_set1_epi32(four);
      const __m256i pairs0 = _mm256_maddubs_epi16(w.size0, _mm256_xor_si256(xs, w.sign0));
      const __m256i pairs1 = _mm256_maddubs_epi16(w.size1, _mm256_xor_si256(xs, w.sign1));
      sum[r][0] = held(_mm256_add_epi32(sum[r][0], _mm256_madd_epi16(pairs0, ones)));
      sum[r][1] = held(_mm256_add_epi32(sum[r][1], _mm256_madd_epi16(pairs1, ones)));
    });
    x += kLaneBytes;
    if constexpr (from != From::kSplit) weights += kStepBytes;
    if constexpr (from != From::kPacked) split += kSplitBytes;
  };
  for (int64_t i = 0; i < pass.n_steps; ++i) step(kLaneBytes);
  if (pass.n_rest > 0) step(static_cast<size_t>(pass.n_rest));
  unroll<rows>([&](auto r) {
    store_register(sums + r * kPanel, sum[r][0]);
    store_register(sums + r * kPanel + 8, sum[r][1]);
  });
}

// Tiles from row `begin` on.
template <From from>
void add_rows(const int8_t* x, int64_t begin, int64_t m, const Pass& pass, int32_t* sums) {
  int64_t i = begin;
  const std::byte* ahead = pass.ahead;
  for (; i + kTileRows <= m; i += kTileRows) {
    add_tile<kTileRows, from>(x + i * pass.k, pass, ahead, sums + i * kPanel);
    ahead += pass.n_steps * pass.ahead_bytes;
  }
  x += i * pass.k;
  sums += i * kPanel;
  if (m - i == 3) add_tile<3, from>(x, pass, ahead, sums);
  if (m - i == 2) add_tile<2, from>(x, pass, ahead, sums);
  if (m - i == 1) add_tile<1, from>(x, pass, ahead, sums);
}

void start_sums(const GemmS8Block& block, const std::byte* panel, int32_t* sums) {
  const std::byte* starts = panel + block.panel_stride_bytes - kStepBytes;
  for (int64_t i = 0; i < block.m; ++i) std::memcpy(sums + i * kPanel, starts, kStepBytes);
}

// Panel after panel, as memory holds them.
void run_few_rows(const GemmS8Block& block) {
  alignas(64) int32_t sums[kSharedRows * kPanel];
  const int64_t n_steps = block.k / kLaneBytes;
  for (int64_t column = 0; column < block.n; column += kPanel) {
    const std::byte* panel = block.panels + column / kPanel * block.panel_stride_bytes;
    // The next panel's starts, which lie behind it: decode 4 % faster.
    __builtin_prefetch(panel + 2 * block.panel_stride_bytes - kStepBytes, 0, 2);
    start_sums(block, panel, sums);
    int64_t step = 0;
    do {
      const int64_t n_pass = std::min(kFewRowsPassSteps, n_steps - step);
      const int64_t n_rest = step + n_pass == n_steps ? block.k % kLaneBytes : 0;
      const std::byte* weights = panel + step * kStepBytes;
      const Pass pass = {weights, nullptr, n_pass, n_rest, block.k, weights + kPrefetchBytes, kStepBytes};
      add_rows<From::kPacked>(block.x + step * kLaneBytes, 0, block.m, pass, sums);
      step += n_pass;
    } while (step < n_steps);
    write_panel(block, 0, block.m, column, sums);
  }
}

// Codes [k, k + n_codes) of the block's rows, row after row of kPassCodes, the last lane's end zero.
void copy_codes(const GemmS8Block& block, int64_t k, int64_t n_codes, int8_t* to) {
  for (int64_t i = 0; i < block.m; ++i, to += kPassCodes) {
    const int8_t* from = block.x + i * block.k + k;
    int64_t at = 0;
    for (; at + 32 <= n_codes; at += 32) store_register(to + at, load_register(from + at));
    if (at == n_codes) continue;
    std::memset(to + at, 0, 32);
    std::memcpy(to + at, from + at, static_cast<size_t>(n_codes - at));
  }
}

// Pass after pass over up to kGroupPanels panels from `column` on.
void run_group(const GemmS8Block& block, int64_t column, int64_t n_panels) {
  alignas(64) int32_t sums[kGroupPanels][kGemmS8BlockRows * kPanel];
  alignas(64) std::byte split[kPassSteps * kSplitBytes];
  alignas(64) int8_t x[kGemmS8BlockRows * kPassCodes];
  const int64_t stride = block.panel_stride_bytes;
  const std::byte* panels = block.panels + column / kPanel * stride;
  const int64_t n_tiles = (block.m + kTileRows - 1) / kTileRows;
  for (int64_t p = 0; p < n_panels; ++p) start_sums(block, panels + p * stride, sums[p]);
  for (int64_t k = 0; k < block.k; k += kPassCodes) {
    const int64_t n_codes = std::min(kPassCodes, block.k - k);
    const int64_t n_steps = (n_codes + kLaneBytes - 1) / kLaneBytes;
    copy_codes(block, k, n_codes, x);
    const std::byte* weights = panels + k * kPanel;
    for (int64_t p = 0; p < n_panels; ++p) {
      const std::byte* next =
          panels + (p + 1 < n_panels ? k * kPanel + (p + 1) * stride : (k + kPassCodes) * kPanel);
      const Pass pass = {
          weights + p * stride, split, n_steps, 0, kPassCodes, next, (kStepBytes + n_tiles - 1) / n_tiles};
      add_tile<kTileRows, From::kPackedSplitting>(x, pass, next, sums[p]);
      add_rows<From::kSplit>(x, kTileRows, block.m, pass, sums[p]);
    }
  }
  for (int64_t p = 0; p < n_panels; ++p) write_panel(block, 0, block.m, column + p * kPanel, sums[p]);
}

}  // namespace

void gemm_s8_f32_4x16x4_avx2(const GemmS8Block& block) {
  if (block.m < kSharedRows) return run_few_rows(block);
  for (int64_t column = 0; column < block.n; column += kGroupPanels * kPanel) {
    const int64_t n_panels = (block.n - column + kPanel - 1) / kPanel;
    run_group(block, column, std::min(kGroupPanels, n_panels));
  }
}

}  // namespace octavo::kernels
OCTAVO_TARGET_END

#endif
