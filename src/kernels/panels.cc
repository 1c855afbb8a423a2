// The cut of a product into tasks; called by the entry points of gemm_s8 and gemm_f.
#include "kernels/panels.h"

#include <algorithm>

namespace octavo::kernels {
namespace {

// Enough tasks for 64 threads to end together, but none that reads less than 32 KB of weights (2 us at the
// 16 GB/s of one core, where taking a task costs 0.1 us).
constexpr int64_t kEnoughTasks = 128;
constexpr int64_t kMinTaskBytes = 32 * 1024;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

TaskGrid::Task TaskGrid::task(int64_t index) const {
  Task task{};
  task.row_begin = index % n_blocks * block_m;
  task.n_rows = std::min(block_m, m - task.row_begin);
  task.panel_begin = index / n_blocks * group_panels;
  task.n_panels = std::min(group_panels, n_panels - task.panel_begin);
  return task;
}

TaskGrid cut_product(int64_t m, int64_t n_panels, int64_t panel_bytes, int64_t tile_m, int64_t max_block_m,
                     int64_t max_group_panels) {
  TaskGrid grid;
  grid.m = m;
  grid.n_panels = n_panels;
  if (m == 0 || n_panels == 0) return grid;
  const int64_t equal_m = ceil_div(m, ceil_div(m, max_block_m));
  grid.block_m = std::min(ceil_div(equal_m, tile_m) * tile_m, max_block_m);
  grid.n_blocks = ceil_div(m, grid.block_m);
  const int64_t min_group =
      std::clamp<int64_t>(kMinTaskBytes / std::max<int64_t>(panel_bytes, 1), 1, max_group_panels);
  grid.group_panels = std::clamp(n_panels * grid.n_blocks / kEnoughTasks, min_group, max_group_panels);
  grid.n_groups = ceil_div(n_panels, grid.group_panels);
  return grid;
}

}  // namespace octavo::kernels
