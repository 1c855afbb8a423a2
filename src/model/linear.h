#pragma once
// One linear layer behind one call, f32, bf16 or int8 weights: the only caller of gemm_s8 and gemm_f outside
// tests.
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "base/threads.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/gemm_f/gemm_f.h"
#include "kernels/gemm_s8/gemm_s8.h"
#include "model/weights.h"

namespace octavo::model {

// Rows in the form a Linear reads (kernels::RowForm). Owned by the workspace.
struct Rows {
  kernels::RowForm form = kernels::RowForm::kF32;
  const void* data = nullptr;    // [m,k]
  const float* scale = nullptr;  // [m], kS8 only
  int64_t m = 0, k = 0;
};

class Linear;
struct LinearCall {
  const Linear* linear;
  float* y;
  int64_t y_stride;
};

class Linear {
 public:
  Linear() = default;
  // What LinearPacking made.
  explicit Linear(kernels::GemmFWeights packed) : packed_(std::move(packed)) {}
  Linear(kernels::GemmS8Weights packed, std::optional<StaticInput> static_input)
      : packed_(std::move(packed)), static_input_(std::move(static_input)) {}
  // Packs a weight that is in memory for `isa`, on the threads of `pool` where there is one. An empty weight
  // (n == 0) stays empty.
  Linear(const LinearWeight& weight, kernels::Isa isa, base::ThreadPool* pool = nullptr);
  // The same; the plain matrix is freed.
  Linear(LinearWeight&& weight, kernels::Isa isa, base::ThreadPool* pool = nullptr);

  int64_t n() const;
  int64_t k() const;
  kernels::RowForm input_form() const;  // kF32, kBF16 or kS8
  // How kS8 codes are to be made; null: with a scale per row. Two linears of equal ones read the same rows.
  const StaticInput* static_input() const { return static_input_ ? &*static_input_ : nullptr; }
  uint64_t packed_bytes() const;
  const char* kernel_name() const;

  // Row `row` of w as floats, to[k]: how a tied embedding is looked up in its one, packed copy. Not for int8.
  void weight_row(int64_t row, float* to) const;

  // Whether x in one form serves both.
  bool reads_rows_of(const Linear& other) const;

  // y[m,n] (row stride y_stride) = x w^T + bias, or += when accumulating. x.form must be input_form(), its
  // codes those of static_input().
  void forward(base::ThreadPool& pool, const Rows& x, float* y, int64_t y_stride,
               bool accumulate = false) const;
  // The same for several that read the same rows, in one loop over their tasks.
  static void forward_all(base::ThreadPool& pool, const Rows& x, std::span<const LinearCall> calls,
                          bool accumulate = false);

  // Whether both are int8 products of one input; then out[m,n] = silu(gate) * up, the gate's values kept in
  // cache: floats, or codes of a static input (gemm_s8_gated).
  static bool can_gate(const Linear& gate, const Linear& up);
  static void forward_gated(base::ThreadPool& pool, const Rows& x, const Linear& gate, const Linear& up,
                            const kernels::RowOut& out);

 private:
  std::variant<std::monostate, kernels::GemmFWeights, kernels::GemmS8Weights> packed_;
  std::optional<StaticInput> static_input_;
};

// What kernels read of it; `input` outlives it.
kernels::StaticCodes static_codes(const StaticInput& input);

}  // namespace octavo::model
