// gemm_f with AVX2 and FMA, bit for bit ref.cc: a lane of a register is an output, so each output's sums run
// in the canonical order; 3 rows of x by a panel of 16 outputs. x is widened to f32 once for all panels of
// the block and padded with zeros to whole blocks of 32 (a zero product changes no sum; x and w are padded
// alike).
#include "kernels/isa.h"

#if defined(OCTAVO_X86_KERNELS)

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "kernels/gemm_f/kernel.h"
#include "kernels/x86_intrinsics.h"

OCTAVO_TARGET_BEGIN_AVX2
namespace octavo::kernels {
namespace {
#include "kernels/unroll.inl"

constexpr int kPanel = 16;
// 3 rows x 2 registers of outputs x (even, odd) = 12 sums; two of w and a broadcast: 15 of 16 registers.
constexpr int kTileRows = 3;
// k of a pass when the block is full: 16 KB of a bf16 panel stay in L1 while all rows go over them. Fewer
// rows take longer passes out of the same scratch; one row runs through 24,576 of k in one stream.
constexpr int64_t kPassK = 512;
constexpr int64_t kScratch = kGemmFBlockRows * kPassK;
// How far ahead weights are fetched: 3 rows by weights from memory go from 13.8 to 16.6 GB/s (bf16) and from
// 19.5 to 23.3 (f32) on one Zen 4 core; one row is at the read limit, and slower with it.
constexpr int64_t kPrefetchBytes = 2048;

// The 8 outputs from column 8 * half at position k = 2 * pair + parity, as f32.
struct Bf16Panel {
  using Element = uint16_t;
  static __m256 weights(const std::byte* panel, int64_t pair, int parity, int half) {
    const __m256i both =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + (pair * kPanel + 8 * half) * kLaneBytes));
    return _mm256_castsi256_ps(parity == 0 ? _mm256_slli_epi32(both, 16)
                                           : _mm256_and_si256(both, _mm256_set1_epi32(-65536)));
  }
  static void widen(const uint16_t* x, int64_t k, float* to) {
    int64_t kk = 0;
    for (; kk + 8 <= k; kk += 8) {
      const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + kk));
      _mm256_storeu_ps(to + kk, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(eight), 16)));
    }
    for (; kk < k; ++kk) to[kk] = tensor::f32_from_bf16(x[kk]);
  }
};
struct F32Panel {
  using Element = float;
  static __m256 weights(const std::byte* panel, int64_t pair, int parity, int half) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(panel) + (2 * pair + parity) * kPanel + 8 * half);
  }
  static void widen(const float* x, int64_t k, float* to) {
    std::memcpy(to, x, static_cast<size_t>(k) * sizeof(float));
  }
};

template <class Panel>
inline void prefetch_pair(const std::byte* panel, int64_t pair) {
  constexpr int64_t kPairBytes = 2 * kPanel * sizeof(typename Panel::Element);
  const auto* ahead = reinterpret_cast<const char*>(panel) + pair * kPairBytes + kPrefetchBytes;
  for (int64_t line = 0; line < kPairBytes; line += 64) _mm_prefetch(ahead + line, _MM_HINT_T0);
}

// sums[r * sums_stride + 0..15] += rows r of x (row stride x_stride) times the panel, over n_blocks of 32.
template <class Panel, int rows>
void add_tile(const float* x, int64_t x_stride, const std::byte* panel, int64_t n_blocks, float* sums,
              int64_t sums_stride) {
  constexpr int64_t kPairs = kGemmFBlockK / 2;
  for (int64_t block = 0; block < n_blocks; ++block) {
    __m256 sum[2][rows][2];
    unroll<2>([&](auto parity) {
      unroll<rows>([&](auto r) { sum[parity][r][0] = sum[parity][r][1] = _mm256_setzero_ps(); });
    });
    for (int64_t pair = block * kPairs; pair < (block + 1) * kPairs; ++pair) {
      if constexpr (rows > 1) prefetch_pair<Panel>(panel, pair);
      unroll<2>([&](auto parity) {
        // bf16 weights are loaded once for each parity: kept from one to the other they push sums out of the
        // registers (Clang 14: 60 GFLOPS against 90 with this).
        std::atomic_signal_fence(std::memory_order_seq_cst);
        const __m256 w0 = Panel::weights(panel, pair, parity, 0);
        const __m256 w1 = Panel::weights(panel, pair, parity, 1);
        unroll<rows>([&](auto r) {
          const __m256 xs = _mm256_broadcast_ss(x + r * x_stride + 2 * pair + parity);
          sum[parity][r][0] = _mm256_fmadd_ps(xs, w0, sum[parity][r][0]);
          sum[parity][r][1] = _mm256_fmadd_ps(xs, w1, sum[parity][r][1]);
        });
      });
    }
    unroll<rows>([&](auto r) {
      unroll<2>([&](auto half) {
        float* to = sums + r * sums_stride + 8 * half;
        const __m256 both = _mm256_add_ps(sum[0][r][half], sum[1][r][half]);
        _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), both));
      });
    });
  }
}

