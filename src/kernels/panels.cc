// Packing of weights into panels (once, at load) and the cut of a product into tasks; called by the pack.cc
// and the entry points of gemm_s8 and gemm_f.
#include "kernels/panels.h"

#include <algorithm>
#include <cstring>

namespace octavo::kernels {
namespace {

// Enough tasks for 64 threads to end together, but none that reads less than 32 KB of weights (2 us at the
// 16 GB/s of one core, where taking a task costs 0.1 us).
constexpr int64_t kEnoughTasks = 128;
constexpr int64_t kMinTaskBytes = 32 * 1024;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Four lanes of four rows, transposed: GCC's and Clang's vectors, which every CPU has.
using Lanes4 = uint32_t __attribute__((vector_size(16)));

Lanes4 load_lanes(const std::byte* from) {
  Lanes4 lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

void transpose_lanes(const std::byte* from, int64_t row_bytes, std::byte* to, int64_t lane_stride) {
  const Lanes4 a = load_lanes(from), b = load_lanes(from + row_bytes), c = load_lanes(from + 2 * row_bytes),
               d = load_lanes(from + 3 * row_bytes);
  const Lanes4 ab01 = __builtin_shufflevector(a, b, 0, 4, 1, 5),
               ab23 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Lanes4 cd01 = __builtin_shufflevector(c, d, 0, 4, 1, 5),
               cd23 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Lanes4 out[] = {
      __builtin_shufflevector(ab01, cd01, 0, 1, 4, 5), __builtin_shufflevector(ab01, cd01, 2, 3, 6, 7),
      __builtin_shufflevector(ab23, cd23, 0, 1, 4, 5), __builtin_shufflevector(ab23, cd23, 2, 3, 6, 7)};
  for (int64_t lane = 0; lane < 4; ++lane) std::memcpy(to + lane * lane_stride, &out[lane], sizeof out[lane]);
}

// The lanes that rows have in full, n_rows of them. A cache line of each row after the other: rows often lie
// a power of two apart, and lane by lane their lines would push each other out of the cache (1.4 GB/s where
// this packs 7).
void pack_whole_lanes(const std::byte* from, int64_t row_bytes, int64_t n_lanes, std::byte* to,
                      int64_t lane_stride, int64_t n_rows) {
  constexpr int64_t kLineLanes = 16;
  for (int64_t line = 0; line < n_lanes; line += kLineLanes) {
    const int64_t end = std::min(n_lanes, line + kLineLanes);
    const int64_t end_of_fours = line + (end - line) / 4 * 4;
    for (int64_t j = 0; j < n_rows; j += 4) {
      const bool is_four = j + 4 <= n_rows;
      int64_t lane = line;
      for (; is_four && lane < end_of_fours; lane += 4) {
        transpose_lanes(from + j * row_bytes + lane * kLaneBytes, row_bytes,
                        to + lane * lane_stride + j * kLaneBytes, lane_stride);
      }
      for (; lane < end; ++lane) {
        for (int64_t row = j; row < std::min(n_rows, j + 4); ++row) {
          std::memcpy(to + lane * lane_stride + row * kLaneBytes, from + row * row_bytes + lane * kLaneBytes,
                      kLaneBytes);
        }
      }
    }
  }
}

}  // namespace

void for_each_panel(base::ThreadPool* pool, int64_t n_panels, base::TaskRef pack) {
  if (pool != nullptr) return pool->parallel_for(n_panels, pack);
  for (int64_t panel = 0; panel < n_panels; ++panel) pack(panel, 0);
}

void pack_panels(const PanelLayout& layout, const void* w, int64_t n, int64_t row_bytes, std::byte* out,
                 int64_t panel_stride_bytes) {
  const auto* rows = static_cast<const std::byte*>(w);
  const int64_t n_whole = row_bytes / kLaneBytes;
  const auto n_rest = static_cast<size_t>(row_bytes % kLaneBytes);
  const int64_t n_lanes = layout.n_lanes(row_bytes);
  if (n_lanes == 0) return;
  const int64_t lane_stride = layout.panel_n * kLaneBytes;
  for (int64_t panel = 0; panel < layout.n_panels(n); ++panel) {
    const std::byte* from = rows + panel * layout.panel_n * row_bytes;
    std::byte* to = out + panel * panel_stride_bytes;
    const int64_t n_outputs = std::min(layout.panel_n, n - panel * layout.panel_n);
    if (n_outputs < layout.panel_n) std::memset(to, 0, static_cast<size_t>(n_lanes * lane_stride));
    pack_whole_lanes(from, row_bytes, n_whole, to, lane_stride, n_outputs);
    std::memset(to + n_whole * lane_stride, 0, static_cast<size_t>((n_lanes - n_whole) * lane_stride));
    if (n_rest == 0) continue;
    for (int64_t j = 0; j < n_outputs; ++j) {
      std::memcpy(to + n_whole * lane_stride + j * kLaneBytes, from + j * row_bytes + n_whole * kLaneBytes,
                  n_rest);
    }
  }
}

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
