// Codes a float lm_head when a model is loaded; the file stays as it is. What it costs in accuracy:
// docs/ACCURACY.md. Called by model/decoder.cc.
#include "model/head_type.h"

#include <algorithm>
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

LinearWeight coded_rows(const LinearWeight& weight, kernels::Isa isa, base::ThreadPool& pool) {
  OCTAVO_CHECK(weight.dtype != tensor::DType::kI8);
  LinearWeight out;
  out.n = weight.n;
  out.k = weight.k;
  out.dtype = tensor::DType::kI8;
  out.data = tensor::Buffer(static_cast<size_t>(weight.n * weight.k));
  out.scale.resize(static_cast<size_t>(weight.n));
  out.bias = weight.bias;
  const kernels::ElementwiseKernels& rows = kernels::select_elementwise(isa);
  constexpr int64_t kRowsAtOnce = 4096;  // as floats: 16 MB at a width of 1024
  std::vector<float> values(static_cast<size_t>(std::min(kRowsAtOnce, weight.n) * weight.k));
  const int64_t row_bytes = weight.k * tensor::dtype_bytes(weight.dtype);
  for (int64_t begin = 0; begin < weight.n; begin += kRowsAtOnce) {
    const int64_t m = std::min(kRowsAtOnce, weight.n - begin);
    pool.parallel_for(m, [&](int64_t i, int) {
      tensor::convert_to_f32(weight.dtype, weight.data.as<std::byte>() + (begin + i) * row_bytes,
                             values.data() + i * weight.k, weight.k);
    });
    kernels::convert_rows(
        pool, rows, values.data(), weight.k, m, weight.k,
        {kernels::RowForm::kS8, out.data.as<int8_t>() + begin * weight.k, out.scale.data() + begin, nullptr});
  }
  return out;
}

}  // namespace octavo::model
