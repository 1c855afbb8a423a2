#pragma once
// The rows of a weight that still lie in their file: a model's matrices go from there into packed panels
// piece by piece (model/linear_packing.h), and are never in memory as a whole. Values are checked on the way.
#include <cstdint>
#include <mutex>

#include "octavo/status.h"

#include "base/threads.h"
#include "format/checkpoint.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace octavo::model {

// Grows to the largest piece that was read with it, and is then used again for each; one for each thread.
class PieceMemory {
 public:
  std::byte* rows(size_t n_bytes) { return reserve(rows_, n_bytes); }
  std::byte* beside(size_t n_bytes) { return reserve(beside_, n_bytes); }  // of the same rows, another form

 private:
  static std::byte* reserve(tensor::Buffer& buffer, size_t n_bytes);
  tensor::Buffer rows_, beside_;
};

// Of what many threads read, the error that comes first in the matrix: the same one every time.
class FirstError {
 public:
  void add(int64_t begin, Status status);  // of the piece that begins there; thread-safe
  const Status& status() const { return status_; }

 private:
  std::mutex mutex_;
  int64_t begin_ = 0;
  Status status_;
};

// Of a matrix [n, k]: int8, BF16, F32, or F16 that becomes F32 (exact).
class StoredRows {
 public:
  // `twin`: another tensor of the same type and shape that must hold the same values, or null. All outlive
  // it.
  StoredRows(const format::Checkpoint& checkpoint, const format::TensorInfo& info,
             const format::TensorInfo* twin = nullptr)
      : checkpoint_(&checkpoint), info_(&info), twin_(twin) {}

  int64_t n() const { return info_->shape[0]; }
  int64_t row_bytes() const { return info_->shape[1] * tensor::dtype_bytes(dtype()); }
  tensor::DType dtype() const;  // as read: never F16

  // Rows [begin, begin + n) to to[n * row_bytes()]. Errors name file and tensor: a file cut short, a value
  // that is NaN or infinite, and where; a twin that differs. Thread-safe, with a memory for each thread.
  Status read(int64_t begin, int64_t n, std::byte* to, PieceMemory& memory) const;
  // All rows, on the threads of `pool` where there is one. Errors: also too little memory.
  Result<tensor::Buffer> read_all(base::ThreadPool* pool) const;

 private:
  const format::Checkpoint* checkpoint_;
  const format::TensorInfo* info_;
  const format::TensorInfo* twin_;
};

}  // namespace octavo::model
