// Called by model/decoder.cc when a model is loaded, and by Linear's constructor for weights in memory.
#include "model/linear_packing.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace octavo::model {

std::optional<const std::byte*> LinearPacking::FileRows::rows(int64_t begin, int64_t n, int thread) {
  PieceMemory& memory = memories_[static_cast<size_t>(thread)];
  std::byte* to = memory.rows(static_cast<size_t>(n * rows_.row_bytes()));
  const Status status = rows_.read(begin, n, to, memory);
  if (status.ok()) return to;
  error_.add(begin, status);
  return std::nullopt;
}

kernels::RowReader& LinearPacking::reader() {
  if (file_) return *file_;
  return *memory_;
}

LinearPacking::LinearPacking(const LinearWeight& weight, kernels::Isa isa, PieceMemories& memories)
    : weight_(weight) {
  if (weight.n == 0) return;  // a layer of which only the other block runs
  if (weight.stored) {
    file_.emplace(*weight.stored, memories);
  } else {
    memory_.emplace(weight.data.data(), weight.k * tensor::dtype_bytes(weight.dtype));
  }
  if (weight.dtype != tensor::DType::kI8) {
    packing_.emplace<kernels::GemmFPacking>(kernels::select_gemm_f(isa, weight.dtype), reader(), weight.bias,
                                            weight.n, weight.k);
    return;
  }
  OCTAVO_CHECK(!weight.input || weight.input->scale.size() == 1 ||
               weight.input->scale.size() == static_cast<size_t>(weight.k));
  packing_.emplace<kernels::GemmS8Packing>(kernels::select_gemm_s8(isa), reader(), weight.scale, weight.bias,
                                           weight.n, weight.k, weight.input ? weight.input->zero_point : 0);
}

int64_t LinearPacking::n_pieces() const {
  if (const auto* packing = std::get_if<kernels::GemmS8Packing>(&packing_)) return packing->n_pieces();
  if (const auto* packing = std::get_if<kernels::GemmFPacking>(&packing_)) return packing->n_pieces();
  return 0;
}

void LinearPacking::pack(int64_t piece, int thread) {
  if (auto* packing = std::get_if<kernels::GemmS8Packing>(&packing_)) packing->pack(piece, thread);
  if (auto* packing = std::get_if<kernels::GemmFPacking>(&packing_)) packing->pack(piece, thread);
}

Result<Linear> LinearPacking::take() {
  if (file_) OCTAVO_RETURN_IF_ERROR(file_->status());
  if (auto* packing = std::get_if<kernels::GemmS8Packing>(&packing_)) {
    return Linear(packing->take(), weight_.input);
  }
  if (auto* packing = std::get_if<kernels::GemmFPacking>(&packing_)) return Linear(packing->take());
  return Linear();
}

LinearPackings::LinearPackings(std::span<const LinearWeight> weights, kernels::Isa isa,
                               PieceMemories& memories) {
  for (const LinearWeight& weight : weights) {
    packings_.emplace_back(weight, isa, memories);
    ends_.push_back(n_pieces() + packings_.back().n_pieces());
  }
}

void LinearPackings::pack(int64_t piece, int thread) {
  const auto which = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), piece) - ends_.begin());
  packings_[which].pack(which == 0 ? piece : piece - ends_[which - 1], thread);
}

Result<std::vector<Linear>> LinearPackings::take() {
  std::vector<Linear> linears;
  for (LinearPacking& packing : packings_) {
    OCTAVO_ASSIGN_OR_RETURN(Linear linear, packing.take());
    linears.push_back(std::move(linear));
  }
  return linears;
}

Result<Linear> pack_linear(const LinearWeight& weight, kernels::Isa isa, base::ThreadPool& pool) {
  PieceMemories memories(static_cast<size_t>(pool.n_threads()));
  LinearPacking packing(weight, isa, memories);
  kernels::pack_all(packing, &pool);
  return packing.take();
}

}  // namespace octavo::model
