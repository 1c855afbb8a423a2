#pragma once
// Causal grouped-query attention over a paged KV cache, one canonical order for prefill and decode; and the
// way of new rows into the cache (RoPE: elementwise/kernels.h).
//
// The keys of a sequence lie in blocks of kKvBlockTokens at absolute positions 0, 64, 128 … For a query at
// position p, head h, and each block b with positions <= p, in rising order:
//   s_t = scale * dot(q, k_t)        over head_dim in the order of gemm_f.h; q rounded to bf16 when KV is
//   m_b = max s_t;  p_t = exp(s_t - m_b), rounded to bf16 when KV is;  l_b = sum p_t (16 sums by t mod 16)
//   o_b[d] = sum_t p_t v_t[d]        in the order of gemm_f.h with k = t inside the block
// Masked and unfilled positions are left out, whatever lies there. Blocks merge from left to right, from
// M = -inf, L = 0, O = 0:
//   M' = max(M, m_b), a = exp(M - M'), c = exp(m_b - M');  L = fma(L, a, l_b * c);  O = fma(O, a, o_b * c)
// and out = O / L + 0 (zeros are positive, so that padding with zeros cannot show). exp is vec/exp.inl's on
// every ISA. With int8 KV both products are exact sums of integers:
//   kc, vc = round(k / k_scale), round(v / v_scale)     scale: absmax / 127 of the token's row of the kv head
//   qc = round(q * (1 / q_scale)),  wc = round(w_t * (1 / w_scale)),  w_t = p_t * v_scale_t, p_t not rounded
//                                   scale: absmax / 16383 over head_dim, over the block's visible tokens
//   s_t = float(sum qc kc) * (q_scale * scale) * k_scale_t;   o_b[d] = float(sum_t wc_t vc_t[d]) * w_scale
// Same bits for every tiling, batch, number of threads and ISA (of a NaN only that it is one).
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/threads.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/isa.h"
#include "tensor/dtype.h"

namespace octavo::kernels {

inline constexpr int64_t kKvBlockTokens = 64;

// The shape of one layer's K and V in a block. The layout inside a block belongs to the kernels (kv_write and
// attention agree on it; the same for every ISA): K and V of one kv head are each a B operand of a product.
struct KvShape {
  tensor::DType dtype = tensor::DType::kBF16;  // kBF16, kF32 or kI8 (codes, a scale per token and kv head)
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;  // even; at most kS8KvMaxHeadDim where dtype is kI8
};
inline constexpr int64_t kS8KvMaxHeadDim = 1024;
size_t kv_block_bytes(const KvShape& shape);  // K and V of kKvBlockTokens tokens, one layer; multiple of 64

struct AttentionKernels;
const AttentionKernels& select_attention(Isa isa);

// One sequence's rows in a batch.
struct AttentionSequence {
  int64_t row_begin = 0;  // first row of q, k, v and out
  int64_t n_rows = 0;     // positions position_begin … position_begin + n_rows - 1
  int64_t position_begin = 0;
  std::span<void* const> blocks;  // block b holds positions [64 b, 64 b + 64); 64-byte aligned
};

// Stores k and v (rows of n_kv_heads * head_dim, row strides k_stride, v_stride; after RoPE), rounded or
// quantized to the KV dtype. An int8 row that holds a NaN or an infinity is NaN to attention.
void kv_write(base::ThreadPool& pool, const AttentionKernels& kernels, const KvShape& shape, const float* k,
              int64_t k_stride, const float* v, int64_t v_stride,
              std::span<const AttentionSequence> sequences);

// Norms of the heads of q and k before RoPE; null: none.
struct HeadNorms {
  const float* q = nullptr;  // weights, [head_dim]
  const float* k = nullptr;
  float eps = 0.0F;
};

// What lies between the products and attention, in one pass over the rows: the norms, RoPE of q and k in
// place, and kv_write. q [m, n_heads * head_dim], k and v [m, n_kv_heads * head_dim], cosine and sine [m,
// head_dim / 2] of the rows' positions; m being the rows of all sequences.
void rope_kv_write(base::ThreadPool& pool, const ElementwiseKernels& elementwise,
                   const AttentionKernels& kernels, const KvShape& shape, float* q, int64_t n_heads, float* k,
                   const float* v, const HeadNorms& norms, const float* cosine, const float* sine,
                   std::span<const AttentionSequence> sequences);

// Bytes of scratch `attention` needs for a batch (kernels allocate nothing).
size_t attention_scratch_bytes(const KvShape& shape, int64_t n_heads, int n_threads);

// A batch of single rows with fewer kv heads in all than threads is split along its contexts as well
// (split-KV decode), in parts that are merged in the order of blocks. q: rows of n_heads * head_dim (row
// stride q_stride); out: rows of n_heads * head_dim, contiguous. The KV of every position up to each row's
// own must have been written.
void attention(base::ThreadPool& pool, const AttentionKernels& kernels, const KvShape& shape, const float* q,
               int64_t q_stride, int64_t n_heads, float scale, std::span<const AttentionSequence> sequences,
               float* out, void* scratch);

}  // namespace octavo::kernels
