#pragma once
// y[i,j] = sum_k x[i,k] * w[j,k]  (+ bias[j])  (+ y[i,j] when accumulating), x and w both bf16 or both f32, y
// f32.
//
// One canonical order for both types, that of AMX's tdpbf16ps (docs/NUMERICS.md): k in blocks of 32; inside a
// block the even and the odd positions are summed separately, from zero, in rising k, by fused multiply-add;
// the two sums are added (even + odd), and the block's sum is added to the accumulator, which starts at zero.
// k is padded with zeros to a multiple of 32. Denormals are flushed. Row i is the same bits for every m,
// number of threads and ISA.
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/threads.h"
#include "kernels/isa.h"
#include "kernels/panel_packing.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace octavo::kernels {

struct GemmFKernel;

struct GemmFWeights {
  int64_t n = 0, k = 0;
  tensor::DType dtype = tensor::DType::kBF16;  // kBF16 or kF32
  const GemmFKernel* kernel = nullptr;
  tensor::Buffer packed;
  std::vector<float> bias;  // [n] or empty
};

const GemmFKernel& select_gemm_f(Isa isa, tensor::DType dtype);
const char* gemm_f_kernel_name(const GemmFKernel& kernel);
// A kernel for what select_gemm_f(isa, kBF16) packs whose sums run in whatever order is fastest: bench/ takes
// it instead of a GemmFWeights' own to measure what the canonical order costs. Null for ref, and for AMX,
// whose hardware has the canonical order.
const GemmFKernel* free_order_gemm_f(Isa isa);

// Packs w[n,k], row-major, bf16 bits or f32, piece by piece. `kernel` and `w` outlive it.
class GemmFPacking {
 public:
  GemmFPacking(const GemmFKernel& kernel, RowReader& w, std::span<const float> bias, int64_t n, int64_t k);
  int64_t n_pieces() const { return pieces_.count(); }
  void pack(int64_t piece, int thread);  // each once, in any order, from many threads at once
  GemmFWeights take() { return std::move(packed_); }

 private:
  RowReader& w_;
  PanelPieces pieces_;
  GemmFWeights packed_;
};

// The same of rows in memory, on the threads of `pool` where there is one.
GemmFWeights pack_gemm_f(const GemmFKernel& kernel, const void* w, std::span<const float> bias, int64_t n,
                         int64_t k, base::ThreadPool* pool = nullptr);

// Row `row` of w as floats, to[k]: exact.
void gemm_f_unpack_row(const GemmFWeights& w, int64_t row, float* to);

// One of the products of the same rows: y[m, w.n] f32 with row stride y_stride.
struct GemmFProduct {
  const GemmFWeights* w;
  float* y;
  int64_t y_stride;
};

// x[m,k] row-major of the weights' dtype, which with k is the same for every product. One loop, as gemm_s8's.
void gemm_f(base::ThreadPool& pool, const void* x, std::span<const GemmFProduct> products, int64_t m,
            bool accumulate);
inline void gemm_f(base::ThreadPool& pool, const void* x, const GemmFWeights& w, float* y, int64_t m,
                   int64_t y_stride, bool accumulate) {
  const GemmFProduct product = {&w, y, y_stride};
  gemm_f(pool, x, {&product, 1}, m, accumulate);
}

}  // namespace octavo::kernels