template <class Panel>
void add_rows(const float* x, int64_t m, int64_t x_stride, const std::byte* panel, int64_t n_blocks,
              float* sums, int64_t sums_stride) {
  int64_t i = 0;
  for (; i + kTileRows <= m; i += kTileRows) {
    add_tile<Panel, kTileRows>(x + i * x_stride, x_stride, panel, n_blocks, sums + i * sums_stride,
                               sums_stride);
  }
  x += i * x_stride;
  sums += i * sums_stride;
  if (m - i == 2) add_tile<Panel, 2>(x, x_stride, panel, n_blocks, sums, sums_stride);
  if (m - i == 1) add_tile<Panel, 1>(x, x_stride, panel, n_blocks, sums, sums_stride);
}

void write_rows(const GemmFBlock& block, const float* sums, int64_t sums_stride) {
  const GemmFOutput& out = block.out;
  for (int64_t i = 0; i < block.m; ++i) {
    int64_t j = 0;
    for (; j + 8 <= block.n; j += 8) {
      float* y = out.y + i * out.stride + j;
      __m256 value = _mm256_loadu_ps(sums + i * sums_stride + j);
      if (out.bias != nullptr) value = _mm256_add_ps(value, _mm256_loadu_ps(out.bias + j));
      if (out.accumulate) value = _mm256_add_ps(value, _mm256_loadu_ps(y));
      _mm256_storeu_ps(y, value);
    }
    for (; j < block.n; ++j) write_gemm_f_sum(out, i, j, sums[i * sums_stride + j]);
  }
}

template <class Panel>
void run(const GemmFBlock& block) {
  using Element = typename Panel::Element;
  alignas(64) float widened[kScratch];
  alignas(64) float sums[kGemmFBlockRows * kGemmFBlockPanels * kPanel];
  const int64_t n_panels = (block.n + kPanel - 1) / kPanel;
  const int64_t sums_stride = n_panels * kPanel;
  std::fill(sums, sums + block.m * sums_stride, 0.0F);
  const int64_t pass_k = kScratch / block.m / kGemmFBlockK * kGemmFBlockK;
  for (int64_t k_begin = 0; k_begin < block.k; k_begin += pass_k) {
    const int64_t n_k = std::min(pass_k, block.k - k_begin);
    const int64_t n_blocks = (n_k + kGemmFBlockK - 1) / kGemmFBlockK;
    const int64_t x_stride = n_blocks * kGemmFBlockK;
    for (int64_t i = 0; i < block.m; ++i) {
      float* row = widened + i * x_stride;
      Panel::widen(static_cast<const Element*>(block.x) + i * block.k + k_begin, n_k, row);
      std::fill(row + n_k, row + x_stride, 0.0F);
    }
    const auto pass_at = k_begin * static_cast<int64_t>(sizeof(Element)) * kPanel;
    for (int64_t p = 0; p < n_panels; ++p) {
      add_rows<Panel>(widened, block.m, x_stride, block.panels + p * block.panel_stride_bytes + pass_at,
                      n_blocks, sums + p * kPanel, sums_stride);
    }
  }
  write_rows(block, sums, sums_stride);
}

}  // namespace

void gemm_f_bf16_3x16_avx2(const GemmFBlock& block) { run<Bf16Panel>(block); }
void gemm_f_f32_3x16_avx2(const GemmFBlock& block) { run<F32Panel>(block); }

}  // namespace octavo::kernels
OCTAVO_TARGET_END

#endif
