#pragma once
// One ISA's row functions. kernels.inc lists the tables; elementwise.cc splits the rows among threads; RoPE's
// and those of the norms before it attention.cc.
#include <cstdint>

#include "kernels/elementwise/elementwise.h"
#include "kernels/isa.h"

namespace octavo::kernels {

struct ElementwiseKernels {
  Isa isa;
  // One row of k values; `out.data` and `out.scale` are that row's.
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t k, const RowOut& out);
  void (*silu_mul)(const float* gate, const float* up, int64_t k, const RowOut& out);
  void (*convert)(const float* x, int64_t k, const RowOut& out);
  // Rotates the two halves of each head in place (Hugging Face's half-split RoPE):
  //   x[d], x[d+h/2] = x[d] c - x[d+h/2] s, x[d+h/2] c + x[d] s    (each product rounded, then the sum)
  // x: one row of n_heads * head_dim; cosine, sine: [head_dim/2], of its position.
  void (*rope)(float* x, int64_t n_heads, int64_t head_dim, const float* cosine, const float* sine);
  void (*add)(const float* x, float* y, int64_t n);
  void (*exp)(const float* x, float* y, int64_t n);
};

#define OCTAVO_ELEMENTWISE(table) extern const ElementwiseKernels table;
#include "kernels/elementwise/kernels.inc"
#undef OCTAVO_ELEMENTWISE

extern const ElementwiseKernels kFreeOrderElementwiseAvx2, kFreeOrderElementwiseAvx512;  // free_order.h

}  // namespace octavo::kernels
