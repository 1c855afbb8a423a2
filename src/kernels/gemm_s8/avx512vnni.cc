// gemm_s8 with AVX512-VNNI: 6 rows of x by a panel of 64 outputs, 4 k a step.
// vpdpbusd multiplies unsigned by signed codes and adds four products to an int32, without saturation. The
// unsigned operand is the weights, packed as w + 128 (GemmS8Offset::kInputsTimes128), so x is read as it is:
//   sum_k (w + 128) x = sum_k w x + 128 sum_k x
// and the last term, one number for a row of x, is taken from the row's sums as they start.
#include "kernels/isa.h"

#if defined(OCTAVO_X86_KERNELS)

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "kernels/gemm_s8/kernel.h"
#include "kernels/x86_intrinsics.h"

OCTAVO_TARGET_BEGIN_AVX512VNNI
namespace octavo::kernels {
namespace {
#include "kernels/unroll.inl"

constexpr int kVectors = 4;
constexpr int kPanel = 16 * kVectors;
constexpr int64_t kStepBytes = kPanel * kLaneBytes;
// 24 sums, 4 registers of weights, the broadcast: 29 of 32.
constexpr int kTileRows = 6;
// Steps of a pass: 64 KB of the panel, which stay in L2 while all rows of the block go over them (32 KB: 1 %
// slower at m = 512, 16 KB: 4 %). Asking for the weights ahead, in any cache and distance, gained nothing.
constexpr int64_t kPassSteps = 256;

inline __m512i load(const void* from) { return _mm512_loadu_si512(from); }
inline void store(void* to, __m512i value) { _mm512_storeu_si512(to, value); }

// sums[r][0..63] += rows r of x times the panel, over n_steps steps and then n_rest < 4 codes.
template <int rows>
void add_tile(const int8_t* x, int64_t k, const std::byte* panel, int64_t n_steps, int64_t n_rest,
              int32_t* sums) {
  __m512i sum[rows][kVectors];
  unroll<rows>(
      [&](auto r) { unroll<kVectors>([&](auto v) { sum[r][v] = load(sums + r * kPanel + v * 16); }); });
  const auto step = [&](const std::byte* w, const int8_t* codes, size_t n_codes)
      __attribute__((always_inline)) {
    __m512i ws[kVectors];
    unroll<kVectors>([&](auto v) { ws[v] = load(w + v * 64); });
    unroll<rows>([&](auto r) {
      int32_t four = 0;
      std::memcpy(&four, codes + r * k, n_codes);
      const __m512i xs = _mm512_set1_epi32(four);
      unroll<kVectors>([&](auto v) { sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], ws[v], xs); });
    });
  };
  for (int64_t i = 0; i < n_steps; ++i) step(panel + i * kStepBytes, x + i * kLaneBytes, kLaneBytes);
  if (n_rest > 0) {
    step(panel + n_steps * kStepBytes, x + n_steps * kLaneBytes, static_cast<size_t>(n_rest));
  }
  unroll<rows>(
      [&](auto r) { unroll<kVectors>([&](auto v) { store(sums + r * kPanel + v * 16, sum[r][v]); }); });
}

// Tiles of `rows` rows, then the fewer that are left.
template <int rows>
void add_rows(const int8_t* x, int64_t m, int64_t k, const std::byte* panel, int64_t n_steps, int64_t n_rest,
              int32_t* sums) {
  int64_t i = 0;
  for (; i + rows <= m; i += rows) {
    add_tile<rows>(x + i * k, k, panel, n_steps, n_rest, sums + i * kPanel);
  }
  if constexpr (rows > 1) {
    if (i == m) return;
    add_rows<rows - 1>(x + i * k, m - i, k, panel, n_steps, n_rest, sums + i * kPanel);
  }
}

int32_t sum_of_codes(const int8_t* x, int64_t k) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sum = _mm512_setzero_si512();
  int64_t kk = 0;
  for (; kk + 64 <= k; kk += 64) sum = _mm512_dpbusd_epi32(sum, ones, load(x + kk));
  alignas(64) int32_t lanes[16];
  store(lanes, sum);
  int32_t total = std::accumulate(lanes, lanes + 16, 0);
  for (; kk < k; ++kk) total += x[kk];
  return total;
}

// write_gemm_s8_sum for 16 outputs from column j of row i.
inline void write_sixteen(const GemmS8Output& out, int64_t i, int64_t j, __m512i sum) {
  float* y = out.y + i * out.stride + j;
  __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(out.w_scale + j));
  value = _mm512_mul_ps(value, _mm512_set1_ps(out.x_scale[i]));
  if (out.bias != nullptr) value = _mm512_add_ps(value, _mm512_loadu_ps(out.bias + j));
  if (out.accumulate) value = _mm512_add_ps(value, _mm512_loadu_ps(y));
  _mm512_storeu_ps(y, value);
}

void write_panel(const GemmS8Block& block, int64_t column, const int32_t* sums) {
  const int64_t n = std::min<int64_t>(kPanel, block.n - column);
  for (int64_t i = 0; i < block.m; ++i) {
    const int32_t* row = sums + i * kPanel;
    int64_t j = 0;
    if (block.out.sums == nullptr) {
      for (; j + 16 <= n; j += 16) write_sixteen(block.out, i, column + j, load(row + j));
    }
    for (; j < n; ++j) write_gemm_s8_sum(block.out, i, column + j, row[j]);
  }
}

}  // namespace

void gemm_s8_f32_6x64x4_avx512vnni(const GemmS8Block& block) {
  alignas(64) int32_t sums[kGemmS8BlockRows * kPanel];
  int32_t added[kGemmS8BlockRows];
  for (int64_t i = 0; i < block.m; ++i) added[i] = 128 * sum_of_codes(block.x + i * block.k, block.k);
  const int64_t n_steps = block.k / kLaneBytes;
  const int64_t start_at = block.panel_stride_bytes - kStepBytes;
  for (int64_t column = 0; column < block.n; column += kPanel) {
    const std::byte* panel = block.panels + column / kPanel * block.panel_stride_bytes;
    for (int64_t i = 0; i < block.m; ++i) {
      const __m512i row_added = _mm512_set1_epi32(added[i]);
      unroll<kVectors>([&](auto v) {
        store(sums + i * kPanel + v * 16, _mm512_sub_epi32(load(panel + start_at + v * 64), row_added));
      });
    }
    int64_t step = 0;
    do {
      const int64_t n_pass = std::min(kPassSteps, n_steps - step);
      const int64_t n_rest = step + n_pass == n_steps ? block.k % kLaneBytes : 0;
      add_rows<kTileRows>(block.x + step * kLaneBytes, block.m, block.k, panel + step * kStepBytes, n_pass,
                          n_rest, sums);
      step += n_pass;
    } while (step < n_steps);
    write_panel(block, column, sums);
  }
}

}  // namespace octavo::kernels
OCTAVO_TARGET_END

#endif
