// Splits the rows of elementwise.h's operations into tasks, by shape alone; the rows themselves are the ISA
// tables' (kernels.inc, rows.inl). Called by model/ between the products, exp_values by engine/'s sampler.
#include "kernels/elementwise/elementwise.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/elementwise/free_order.h"
#include "kernels/elementwise/kernels.h"

namespace octavo::kernels {
namespace {

constexpr const ElementwiseKernels* kTables[] = {
#define OCTAVO_ELEMENTWISE(table) &table,
#include "kernels/elementwise/kernels.inc"
#undef OCTAVO_ELEMENTWISE
};

// Values per task: some 5 us of work, against less than 1 us to hand a task out.
constexpr int64_t kTaskValues = 16384;

// Calls row(i) for each of m rows of k values.
template <class Row>
void for_each_row(base::ThreadPool& pool, int64_t m, int64_t k, const Row& row) {
  if (m == 0) return;
  const base::FlushDenormals flush;  // the caller runs tasks too
  const int64_t task_rows = std::max<int64_t>(1, kTaskValues / std::max<int64_t>(1, k));
  pool.parallel_for((m + task_rows - 1) / task_rows, [&](int64_t task, int) {
    const int64_t end = std::min(m, (task + 1) * task_rows);
    for (int64_t i = task * task_rows; i < end; ++i) row(i);
  });
}

// Row i of k values.
RowOut row_of(RowOut out, int64_t i, int64_t k) {
  const int64_t value_bytes = out.form == RowForm::kF32 ? 4 : out.form == RowForm::kBF16 ? 2 : 1;
  out.data = static_cast<char*>(out.data) + i * k * value_bytes;
  if (out.form == RowForm::kS8) out.scale += i;
  return out;
}

}  // namespace

const ElementwiseKernels& select_elementwise(Isa isa) {
  const ElementwiseKernels* best = nullptr;
  for (const ElementwiseKernels* table : kTables) {
    if (table->isa <= isa && cpu_has(table->isa)) best = table;
  }
  OCTAVO_CHECK(best != nullptr);
  return *best;
}

const ElementwiseKernels* free_order_elementwise(Isa isa) {
#if defined(OCTAVO_X86_KERNELS)
  const ElementwiseKernels& canonical = select_elementwise(isa);
  for (const ElementwiseKernels* table : {&kFreeOrderElementwiseAvx2, &kFreeOrderElementwiseAvx512}) {
    if (table->isa == canonical.isa) return table;
  }
#else
  (void)isa;
#endif
  return nullptr;
}

void rms_norm(base::ThreadPool& pool, const ElementwiseKernels& kernels, const float* x, int64_t x_stride,
              const float* weight, float eps, int64_t m, int64_t k, RowOut out) {
  for_each_row(pool, m, k,
               [&](int64_t i) { kernels.rms_norm(x + i * x_stride, weight, eps, k, row_of(out, i, k)); });
}

void silu_mul(base::ThreadPool& pool, const ElementwiseKernels& kernels, const float* gate, const float* up,
              int64_t stride, int64_t m, int64_t k, RowOut out) {
  for_each_row(pool, m, k, [&](int64_t i) {
    kernels.silu_mul(gate + i * stride, up + i * stride, k, row_of(out, i, k));
  });
}

void convert_rows(base::ThreadPool& pool, const ElementwiseKernels& kernels, const float* x, int64_t x_stride,
                  int64_t m, int64_t k, RowOut out) {
  for_each_row(pool, m, k, [&](int64_t i) { kernels.convert(x + i * x_stride, k, row_of(out, i, k)); });
}

void add(base::ThreadPool& pool, const ElementwiseKernels& kernels, const float* x, float* y, int64_t n) {
  for_each_row(pool, (n + kTaskValues - 1) / kTaskValues, kTaskValues, [&](int64_t i) {
    const int64_t begin = i * kTaskValues;
    kernels.add(x + begin, y + begin, std::min(kTaskValues, n - begin));
  });
}

void exp_values(const ElementwiseKernels& kernels, const float* x, float* y, int64_t n) {
  const base::FlushDenormals flush;
  kernels.exp(x, y, n);
}

}  // namespace octavo::kernels
