#include "kernels/panels.h"

#include <gtest/gtest.h>

#include <vector>

namespace octavo::kernels {
namespace {

TEST(Panels, EachByteIsWhereTheLayoutSaysAndTheRestIsZero) {
  for (const PanelLayout layout :
       {PanelLayout{1, 1}, PanelLayout{16, 1}, PanelLayout{16, 16}, PanelLayout{32, 8}}) {
    for (const int64_t n : {1, 15, 16, 17, 40}) {
      for (const int64_t row_bytes : {0, 1, 3, 4, 5, 63, 64, 66, 130}) {
        std::vector<uint8_t> w(static_cast<size_t>(n * row_bytes));
        for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<uint8_t>(1 + i * 7 % 255);
        const int64_t stride = layout.panel_bytes(row_bytes) + 24;
        ASSERT_EQ(layout.n_lanes(row_bytes) % layout.pad_lanes, 0);
        ASSERT_GE(layout.n_lanes(row_bytes) * kLaneBytes, row_bytes);
        std::vector<std::byte> out(static_cast<size_t>(layout.n_panels(n) * stride), std::byte{0xee});
        pack_panels(layout, w.data(), n, row_bytes, out.data(), stride);
        for (int64_t panel = 0; panel < layout.n_panels(n); ++panel) {
          for (int64_t at = 0; at < stride; ++at) {
            const int64_t lane = at / kLaneBytes / layout.panel_n;
            const int64_t row = panel * layout.panel_n + at / kLaneBytes % layout.panel_n;
            const int64_t k = lane * kLaneBytes + at % kLaneBytes;
            int expected = row < n && k < row_bytes ? w[static_cast<size_t>(row * row_bytes + k)] : 0;
            if (at >= layout.panel_bytes(row_bytes)) expected = 0xee;
            ASSERT_EQ(std::to_integer<int>(out[static_cast<size_t>(panel * stride + at)]), expected)
                << "panel_n " << layout.panel_n << " n " << n << " row_bytes " << row_bytes << " at " << at;
          }
        }
      }
    }
  }
}

TEST(Panels, TasksCoverTheProductOnceWithinTheirLimits) {
  for (const int64_t m : {1, 2, 4, 5, 63, 64, 65, 100, 129, 512, 2048}) {
    for (const int64_t n_panels : {1, 2, 7, 64, 65, 192, 1000}) {
      for (const int64_t panel_bytes : {0, 64, 16384, 65536, 409600}) {
        const TaskGrid grid = cut_product(m, n_panels, panel_bytes, 4, 64, 16);
        std::vector<int> covered(static_cast<size_t>(m * n_panels), 0);
        for (int64_t t = 0; t < grid.n_tasks(); ++t) {
          const TaskGrid::Task task = grid.task(t);
          ASSERT_TRUE(task.n_rows >= 1 && task.n_rows <= 64 && task.n_panels >= 1 && task.n_panels <= 16);
          ASSERT_TRUE(task.row_begin + task.n_rows <= m && task.panel_begin + task.n_panels <= n_panels);
          for (int64_t i = 0; i < task.n_rows; ++i) {
            for (int64_t p = 0; p < task.n_panels; ++p) {
              ++covered[static_cast<size_t>((task.row_begin + i) * n_panels + task.panel_begin + p)];
            }
          }
        }
        for (const int times : covered) ASSERT_EQ(times, 1) << m << " " << n_panels << " " << panel_bytes;
      }
    }
  }
}

TEST(Panels, AnEmptyProductHasNoTasks) {
  EXPECT_EQ(cut_product(0, 5, 64, 4, 64, 16).n_tasks(), 0);
  EXPECT_EQ(cut_product(5, 0, 64, 4, 64, 16).n_tasks(), 0);
}

TEST(Panels, ManyThreadsFindWorkInOneRow) {
  EXPECT_GE(cut_product(1, 192, 49152, 4, 64, 16).n_tasks(), 128);   // Qwen3-0.6B's gate, int8
  EXPECT_GE(cut_product(1, 9496, 32768, 3, 48, 8).n_tasks(), 1000);  // its lm_head, bf16
}

}  // namespace
}  // namespace octavo::kernels
