// Looks at every value of the float tensors, a part at a time: not finite, or for scales anything that
// is not a positive normal number, as loading the model refuses it. Called by inspect.cc.
#include "format/tensor_values.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "base/text_format.h"

namespace octavo::format {

namespace {

using tensor::DType;

constexpr int64_t kPartElements = int64_t{1} << 20;

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF64;
}

// The first value of `values` that must not be there, or their number.
size_t find_bad(const std::vector<float>& values, bool is_scale) {
  const auto bad = [is_scale](float value) {
    return is_scale ? !(value > 0 && std::isnormal(value)) : !std::isfinite(value);
  };
  return static_cast<size_t>(std::find_if(values.begin(), values.end(), bad) - values.begin());
}

std::string index_text(const TensorInfo& info, int64_t index) {
  std::vector<int64_t> at(info.shape.size());
  for (size_t i = at.size(); i-- > 0;) {
    at[i] = index % info.shape[i];
    index /= info.shape[i];
  }
  return shape_text(at);
}

}  // namespace

Result<std::string> find_bad_value(const SafetensorsFile& file, const TensorInfo& info) {
  if (!is_float(info.dtype)) return std::string();
  const std::string_view name = info.name;
  const bool is_scale =
      name.ends_with(".weight_scale") || name.ends_with(".input_scale") || name.ends_with(".deq_scale");
  const int64_t n = info.n_elements(), element_bytes = tensor::dtype_bytes(info.dtype);
  std::vector<uint64_t> bytes(static_cast<size_t>(std::min(n, kPartElements)));  // aligned for every type
  std::vector<float> values;
  for (int64_t begin = 0; begin < n; begin += kPartElements) {
    const int64_t n_part = std::min(kPartElements, n - begin);
    OCTAVO_RETURN_IF_ERROR(file.read_part(info, static_cast<uint64_t>(begin * element_bytes),
                                          static_cast<uint64_t>(n_part * element_bytes), bytes.data()));
    values.resize(static_cast<size_t>(n_part));
    tensor::convert_to_f32(info.dtype, bytes.data(), values.data(), n_part);
    const size_t bad = find_bad(values, is_scale);
    if (bad == values.size()) continue;
    return base::quoted(file.path()) + ": tensor " + base::quoted(info.name) + ": expected " +
           (is_scale ? "positive scales" : "finite values") + ", found " + std::to_string(values[bad]) +
           " at " + index_text(info, begin + static_cast<int64_t>(bad));
  }
  return std::string();
}

}  // namespace octavo::format
