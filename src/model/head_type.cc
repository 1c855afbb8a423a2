// Codes a float lm_head when a model is loaded; the file stays as it is. What it costs in accuracy:
// docs/ACCURACY.md. Called by model/decoder.cc.
#include "model/head_type.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/check.h"
#include "kernels/elementwise/elementwise.h"

namespace octavo::model {

Result<HeadType> head_type_from_name(std::string_view name) {
  if (name == "auto") return HeadType::kAuto;
  if (name == "int8") return HeadType::kInt8;
  return invalid_argument(
      "lm_head_dtype: expected \"auto\" (as the checkpoint has it) or \"int8\", found \"" +
      std::string(name) + "\"");
}

namespace {

constexpr int64_t kRowsAtOnce = 4096;  // as floats: 16 MB at a width of 1024
constexpr int64_t kColumnsPerTask = 64;

// Calls rows(begin, m, values[m,k]) for all rows as floats, some at a time.
template <class Rows>
void for_rows_as_floats(const LinearWeight& weight, base::ThreadPool& pool, const Rows& rows) {
  std::vector<float> values(static_cast<size_t>(std::min(kRowsAtOnce, weight.n) * weight.k));
  const int64_t row_bytes = weight.k * tensor::dtype_bytes(weight.dtype);
  for (int64_t begin = 0; begin < weight.n; begin += kRowsAtOnce) {
    const int64_t m = std::min(kRowsAtOnce, weight.n - begin);
    pool.parallel_for(m, [&](int64_t i, int) {
      tensor::convert_to_f32(weight.dtype, weight.data.as<std::byte>() + (begin + i) * row_bytes,
                             values.data() + i * weight.k, weight.k);
    });
    rows(begin, m, values.data());
  }
}

std::vector<float> column_absmax(const LinearWeight& weight, base::ThreadPool& pool) {
  std::vector<float> largest(static_cast<size_t>(weight.k), 0.0F);
  for_rows_as_floats(weight, pool, [&](int64_t, int64_t m, const float* values) {
    pool.parallel_for((weight.k + kColumnsPerTask - 1) / kColumnsPerTask, [&](int64_t task, int) {
      const int64_t end = std::min(weight.k, (task + 1) * kColumnsPerTask);
      for (int64_t row = 0; row < m; ++row) {
        for (int64_t c = task * kColumnsPerTask; c < end; ++c) {
          float& to = largest[static_cast<size_t>(c)];
          to = std::max(to, std::fabs(values[row * weight.k + c]));
        }
      }
    });
  });
  return largest;
}

// Divides norm by what it returns, the factor of its column. A channel of which one side is zero does
// nothing: the other becomes zero too, or it would take steps from its row.
float smooth(float& norm, float column_absmax) {
  if (norm == 0 || column_absmax == 0) return norm = 0;
  const float scale = std::sqrt(std::fabs(norm) / column_absmax);
  if (scale < 0x1p-40F || scale > 0x1p+40F) return 1;  // far from any model, near the end of fp32
  norm /= scale;
  return scale;
}

}  // namespace

LinearWeight code_head(const LinearWeight& weight, std::vector<float>& norm, kernels::Isa isa,
                       base::ThreadPool& pool) {
  OCTAVO_CHECK(weight.dtype != tensor::DType::kI8 && static_cast<int64_t>(norm.size()) == weight.k);
  std::vector<float> scale = column_absmax(weight, pool);
  for (size_t c = 0; c < norm.size(); ++c) scale[c] = smooth(norm[c], scale[c]);
  LinearWeight out;
  out.n = weight.n;
  out.k = weight.k;
  out.dtype = tensor::DType::kI8;
  out.data = tensor::Buffer(static_cast<size_t>(weight.n * weight.k));
  out.scale.resize(static_cast<size_t>(weight.n));
  out.bias = weight.bias;
  const kernels::ElementwiseKernels& rows = kernels::select_elementwise(isa);
  for_rows_as_floats(weight, pool, [&](int64_t begin, int64_t m, float* values) {
    pool.parallel_for(m, [&](int64_t i, int) {
      for (int64_t c = 0; c < weight.k; ++c) values[i * weight.k + c] *= scale[static_cast<size_t>(c)];
    });
    kernels::convert_rows(
        pool, rows, values, weight.k, m, weight.k,
        {kernels::RowForm::kS8, out.data.as<int8_t>() + begin * weight.k, out.scale.data() + begin, nullptr});
  });
  return out;
}

}  // namespace octavo::model
