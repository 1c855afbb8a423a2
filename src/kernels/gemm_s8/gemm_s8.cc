// The entry points: cut the product into tasks by its shape, hand each to the weights' kernel. Called by
// model/linear.cc for every quantized linear layer.
#include "kernels/gemm_s8/gemm_s8.h"

#include <algorithm>
#include <array>
#include <vector>

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

// x of the products, with what its rows sum to.
struct Input {
  const int8_t* codes;
  const float* scale;  // null where the int32 sums alone are wanted
  const int32_t* sums;
};

// The rows' sums live until the calling thread's next product.
Input input_of(base::ThreadPool& pool, const GemmS8Kernel& kernel, const int8_t* x, const float* x_scale,
               int64_t m, int64_t k) {
  if (kernel.sum_rows == nullptr) return {x, x_scale, nullptr};
  thread_local std::vector<int32_t> memory;
  if (std::ssize(memory) < m) memory.resize(static_cast<size_t>(m));
  int32_t* sums = memory.data();
  pool.parallel_for((m + kGemmS8BlockRows - 1) / kGemmS8BlockRows, [&](int64_t block, int) {
    const int64_t row = block * kGemmS8BlockRows;
    kernel.sum_rows(x + row * k, std::min(kGemmS8BlockRows, m - row), k, sums + row);
  });
  return {x, x_scale, sums};
}

// The task's part of the product; where the results go is not said yet.
GemmS8Block operands_of(const TaskGrid::Task& task, const Input& x, const GemmS8Weights& w) {
  const GemmS8Kernel& kernel = *w.kernel;
  const int64_t stride = kernel.panel_stride_bytes(w.k);
  const int64_t column = task.panel_begin * kernel.layout.panel_n;
  GemmS8Block block;
  block.x = x.codes + task.row_begin * w.k;
  if (x.sums != nullptr) block.x_sums = x.sums + task.row_begin;
  block.m = task.n_rows;
  block.n = std::min(task.n_panels * kernel.layout.panel_n, w.n - column);
  block.k = w.k;
  block.panels = w.packed.as<std::byte>() + task.panel_begin * stride;
  block.panel_stride_bytes = stride;
  if (x.scale != nullptr) block.out.x_scale = x.scale + task.row_begin;
  block.out.w_scale = w.scale.data() + column;
  if (!w.bias.empty()) block.out.bias = w.bias.data() + column;
  return block;
}

// Where the task's results lie in a matrix of row stride `stride`.
int64_t offset_of(const TaskGrid::Task& task, const GemmS8Weights& w, int64_t stride) {
  return task.row_begin * stride + task.panel_begin * w.kernel->layout.panel_n;
}

// What a task holds of the gate: 64 rows by 4 panels of 64 outputs, a part of L2 beside the panels.
constexpr int64_t kGateFloats = kGemmS8BlockRows * 256;

void run_gated_task(const TaskGrid::Task& task, const Input& x, const GemmS8Weights& gate,
                    const GemmS8Weights& up, const RowOut& out) {
  alignas(64) float gate_values[kGateFloats];
  const int64_t panel_n = up.kernel->layout.panel_n;
  const int64_t n_at_once = std::max<int64_t>(1, kGateFloats / (task.n_rows * panel_n));
  for (int64_t begin = 0; begin < task.n_panels; begin += n_at_once) {
    const TaskGrid::Task part = {task.row_begin, task.n_rows, task.panel_begin + begin,
                                 std::min(n_at_once, task.n_panels - begin)};
    GemmS8Block block = operands_of(part, x, gate);
    const int64_t gate_stride = part.n_panels * panel_n;
    block.out.y = gate_values;
    block.out.stride = gate_stride;
    gate.kernel->run(block);
    block = operands_of(part, x, up);
    block.out.stride = up.n;
    const int64_t at = offset_of(part, up, up.n);
    if (out.form == RowForm::kF32) {
      block.out.y = static_cast<float*>(out.data) + at;
    } else {
      block.out.codes = static_cast<int8_t*>(out.data) + at;
      block.out.code_scale = out.scale + part.row_begin;
      block.out.static_codes = *out.static_codes;
      if (out.static_codes->per_column) block.out.static_codes.divisor += part.panel_begin * panel_n;
    }
    block.out.gate = gate_values;
    block.out.gate_stride = gate_stride;
    up.kernel->run(block);
  }
}

}  // namespace

void gemm_s8(base::ThreadPool& pool, const int8_t* x, const float* x_scale,
             std::span<const GemmS8Product> products, int64_t m, bool accumulate) {
  const base::FlushDenormals flush;  // the caller takes tasks too
  OCTAVO_CHECK(!products.empty() && products.size() <= TasksSideBySide::kMaxProducts);
  const GemmS8Weights& first = *products[0].w;
  const Input input = input_of(pool, *first.kernel, x, x_scale, m, first.k);
  std::array<TaskGrid, TasksSideBySide::kMaxProducts> grids;
  TasksSideBySide tasks;
  for (size_t i = 0; i < products.size(); ++i) {
    OCTAVO_CHECK(products[i].w->kernel == first.kernel && products[i].w->k == first.k);
    grids[i] = cut(*products[i].w, m);
    tasks.add(grids[i]);
  }
  pool.parallel_for(tasks.count(), [&](int64_t index, int) {
    const TasksSideBySide::Place place = tasks.at(index);
    const GemmS8Product& product = products[place.product];
    const TaskGrid::Task task = grids[place.product].task(place.task);
    GemmS8Block block = operands_of(task, input, *product.w);
    block.out.y = product.y + offset_of(task, *product.w, product.y_stride);
    block.out.stride = product.y_stride;
    block.out.accumulate = accumulate;
    product.w->kernel->run(block);
  });
}

void gemm_s8_gated(base::ThreadPool& pool, const int8_t* x, const float* x_scale, const GemmS8Weights& gate,
                   const GemmS8Weights& up, int64_t m, const RowOut& out) {
  const base::FlushDenormals flush;
  OCTAVO_CHECK(gate.n == up.n && gate.k == up.k && gate.kernel == up.kernel);
  const bool is_s8 = out.form == RowForm::kS8;
  OCTAVO_CHECK(is_s8 ? out.static_codes != nullptr : out.form == RowForm::kF32);
  if (is_s8) std::fill_n(out.scale, m, out.static_codes->product_scale);
  const Input input = input_of(pool, *up.kernel, x, x_scale, m, up.k);
  const TaskGrid grid = cut(up, m);
  pool.parallel_for(grid.n_tasks(),
                    [&](int64_t index, int) { run_gated_task(grid.task(index), input, gate, up, out); });
}

void gemm_s8_sums(base::ThreadPool& pool, const int8_t* x, const GemmS8Weights& w, int32_t* sums, int64_t m) {
  const base::FlushDenormals flush;
  const Input input = input_of(pool, *w.kernel, x, /*x_scale=*/nullptr, m, w.k);
  const TaskGrid grid = cut(w, m);
  pool.parallel_for(grid.n_tasks(), [&](int64_t index, int) {
    const TaskGrid::Task task = grid.task(index);
    GemmS8Block block = operands_of(task, input, w);
    block.out.sums = sums + offset_of(task, w, w.n);
    block.out.stride = w.n;
    w.kernel->run(block);
  });
}

}  // namespace octavo::kernels
