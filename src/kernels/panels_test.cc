#include "kernels/panels.h"

#include <gtest/gtest.h>

#include <vector>

namespace octavo::kernels {
namespace {

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
