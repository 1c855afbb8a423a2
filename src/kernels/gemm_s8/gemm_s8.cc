// The entry points: cut the product into tasks by its shape, hand each to the weights' kernel. Called by
// model/linear.cc for every quantized linear layer.
#include "kernels/gemm_s8/gemm_s8.h"

#include <algorithm>

#include "kernels/gemm_s8/kernel.h"

namespace octavo::kernels {
namespace {

// More panels in a task gain nothing (a kernel finishes one panel before the next) and cost balance.
constexpr int64_t kMaxGroupPanels = 16;

void run_blocks(base::ThreadPool& pool, const int8_t* x, const GemmS8Weights& w, int64_t m,
                const GemmS8Output& out) {
  const base::FlushDenormals flush;  // the caller takes tasks too
  const GemmS8Kernel& kernel = *w.kernel;
  const int64_t stride = kernel.panel_stride_bytes(w.k);
  const TaskGrid grid =
      cut_product(m, kernel.layout.n_panels(w.n), stride, kernel.tile_m, kGemmS8BlockRows, kMaxGroupPanels);
  pool.parallel_for(grid.n_tasks(), [&](int64_t index, int) {
    const TaskGrid::Task task = grid.task(index);
    const int64_t column = task.panel_begin * kernel.layout.panel_n;
    const int64_t at = task.row_begin * out.stride + column;
    GemmS8Block block;
    block.x = x + task.row_begin * w.k;
    block.m = task.n_rows;
    block.n = std::min(task.n_panels * kernel.layout.panel_n, w.n - column);
    block.k = w.k;
    block.panels = w.packed.as<std::byte>() + task.panel_begin * stride;
    block.panel_stride_bytes = stride;
    block.out = out;
    if (out.sums != nullptr) {
      block.out.sums += at;
    } else {
      block.out.y += at;
      block.out.x_scale += task.row_begin;
      block.out.w_scale += column;
      if (out.bias != nullptr) block.out.bias += column;
    }
    kernel.run(block);
  });
}

}  // namespace

void gemm_s8(base::ThreadPool& pool, const int8_t* x, const float* x_scale, const GemmS8Weights& w, float* y,
             int64_t m, int64_t y_stride, bool accumulate) {
  GemmS8Output out;
  out.y = y;
  out.stride = y_stride;
  out.x_scale = x_scale;
  out.w_scale = w.scale.data();
  out.bias = w.bias.empty() ? nullptr : w.bias.data();
  out.accumulate = accumulate;
  run_blocks(pool, x, w, m, out);
}

void gemm_s8_sums(base::ThreadPool& pool, const int8_t* x, const GemmS8Weights& w, int32_t* sums, int64_t m) {
  GemmS8Output out;
  out.sums = sums;
  out.stride = w.n;
  run_blocks(pool, x, w, m, out);
}

}  // namespace octavo::kernels
