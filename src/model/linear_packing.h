#pragma once
// Linears on their way into panels, several at once: one loop over all their pieces keeps every thread busy
// although a small matrix has few. A piece is read from the file (where it still is), checked and packed by
// one thread while it lies in that core's cache.
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "octavo/status.h"

#include "kernels/gemm_f/gemm_f.h"
#include "kernels/gemm_s8/gemm_s8.h"
#include "kernels/panel_packing.h"
#include "model/linear.h"
#include "model/stored_rows.h"
#include "model/weights.h"

namespace octavo::model {

using PieceMemories = std::vector<PieceMemory>;  // one for each thread

class LinearPacking {
 public:
  // Both outlive it; the memories are for weights whose rows are in a file. An empty weight (n == 0) has no
  // piece and becomes an empty Linear.
  LinearPacking(const LinearWeight& weight, kernels::Isa isa, PieceMemories& memories);
  LinearPacking(const LinearPacking&) = delete;
  LinearPacking& operator=(const LinearPacking&) = delete;

  int64_t n_pieces() const;
  void pack(int64_t piece, int thread);  // each once, in any order, from many threads at once
  // Once all pieces are packed. Errors: of rows that could not be read.
  Result<Linear> take();

 private:
  // Reads rows from the weight's file; keeps the first error.
  class FileRows : public kernels::RowReader {
   public:
    FileRows(const StoredRows& rows, PieceMemories& memories) : rows_(rows), memories_(memories) {}
    std::optional<const std::byte*> rows(int64_t begin, int64_t n, int thread) override;
    const Status& status() const { return error_.status(); }

   private:
    const StoredRows& rows_;
    PieceMemories& memories_;
    FirstError error_;
  };
  kernels::RowReader& reader();

  const LinearWeight& weight_;
  std::optional<FileRows> file_;
  std::optional<kernels::RowsInMemory> memory_;
  std::variant<std::monostate, kernels::GemmFPacking, kernels::GemmS8Packing> packing_;
};

// All linears of a layer; the weights outlive it.
class LinearPackings {
 public:
  LinearPackings(std::span<const LinearWeight> weights, kernels::Isa isa, PieceMemories& memories);
  int64_t n_pieces() const { return ends_.empty() ? 0 : ends_.back(); }
  void pack(int64_t piece, int thread);
  Result<std::vector<Linear>> take();  // in the order of the weights; the first error

 private:
  std::deque<LinearPacking> packings_;
  std::vector<int64_t> ends_;  // of each one's pieces among all
};

// One alone, on the threads of `pool`.
Result<Linear> pack_linear(const LinearWeight& weight, kernels::Isa isa, base::ThreadPool& pool);

}  // namespace octavo::model
