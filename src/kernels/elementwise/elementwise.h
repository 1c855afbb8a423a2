#pragma once
// What stands between the products, row by row: RMSNorm, RoPE, SiLU·up, rounding to bf16 and quantizing to
// int8. Each writes its result in the form that the next product reads. Rows never mix; row i is the same
// bits for every m and ISA (of a NaN only that it is one). Sums over a row use 16 partial sums by k mod 16,
// each from zero in rising k by fused multiply-add (or add), then added pairwise: s[j] + s[j+8], then +4, +2,
// +1.
#include <cstdint>

#include "base/threads.h"
#include "kernels/isa.h"

namespace octavo::kernels {

enum class RowForm { kF32, kBF16, kS8 };  // what a product reads

// int8 codes whose scale and zero point calibration has fixed:
//   code = clamp(round_half_even(x[k] / divisor[k]) + zero_point, -128, 127)
struct StaticCodes {
  const float* divisor = nullptr;  // [k], or [1] where not per_column; positive, normal
  bool per_column = false;
  int32_t zero_point = 0;   // [-128, 127]
  float product_scale = 1;  // what each row's `scale` becomes
};

// Rows as a product reads them. codes: int8 = round_half_even(x / scale), scale = absmax / 127 (1 where
// absmax < 2^-119, a row of zeros in effect: that quotient would be denormal), one per row; or as
// `static_codes` says. All divisions are true fp32 divisions. A row with a non-finite value gets scale NaN
// and zero codes, so that NaN reaches the output instead of vanishing.
struct RowOut {
  RowForm form = RowForm::kF32;
  void* data = nullptr;                       // [m,k] float, bf16 bits or int8
  float* scale = nullptr;                     // [m], kS8 only
  const StaticCodes* static_codes = nullptr;  // kS8 only; null: a scale per row
};

struct ElementwiseKernels;  // the functions below for one ISA, and RoPE of a row (kernels.h)
const ElementwiseKernels& select_elementwise(Isa isa);

// out[i,:] = x[i,:] * r * weight[:],  r = 1 / sqrt(sum_k x[i,k]^2 / k + eps); (x * r) is rounded before *
// weight. x has row stride x_stride; out rows are contiguous (stride k). In place (kF32, x_stride == k) is
// allowed.
void rms_norm(base::ThreadPool& pool, const ElementwiseKernels& kernels, const float* x, int64_t x_stride,
              const float* weight, float eps, int64_t m, int64_t k, RowOut out);

// out = silu(gate) * up, silu(g) = g / (1 + exp(-g)). gate, up: [m,k] with row stride `stride`.
void silu_mul(base::ThreadPool& pool, const ElementwiseKernels& kernels, const float* gate, const float* up,
              int64_t stride, int64_t m, int64_t k, RowOut out);

// x[m,k] with row stride x_stride, to a form.
void convert_rows(base::ThreadPool& pool, const ElementwiseKernels& kernels, const float* x, int64_t x_stride,
                  int64_t m, int64_t k, RowOut out);

// y += x over n elements.
void add(base::ThreadPool& pool, const ElementwiseKernels& kernels, const float* x, float* y, int64_t n);

// y = exp(x) over n elements, by the one formula of every ISA (kernels/vec/exp.inl): within 1 ulp; results
// below the smallest normal number are 0. In place is allowed.
void exp_values(const ElementwiseKernels& kernels, const float* x, float* y, int64_t n);

}  // namespace octavo::kernels
