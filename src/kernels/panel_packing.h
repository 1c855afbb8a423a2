#pragma once
// Rows of weights into panels (kernels/panels.h), once at load: in pieces that stay in a core's L2, so that
// rows which come from a file are read there, looked at and packed from there. Called by the pack.cc of
// gemm_s8 and gemm_f.
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/threads.h"
#include "kernels/panels.h"

namespace octavo::kernels {

// Outputs [begin, begin + n) of the panels, of which the matrix has the first n_rows: whole panels, or an
// equal part of one.
struct PanelPiece {
  int64_t begin, n, n_rows;
};

// Rows of a matrix on their way into panels: in memory, or brought there piece by piece.
class RowReader {
 public:
  virtual ~RowReader() = default;
  // Rows [begin, begin + n) without gaps, until this thread's next call. Nothing: they cannot be had; they
  // are then not packed, and who made the reader knows why. From many threads at once, `thread` as ThreadPool
  // counts.
  virtual std::optional<const std::byte*> rows(int64_t begin, int64_t n, int thread) = 0;

  std::optional<const std::byte*> rows_of(const PanelPiece& piece, int thread) {
    if (piece.n_rows == 0) return nullptr;  // outputs that only pad the last panel
    return rows(piece.begin, piece.n_rows, thread);
  }
};

class RowsInMemory : public RowReader {
 public:
  RowsInMemory(const void* rows, int64_t row_bytes)
      : rows_(static_cast<const std::byte*>(rows)), row_bytes_(row_bytes) {}
  std::optional<const std::byte*> rows(int64_t begin, int64_t, int) override {
    return rows_ + begin * row_bytes_;
  }

 private:
  const std::byte* rows_;
  int64_t row_bytes_;
};

// The pieces that make up all panels of n rows.
class PanelPieces {
 public:
  PanelPieces(const PanelLayout& layout, int64_t n, int64_t row_bytes);
  int64_t count() const { return (n_padded_ + piece_n_ - 1) / piece_n_; }
  PanelPiece at(int64_t index) const;

 private:
  int64_t n_, n_padded_, piece_n_;
};

// rows: the piece's n_rows rows of row_bytes. Panel p lies at panels + p * panel_stride_bytes. Every byte, of
// zeros too, is written xor `flip` (0x80 makes signed codes unsigned).
void pack_piece(const PanelLayout& layout, const PanelPiece& piece, const std::byte* rows, int64_t row_bytes,
                std::byte flip, std::byte* panels, int64_t panel_stride_bytes);

// All pieces of a GemmS8Packing or GemmFPacking: on the pool's threads, or here where there is none.
template <class Packing>
void pack_all(Packing& packing, base::ThreadPool* pool) {
  const auto pack = [&](int64_t piece, int thread) { packing.pack(piece, thread); };
  if (pool != nullptr) return pool->parallel_for(packing.n_pieces(), pack);
  for (int64_t piece = 0; piece < packing.n_pieces(); ++piece) pack(piece, 0);
}

}  // namespace octavo::kernels
