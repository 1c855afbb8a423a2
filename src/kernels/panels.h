#pragma once
// How a weight matrix is laid out for the products (gemm_s8, gemm_f), and how a product is cut into tasks.
//
// A panel holds panel_n outputs. A lane is 4 bytes of k: 4 int8, 2 bf16 or 1 f32. Lanes of one k position
// stand side by side, so that a vector register (or an AMX tile row) holds the same k for many outputs:
//   panel[lane l of k, output j] = bytes [4 l, 4 l + 4) of w's row (first output of the panel + j)
// Missing outputs and k are zeros. With panel_n 1 a panel is a row of w.
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/check.h"

namespace octavo::kernels {

inline constexpr int64_t kLaneBytes = 4;

struct PanelLayout {
  int64_t panel_n = 1;    // outputs of a panel
  int64_t pad_lanes = 1;  // lanes of k are padded to a multiple of this

  int64_t n_panels(int64_t n) const { return (n + panel_n - 1) / panel_n; }
  int64_t n_lanes(int64_t row_bytes) const {
    const int64_t lanes = (row_bytes + kLaneBytes - 1) / kLaneBytes;
    return (lanes + pad_lanes - 1) / pad_lanes * pad_lanes;
  }
  int64_t panel_bytes(int64_t row_bytes) const { return n_lanes(row_bytes) * panel_n * kLaneBytes; }
};

// A grid of tasks over y[m,n]: each task is block_m rows by group_panels panels. A function of the shape
// alone, so that results cannot depend on the number of threads.
struct TaskGrid {
  int64_t m = 0, n_panels = 0;
  int64_t block_m = 1, group_panels = 1;
  int64_t n_blocks = 0, n_groups = 0;

  struct Task {
    int64_t row_begin, n_rows, panel_begin, n_panels;
  };
  int64_t n_tasks() const { return n_blocks * n_groups; }
  Task task(int64_t index) const;  // the blocks of one group follow each other: its weights stay in cache
};

// At most max_block_m rows (the blocks as equal as multiples of tile_m allow) and max_group_panels panels.
TaskGrid cut_product(int64_t m, int64_t n_panels, int64_t panel_bytes, int64_t tile_m, int64_t max_block_m,
                     int64_t max_group_panels);

// The tasks of a few products of the same rows as those of one loop, product after product.
class TasksSideBySide {
 public:
  static constexpr size_t kMaxProducts = 4;
  struct Place {
    size_t product;
    int64_t task;
  };

  void add(const TaskGrid& grid) {
    OCTAVO_CHECK(n_products_ < kMaxProducts);
    ends_[n_products_] = count() + grid.n_tasks();
    ++n_products_;
  }
  int64_t count() const { return n_products_ == 0 ? 0 : ends_[n_products_ - 1]; }
  Place at(int64_t index) const {
    size_t product = 0;
    while (index >= ends_[product]) ++product;
    return {product, product == 0 ? index : index - ends_[product - 1]};
  }

 private:
  std::array<int64_t, kMaxProducts> ends_{};
  size_t n_products_ = 0;
};

}  // namespace octavo::kernels
