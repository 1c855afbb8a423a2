// The transposition that packing is: lanes of a row lie side by side, those of a panel n apart. Four rows by
// four lanes at a time in vectors of 16 bytes, which every CPU has: packing then costs less than the memory
// that it reads and writes, so no ISA has a version of its own.
#include "kernels/panel_packing.h"

#include <algorithm>
#include <cstring>

namespace octavo::kernels {
namespace {

// A quarter of the L2 of Zen 4: rows that were read from a file are still there when they are packed. Loading
// Qwen3-0.6B in int8 takes 130 ms with 64 to 256 KiB (two threads, least of 4 runs), 150 with 1 MiB.
constexpr int64_t kPieceBytes = int64_t{256} << 10;
constexpr int64_t kLineLanes = 16;  // of a cache line: no two pieces share one
constexpr int64_t kVectorLanes = 4;

using Lanes = uint32_t __attribute__((vector_size(16)));

Lanes load(const std::byte* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

void store(std::byte* to, Lanes lanes) { std::memcpy(to, &lanes, sizeof lanes); }

// Four lanes of four rows: lane l of row j goes to to[l * lane_stride + 4 j].
void transpose(const std::byte* from, int64_t row_bytes, Lanes flip, std::byte* to, int64_t lane_stride) {
  const Lanes a = load(from) ^ flip, b = load(from + row_bytes) ^ flip;
  const Lanes c = load(from + 2 * row_bytes) ^ flip, d = load(from + 3 * row_bytes) ^ flip;
  const Lanes ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Lanes cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Lanes ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Lanes cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store(to, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
  store(to + lane_stride, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
  store(to + 2 * lane_stride, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
  store(to + 3 * lane_stride, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

// Lanes [begin, end) of n rows, lane by lane; the last may be cut short.
void pack_lanes(const std::byte* from, int64_t n, int64_t row_bytes, int64_t begin, int64_t end,
                std::byte flip, std::byte* to, int64_t lane_stride) {
  for (int64_t lane = begin; lane < end; ++lane) {
    const auto n_bytes = static_cast<size_t>(std::min(kLaneBytes, row_bytes - lane * kLaneBytes));
    for (int64_t j = 0; j < n; ++j) {
      std::byte bytes[kLaneBytes] = {};
      std::memcpy(bytes, from + j * row_bytes + lane * kLaneBytes, n_bytes);
      for (std::byte& byte : bytes) byte ^= flip;
      std::memcpy(to + lane * lane_stride + j * kLaneBytes, bytes, kLaneBytes);
    }
  }
}

// Rows of one panel; to: the place of the first in it.
void pack_rows(const std::byte* from, int64_t n, int64_t row_bytes, std::byte flip, std::byte* to,
               int64_t lane_stride) {
  const int64_t n_lanes = (row_bytes + kLaneBytes - 1) / kLaneBytes;
  const int64_t n_vectors = n < kVectorLanes ? 0 : row_bytes / kLaneBytes / kVectorLanes;
  const int64_t n_whole = n / kVectorLanes * kVectorLanes;
  const Lanes flips = Lanes{} + 0x01010101U * std::to_integer<uint32_t>(flip);
  // A cache line of four rows at a time: rows may lie so that a set of L1 holds few of them.
  constexpr int64_t kLineVectors = kLineLanes / kVectorLanes;
  for (int64_t line = 0; line < n_vectors; line += kLineVectors) {
    const int64_t end = std::min(line + kLineVectors, n_vectors);
    for (int64_t j = 0; j < n_whole; j += kVectorLanes) {
      for (int64_t vector = line; vector < end; ++vector) {
        const int64_t lane = vector * kVectorLanes;
        transpose(from + j * row_bytes + lane * kLaneBytes, row_bytes, flips,
                  to + lane * lane_stride + j * kLaneBytes, lane_stride);
      }
    }
  }
  pack_lanes(from, n_whole, row_bytes, n_vectors * kVectorLanes, n_lanes, flip, to, lane_stride);
  pack_lanes(from + n_whole * row_bytes, n - n_whole, row_bytes, 0, n_lanes, flip, to + n_whole * kLaneBytes,
             lane_stride);
}

// Lanes [begin, end) of n outputs: zeros.
void pack_zeros(int64_t n, int64_t begin, int64_t end, std::byte flip, std::byte* to, int64_t lane_stride) {
  for (int64_t lane = begin; lane < end; ++lane) {
    std::memset(to + lane * lane_stride, std::to_integer<int>(flip), static_cast<size_t>(n * kLaneBytes));
  }
}

// How many outputs a piece has: whole panels, or the largest part of one, halved, that is not too many bytes.
int64_t choose_piece_n(const PanelLayout& layout, int64_t row_bytes) {
  const int64_t wanted = kPieceBytes / std::max<int64_t>(row_bytes, 1);
  if (wanted >= layout.panel_n) return wanted / layout.panel_n * layout.panel_n;
  int64_t piece_n = layout.panel_n;
  while (piece_n > wanted && piece_n % (2 * kLineLanes) == 0) piece_n /= 2;
  return piece_n;
}

}  // namespace

PanelPieces::PanelPieces(const PanelLayout& layout, int64_t n, int64_t row_bytes)
    : n_(n), n_padded_(layout.n_panels(n) * layout.panel_n), piece_n_(choose_piece_n(layout, row_bytes)) {}

PanelPiece PanelPieces::at(int64_t index) const {
  const int64_t begin = index * piece_n_;
  return {begin, std::min(piece_n_, n_padded_ - begin), std::clamp<int64_t>(n_ - begin, 0, piece_n_)};
}

void pack_piece(const PanelLayout& layout, const PanelPiece& piece, const std::byte* rows, int64_t row_bytes,
                std::byte flip, std::byte* panels, int64_t panel_stride_bytes) {
  const int64_t lane_stride = layout.panel_n * kLaneBytes;
  const int64_t n_lanes = layout.n_lanes(row_bytes), n_read = (row_bytes + kLaneBytes - 1) / kLaneBytes;
  if (n_lanes == 0) return;
  for (int64_t done = 0; done < piece.n;) {
    const int64_t at = (piece.begin + done) % layout.panel_n;
    const int64_t n = std::min(layout.panel_n - at, piece.n - done);
    const int64_t n_rows = std::clamp<int64_t>(piece.n_rows - done, 0, n);
    std::byte* to = panels + (piece.begin + done) / layout.panel_n * panel_stride_bytes + at * kLaneBytes;
    if (layout.panel_n == 1 && flip == std::byte{0}) {
      std::memcpy(to, rows + done * row_bytes, static_cast<size_t>(row_bytes));
      std::memset(to + row_bytes, 0, static_cast<size_t>(n_lanes * kLaneBytes - row_bytes));
    } else {
      pack_rows(rows + done * row_bytes, n_rows, row_bytes, flip, to, lane_stride);
      pack_zeros(n - n_rows, 0, n_read, flip, to + n_rows * kLaneBytes, lane_stride);
      pack_zeros(n, n_read, n_lanes, flip, to, lane_stride);
    }
    done += n;
  }
}

}  // namespace octavo::kernels
