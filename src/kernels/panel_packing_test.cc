#include "kernels/panel_packing.h"

#include <gtest/gtest.h>

#include <vector>

namespace octavo::kernels {
namespace {

// Packed by as many pieces as PanelPieces makes of it.
void expect_packed(const PanelLayout& layout, int64_t n, int64_t row_bytes, std::byte flip) {
  std::vector<std::byte> w(static_cast<size_t>(n * row_bytes));
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<std::byte>(1 + i * 7 % 255);
  const int64_t stride = layout.panel_bytes(row_bytes) + 24;
  ASSERT_EQ(layout.n_lanes(row_bytes) % layout.pad_lanes, 0);
  ASSERT_GE(layout.n_lanes(row_bytes) * kLaneBytes, row_bytes);
  std::vector<std::byte> out(static_cast<size_t>(layout.n_panels(n) * stride), std::byte{0xee});
  RowsInMemory rows(w.data(), row_bytes);
  const PanelPieces pieces(layout, n, row_bytes);
  for (int64_t i = 0; i < pieces.count(); ++i) {
    const PanelPiece piece = pieces.at(i);
    pack_piece(layout, piece, *rows.rows_of(piece, 0), row_bytes, flip, out.data(), stride);
  }
  for (int64_t panel = 0; panel < layout.n_panels(n); ++panel) {
    for (int64_t at = 0; at < stride; ++at) {
      const int64_t lane = at / kLaneBytes / layout.panel_n;
      const int64_t row = panel * layout.panel_n + at / kLaneBytes % layout.panel_n;
      const int64_t k = lane * kLaneBytes + at % kLaneBytes;
      const bool is_there = row < n && k < row_bytes;
      std::byte expected = (is_there ? w[static_cast<size_t>(row * row_bytes + k)] : std::byte{0}) ^ flip;
      if (at >= layout.panel_bytes(row_bytes)) expected = std::byte{0xee};
      ASSERT_EQ(out[static_cast<size_t>(panel * stride + at)], expected)
          << "panel_n " << layout.panel_n << " n " << n << " row_bytes " << row_bytes << " at " << at;
    }
  }
}

constexpr PanelLayout kLayouts[] = {{1, 1}, {16, 1}, {16, 16}, {32, 8}, {64, 1}};

TEST(PanelPacking, EachByteIsWhereTheLayoutSaysAndTheRestIsZero) {
  for (const PanelLayout& layout : kLayouts) {
    for (const int64_t n : {1, 3, 15, 16, 17, 40, 70}) {
      for (const int64_t row_bytes : {0, 1, 3, 4, 5, 16, 63, 64, 66, 130}) {
        for (const int flip : {0, 0x80}) expect_packed(layout, n, row_bytes, static_cast<std::byte>(flip));
      }
    }
  }
}

TEST(PanelPacking, LongRowsAreCutInsidePanels) {
  constexpr int64_t kRowBytes = 12'290;
  EXPECT_EQ(PanelPieces({64, 1}, 130, kRowBytes).at(0).n, 16);
  EXPECT_EQ(PanelPieces({64, 1}, 130, 100).at(0).n, 192);
  for (const PanelLayout& layout : kLayouts) expect_packed(layout, 130, kRowBytes, std::byte{0x80});
}

TEST(PanelPacking, PiecesCoverEachOutputOnce) {
  for (const PanelLayout& layout : kLayouts) {
    for (const int64_t n : {0, 1, 64, 65, 1000}) {
      for (const int64_t row_bytes : {0, 1, 4096, 40'000, 1'000'000}) {
        const PanelPieces pieces(layout, n, row_bytes);
        int64_t n_outputs = 0, n_rows = 0;
        for (int64_t i = 0; i < pieces.count(); ++i) {
          const PanelPiece piece = pieces.at(i);
          ASSERT_EQ(piece.begin, n_outputs);
          ASSERT_TRUE(piece.n % layout.panel_n == 0 || layout.panel_n % piece.n == 0);
          n_outputs += piece.n;
          n_rows += piece.n_rows;
        }
        ASSERT_EQ(n_outputs, layout.n_panels(n) * layout.panel_n);
        ASSERT_EQ(n_rows, n);
      }
    }
  }
}

}  // namespace
}  // namespace octavo::kernels
