// The entry point: cut the product into tasks by its shape, hand each to the weights' kernel. Called by
// model/linear.cc for every layer left in 16 or 32 bit.
#include "kernels/gemm_f/gemm_f.h"

#include <algorithm>
#include <array>

#include "kernels/gemm_f/kernel.h"

namespace octavo::kernels {
namespace {

int64_t panel_stride(const GemmFWeights& w) {
  return w.kernel->layout.panel_bytes(w.k * tensor::dtype_bytes(w.dtype));
}

void run_task(const TaskGrid::Task& task, const void* x, const GemmFProduct& product, bool accumulate) {
  const GemmFWeights& w = *product.w;
  const GemmFKernel& kernel = *w.kernel;
  const int64_t stride = panel_stride(w);
  const int64_t column = task.panel_begin * kernel.layout.panel_n;
  GemmFBlock block;
  block.x = static_cast<const std::byte*>(x) + task.row_begin * w.k * tensor::dtype_bytes(w.dtype);
  block.m = task.n_rows;
  block.n = std::min(task.n_panels * kernel.layout.panel_n, w.n - column);
  block.k = w.k;
  block.panels = w.packed.as<std::byte>() + task.panel_begin * stride;
  block.panel_stride_bytes = stride;
  block.out.y = product.y + task.row_begin * product.y_stride + column;
  block.out.stride = product.y_stride;
  block.out.bias = w.bias.empty() ? nullptr : w.bias.data() + column;
  block.out.accumulate = accumulate;
  kernel.run(block);
}

}  // namespace

void gemm_f(base::ThreadPool& pool, const void* x, std::span<const GemmFProduct> products, int64_t m,
            bool accumulate) {
  const base::FlushDenormals flush;  // the caller takes tasks too
  OCTAVO_CHECK(products.size() <= TasksSideBySide::kMaxProducts);
  std::array<TaskGrid, TasksSideBySide::kMaxProducts> grids;
  TasksSideBySide tasks;
  for (size_t i = 0; i < products.size(); ++i) {
    const GemmFWeights& w = *products[i].w;
    const GemmFKernel& kernel = *w.kernel;
    const int64_t whole_tiles = kGemmFBlockRows / kernel.tile_m * kernel.tile_m;
    grids[i] = cut_product(m, kernel.layout.n_panels(w.n), panel_stride(w), kernel.tile_m, whole_tiles,
                           kGemmFBlockPanels);
    tasks.add(grids[i]);
  }
  pool.parallel_for(tasks.count(), [&](int64_t index, int) {
    const TasksSideBySide::Place place = tasks.at(index);
    run_task(grids[place.product].task(place.task), x, products[place.product], accumulate);
  });
}

}  // namespace octavo::kernels
