// The entry points: cut the product into tasks by its shape, hand each to the weights' kernel. Called by
// model/linear.cc for every quantized linear layer.
#include "kernels/gemm_s8/gemm_s8.h"

#include <algorithm>
#include <array>

#include "kernels/gemm_s8/kernel.h"

namespace octavo::kernels {
namespace {

// More panels in a task gain nothing (a kernel finishes one panel before the next) and cost balance.
constexpr int64_t kMaxGroupPanels = 16;

TaskGrid cut(const GemmS8Weights& w, int64_t m) {
  const GemmS8Kernel& kernel = *w.kernel;
  return cut_product(m, kernel.layout.n_panels(w.n), kernel.panel_stride_bytes(w.k), kernel.tile_m,
                     kGemmS8BlockRows, kMaxGroupPanels);
}

// out: of the whole product.
void run_task(const TaskGrid::Task& task, const int8_t* x, const GemmS8Weights& w, const GemmS8Output& out) {
  const GemmS8Kernel& kernel = *w.kernel;
  const int64_t stride = kernel.panel_stride_bytes(w.k);
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
}

}  // namespace

void gemm_s8(base::ThreadPool& pool, const int8_t* x, const float* x_scale,
             std::span<const GemmS8Product> products, int64_t m, bool accumulate) {
  const base::FlushDenormals flush;  // the caller takes tasks too
  OCTAVO_CHECK(products.size() <= TasksSideBySide::kMaxProducts);
  std::array<TaskGrid, TasksSideBySide::kMaxProducts> grids;
  TasksSideBySide tasks;
  for (size_t i = 0; i < products.size(); ++i) {
    grids[i] = cut(*products[i].w, m);
    tasks.add(grids[i]);
  }
  pool.parallel_for(tasks.count(), [&](int64_t index, int) {
    const TasksSideBySide::Place place = tasks.at(index);
    const GemmS8Product& product = products[place.product];
    GemmS8Output out;
    out.y = product.y;
    out.stride = product.y_stride;
    out.x_scale = x_scale;
    out.w_scale = product.w->scale.data();
    out.bias = product.w->bias.empty() ? nullptr : product.w->bias.data();
    out.accumulate = accumulate;
    run_task(grids[place.product].task(place.task), x, *product.w, out);
  });
}

void gemm_s8_sums(base::ThreadPool& pool, const int8_t* x, const GemmS8Weights& w, int32_t* sums, int64_t m) {
  const base::FlushDenormals flush;
  GemmS8Output out;
  out.sums = sums;
  out.stride = w.n;
  const TaskGrid grid = cut(w, m);
  pool.parallel_for(grid.n_tasks(), [&](int64_t index, int) { run_task(grid.task(index), x, w, out); });
}

}  // namespace octavo::kernels
