// Pieces of a few hundred KiB: what pread copies to memory is checked, and packed, from L2. Called by
// linear_packing.cc and, for matrices that stay as they are, by weights.cc.
#include "model/stored_rows.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/text_format.h"
#include "model/checkpoint_tensors.h"
#include "model/weights.h"

namespace octavo::model {

using tensor::DType;

std::byte* PieceMemory::reserve(tensor::Buffer& buffer, size_t n_bytes) {
  if (buffer.size_bytes() < n_bytes) {
    buffer = tensor::Buffer();  // so that old and new are never held together
    buffer = tensor::Buffer(n_bytes);
  }
  return buffer.as<std::byte>();
}

DType StoredRows::dtype() const { return info_->dtype == DType::kF16 ? DType::kF32 : info_->dtype; }

Status StoredRows::read(int64_t begin, int64_t n, std::byte* to, PieceMemory& memory) const {
  const int64_t first = begin * info_->shape[1], n_elements = n * info_->shape[1];
  const int64_t element_bytes = tensor::dtype_bytes(info_->dtype);
  const auto n_bytes = static_cast<size_t>(n_elements * element_bytes);
  const auto offset = static_cast<uint64_t>(first * element_bytes);
  const bool is_converted = info_->dtype != dtype();
  const size_t n_beside = (is_converted ? n_bytes : 0) + (twin_ != nullptr ? n_bytes : 0);
  std::byte* beside = n_beside == 0 ? nullptr : memory.beside(n_beside);
  std::byte* rows = is_converted ? std::exchange(beside, beside + n_bytes) : to;
  OCTAVO_RETURN_IF_ERROR(checkpoint_->read_part(info_->name, offset, n_bytes, rows));
  if (twin_ != nullptr) {
    OCTAVO_RETURN_IF_ERROR(checkpoint_->read_part(twin_->name, offset, n_bytes, beside));
    if (std::memcmp(rows, beside, n_bytes) != 0) {
      return corrupt(quote_tensor(*checkpoint_, *twin_) + " differs from " + base::quoted(info_->name) +
                     ", but config.json ties them: remove one, or set tie_word_embeddings to false");
    }
  }
  if (is_float(info_->dtype)) {
    if (const auto index = find_non_finite(info_->dtype, rows, n_elements)) {
      return not_finite(*checkpoint_, *info_, first + *index);
    }
  }
  if (is_converted) tensor::convert_to_f32(info_->dtype, rows, reinterpret_cast<float*>(to), n_elements);
  return {};
}

Result<tensor::Buffer> StoredRows::read_all(base::ThreadPool* pool) const {
  constexpr int64_t kPieceBytes = int64_t{256} << 10;
  OCTAVO_ASSIGN_OR_RETURN(tensor::Buffer all,
                          checkpoint_->make_room(*info_, static_cast<uint64_t>(n() * row_bytes())));
  const int64_t n_at_once = std::max<int64_t>(1, kPieceBytes / std::max<int64_t>(row_bytes(), 1));
  const int64_t n_pieces = (n() + n_at_once - 1) / n_at_once;
  std::vector<PieceMemory> memory(pool == nullptr ? 1 : static_cast<size_t>(pool->n_threads()));
  FirstError error;
  const auto read_piece = [&](int64_t piece, int thread) {
    const int64_t begin = piece * n_at_once;
    error.add(begin, read(begin, std::min(n_at_once, n() - begin), all.as<std::byte>() + begin * row_bytes(),
                          memory[static_cast<size_t>(thread)]));
  };
  if (pool != nullptr) {
    pool->parallel_for(n_pieces, read_piece);
  } else {
    for (int64_t piece = 0; piece < n_pieces; ++piece) read_piece(piece, 0);
  }
  OCTAVO_RETURN_IF_ERROR(error.status());
  return all;
}

void FirstError::add(int64_t begin, Status status) {
  if (status.ok()) return;
  const std::lock_guard lock(mutex_);
  if (!status_.ok() && begin > begin_) return;
  begin_ = begin;
  status_ = std::move(status);
}

}  // namespace octavo::model
