// What Golden Stick 1.4.1 writes for its ASCEND backend, but exact where it rounds: scales come from fp32
// arithmetic, and the zero-point correction is the integer itself (theirs goes through 16-bit floats). Called
// by quant/stored_linear.cc and quant/pipeline.cc.
#include "format/quant_manifest/golden_stick_write.h"

#include <numeric>
#include <string_view>

namespace octavo::format {

std::vector<TensorSpec> golden_stick_specs(const std::string& module, int64_t n, int64_t k,
                                           tensor::DType storage, GoldenStickScheme scheme) {
  using enum tensor::DType;
  std::vector<TensorSpec> specs = {{module + ".weight", kI8, {n, k}},
                                   {module + ".weight_scale", storage, {n}},
                                   {module + ".weight_offset", kI32, {n}}};
  if (scheme == GoldenStickScheme::kW8A8) {
    specs.push_back({module + ".input_scale", storage, {k}});
    specs.push_back({module + ".input_offset", kI8, {k}});
    specs.push_back({module + ".deq_scale", kF32, {n}});
    specs.push_back({module + ".quant_bias", kI32, {n}});
  }
  return specs;
}

std::vector<float> golden_stick_deq_scale(std::span<const float> weight_scale, float input_scale) {
  std::vector<float> product(weight_scale.begin(), weight_scale.end());
  for (float& scale : product) scale *= input_scale;
  return product;
}

std::vector<int32_t> golden_stick_quant_bias(const int8_t* codes, int64_t n, int64_t k, int32_t zero_point) {
  std::vector<int32_t> bias(static_cast<size_t>(n));
  for (size_t row = 0; row < bias.size(); ++row, codes += k) {
    bias[row] = -zero_point * std::accumulate(codes, codes + k, int32_t{0});
  }
  return bias;
}

base::Json golden_stick_description(std::span<const std::string> tensors,
                                    const std::map<std::string, GoldenStickScheme>& modules) {
  base::Json description(base::JsonObject{});
  for (const std::string& tensor : tensors) {
    const auto module = modules.find(tensor.substr(0, tensor.rfind('.')));
    const bool is_float = module == modules.end();
    const bool is_static = !is_float && module->second == GoldenStickScheme::kW8A8;
    description.set(tensor, is_float ? "FLOAT" : is_static ? "W8A8" : "W8A8_DYNAMIC");
  }
  return description;
}

}  // namespace octavo::format
