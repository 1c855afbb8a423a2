// Calls the product that a weight's dtype asks for. Called by
// model/decoder.cc for every projection and for lm_head.
#include "model/linear.h"

#include <array>
#include <utility>

#include "base/check.h"
#include "kernels/panels.h"
#include "model/linear_packing.h"

namespace octavo::model {

using kernels::GemmFWeights;
using kernels::GemmS8Weights;

Linear::Linear(LinearWeight&& weight, kernels::Isa isa, base::ThreadPool* pool)
    : Linear(static_cast<const LinearWeight&>(weight), isa, pool) {
  weight = {};
}

Linear::Linear(const LinearWeight& weight, kernels::Isa isa, base::ThreadPool* pool) {
  OCTAVO_CHECK(!weight.stored);
  PieceMemories none;
  LinearPacking packing(weight, isa, none);
  kernels::pack_all(packing, pool);
  *this = packing.take().value();
}

int64_t Linear::n() const {
  if (const auto* w = std::get_if<GemmS8Weights>(&packed_)) return w->n;
  if (const auto* w = std::get_if<GemmFWeights>(&packed_)) return w->n;
  return 0;
}

int64_t Linear::k() const {
  if (const auto* w = std::get_if<GemmS8Weights>(&packed_)) return w->k;
  if (const auto* w = std::get_if<GemmFWeights>(&packed_)) return w->k;
  return 0;
}

kernels::RowForm Linear::input_form() const {
  if (std::holds_alternative<GemmS8Weights>(packed_)) return kernels::RowForm::kS8;
  const bool is_bf16 = std::get<GemmFWeights>(packed_).dtype == tensor::DType::kBF16;
  return is_bf16 ? kernels::RowForm::kBF16 : kernels::RowForm::kF32;
}

uint64_t Linear::packed_bytes() const {
  if (const auto* w = std::get_if<GemmS8Weights>(&packed_)) {
    const size_t n_input_scales = static_input_ ? static_input_->scale.size() : 0;
    return w->packed.size_bytes() + sizeof(float) * (w->scale.size() + w->bias.size() + n_input_scales);
  }
  if (const auto* w = std::get_if<GemmFWeights>(&packed_)) {
    return w->packed.size_bytes() + sizeof(float) * w->bias.size();
  }
  return 0;
}

const char* Linear::kernel_name() const {
  if (const auto* w = std::get_if<GemmS8Weights>(&packed_)) return kernels::gemm_s8_kernel_name(*w->kernel);
  if (const auto* w = std::get_if<GemmFWeights>(&packed_)) return kernels::gemm_f_kernel_name(*w->kernel);
  return "none";
}

void Linear::weight_row(int64_t row, float* to) const {
  kernels::gemm_f_unpack_row(std::get<GemmFWeights>(packed_), row, to);
}

bool Linear::reads_rows_of(const Linear& other) const {
  return packed_.index() == other.packed_.index() && input_form() == other.input_form() &&
         static_input_ == other.static_input_;
}

void Linear::forward(base::ThreadPool& pool, const Rows& x, float* y, int64_t y_stride,
                     bool accumulate) const {
  const LinearCall call = {this, y, y_stride};
  forward_all(pool, x, {&call, 1}, accumulate);
}

void Linear::forward_all(base::ThreadPool& pool, const Rows& x, std::span<const LinearCall> calls,
                         bool accumulate) {
  constexpr size_t kMax = kernels::TasksSideBySide::kMaxProducts;
  OCTAVO_CHECK(!calls.empty() && calls.size() <= kMax);
  std::array<kernels::GemmS8Product, kMax> s8;
  std::array<kernels::GemmFProduct, kMax> f;
  for (size_t i = 0; i < calls.size(); ++i) {
    const Linear& linear = *calls[i].linear;
    OCTAVO_CHECK(linear.reads_rows_of(*calls[0].linear) && x.form == linear.input_form() &&
                 x.k == linear.k());
    s8[i] = {std::get_if<GemmS8Weights>(&linear.packed_), calls[i].y, calls[i].y_stride};
    f[i] = {std::get_if<GemmFWeights>(&linear.packed_), calls[i].y, calls[i].y_stride};
  }
  if (x.form == kernels::RowForm::kS8) {
    kernels::gemm_s8(pool, static_cast<const int8_t*>(x.data), x.scale, std::span(s8).first(calls.size()),
                     x.m, accumulate);
  } else {
    kernels::gemm_f(pool, x.data, std::span(f).first(calls.size()), x.m, accumulate);
  }
}

bool Linear::can_gate(const Linear& gate, const Linear& up) {
  return up.input_form() == kernels::RowForm::kS8 && gate.reads_rows_of(up);
}

void Linear::forward_gated(base::ThreadPool& pool, const Rows& x, const Linear& gate, const Linear& up,
                           const kernels::RowOut& out) {
  OCTAVO_CHECK(can_gate(gate, up) && x.form == up.input_form() && x.k == up.k());
  kernels::gemm_s8_gated(pool, static_cast<const int8_t*>(x.data), x.scale,
                         std::get<GemmS8Weights>(gate.packed_), std::get<GemmS8Weights>(up.packed_), x.m,
                         out);
}

kernels::StaticCodes static_codes(const StaticInput& input) {
  return {input.scale.data(), input.scale.size() > 1, input.zero_point, input.product_scale};
}

}  // namespace octavo::model
