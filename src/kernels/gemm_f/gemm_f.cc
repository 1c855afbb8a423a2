// The entry point: cut the product into tasks by its shape, hand each to the weights' kernel. Called by
// model/linear.cc for every layer left in 16 or 32 bit.
#include "kernels/gemm_f/gemm_f.h"

#include <algorithm>

#include "kernels/gemm_f/kernel.h"

namespace octavo::kernels {

void gemm_f(base::ThreadPool& pool, const void* x, const GemmFWeights& w, float* y, int64_t m,
            int64_t y_stride, bool accumulate) {
  const base::FlushDenormals flush;  // the caller takes tasks too
  const GemmFKernel& kernel = *w.kernel;
  const int64_t row_bytes = w.k * tensor::dtype_bytes(w.dtype);
  const int64_t stride = kernel.layout.panel_bytes(row_bytes);
  const int64_t whole_tiles = kGemmFBlockRows / kernel.tile_m * kernel.tile_m;
  const TaskGrid grid =
      cut_product(m, kernel.layout.n_panels(w.n), stride, kernel.tile_m, whole_tiles, kGemmFBlockPanels);
  pool.parallel_for(grid.n_tasks(), [&](int64_t index, int) {
    const TaskGrid::Task task = grid.task(index);
    const int64_t column = task.panel_begin * kernel.layout.panel_n;
    GemmFBlock block;
    block.x = static_cast<const std::byte*>(x) + task.row_begin * row_bytes;
    block.m = task.n_rows;
    block.n = std::min(task.n_panels * kernel.layout.panel_n, w.n - column);
    block.k = w.k;
    block.panels = w.packed.as<std::byte>() + task.panel_begin * stride;
    block.panel_stride_bytes = stride;
    block.out.y = y + task.row_begin * y_stride + column;
    block.out.stride = y_stride;
    block.out.bias = w.bias.empty() ? nullptr : w.bias.data() + column;
    block.out.accumulate = accumulate;
    kernel.run(block);
  });
}

}  // namespace octavo::kernels
