#pragma once
// y[i,j] = float(sum_k (x[i,k] - z) * w[j,k]) * w_scale[j] * x_scale[i]  (+ bias[j])  (+ y[i,j],
// accumulating)
//
// x: int8 codes with one scale per row, and one zero point z for all; w: int8 codes with one scale per output
// channel. Every code is exact, -128 too: static inputs use it, and a file of weights may hold it. The
// correction, -z * sum_k w[j,k], is made at packing; it and the sum are exact in int32 (k <= kGemmS8MaxK, or
// kGemmS8MaxStaticK where z is not 0), so every ISA agrees bit for bit; the epilogue is one fp32 formula,
// multiplied and added in the order written above, each step rounded. Row i is the same for every m.
// model/linear.cc is the only caller outside tests and benches.
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/threads.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/isa.h"
#include "kernels/panel_packing.h"
#include "tensor/buffer.h"

namespace octavo::kernels {

// 2^31 / (127 * 128), rounded down: above it a sum could overflow (x in [-127, 127]; -128 up to 131,071).
// Whoever reads a file checks its shapes first.
inline constexpr int64_t kGemmS8MaxK = 132'000;
// 2^31 / (255 * 128), rounded down: |x - z| <= 255. Neither the sum nor the correction alone leaves int32.
inline constexpr int64_t kGemmS8MaxStaticK = 65'000;

struct GemmS8Kernel;  // one line of kernels.inc: name, ISA, block sizes, pack, run

// Weights in the layout of the kernel that reads them, made once at load.
struct GemmS8Weights {
  int64_t n = 0, k = 0;
  const GemmS8Kernel* kernel = nullptr;
  tensor::Buffer packed;
  std::vector<float> scale;  // [n]
  std::vector<float> bias;   // [n] or empty
};

// The kernel `active_isa()` uses; `isa` for tests and benches (must be in cpu_isas()).
const GemmS8Kernel& select_gemm_s8(Isa isa);
const char* gemm_s8_kernel_name(const GemmS8Kernel& kernel);

// Packs w[n,k], row-major codes, piece by piece. w_scale[n], bias[n] or empty; the z of the codes that these
// weights will meet. `kernel` and `w` outlive it.
class GemmS8Packing {
 public:
  GemmS8Packing(const GemmS8Kernel& kernel, RowReader& w, std::span<const float> w_scale,
                std::span<const float> bias, int64_t n, int64_t k, int32_t zero_point = 0);
  int64_t n_pieces() const { return pieces_.count(); }
  void pack(int64_t piece, int thread);  // each once, in any order, from many threads at once
  GemmS8Weights take() { return std::move(packed_); }

 private:
  RowReader& w_;
  int32_t zero_point_;
  PanelPieces pieces_;
  GemmS8Weights packed_;
};

// The same of codes in memory, on the threads of `pool` where there is one.
GemmS8Weights pack_gemm_s8(const GemmS8Kernel& kernel, const int8_t* w, std::span<const float> w_scale,
                           std::span<const float> bias, int64_t n, int64_t k, int32_t zero_point = 0,
                           base::ThreadPool* pool = nullptr);

// One of the products of the same rows: y[m, w.n] row-major with row stride y_stride.
struct GemmS8Product {
  const GemmS8Weights* w;
  float* y;
  int64_t y_stride;
};

// x[m,k] row-major codes, x_scale[m]; every product's k is the same. Their tasks are handed out as one
// loop's: q, k and v wait for one another once, not three times. At most TasksSideBySide::kMaxProducts.
void gemm_s8(base::ThreadPool& pool, const int8_t* x, const float* x_scale,
             std::span<const GemmS8Product> products, int64_t m, bool accumulate);
inline void gemm_s8(base::ThreadPool& pool, const int8_t* x, const float* x_scale, const GemmS8Weights& w,
                    float* y, int64_t m, int64_t y_stride, bool accumulate) {
  const GemmS8Product product = {&w, y, y_stride};
  gemm_s8(pool, x, x_scale, {&product, 1}, m, accumulate);
}

// out[m, up.n] = silu(y of gate) * y of up: both products of a tile follow each other and the gate's values
// stay in cache. gate and up have the same n, k and kernel. out.form is kF32, or kS8 with static_codes (a
// scale per row wants the whole row first): then the codes and scales of convert_rows, but that a row with a
// value which is not finite has scale NaN and any codes.
void gemm_s8_gated(base::ThreadPool& pool, const int8_t* x, const float* x_scale, const GemmS8Weights& gate,
                   const GemmS8Weights& up, int64_t m, const RowOut& out);

// The int32 sums alone, corrected, for the exactness tests: sums[m,n].
void gemm_s8_sums(base::ThreadPool& pool, const int8_t* x, const GemmS8Weights& w, int32_t* sums, int64_t m);

}  // namespace octavo::kernels
