// compressed-tensors: weight, weight_scale [n, 1] and, for static inputs, input_scale [1] and
// input_zero_point I8 [1]. Golden Stick's layout: format/quant_manifest/golden_stick_write.h. Called by
// target_plan.cc for the specs, by write.cc for the bytes.
#include "quant/stored_linear.h"

#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "format/quant_manifest/golden_stick_write.h"

namespace octavo::quant {
namespace {

using format::TensorSpec;
using tensor::Buffer;
using tensor::DType;

Buffer stored_floats(std::span<const float> values, DType dtype) {
  Buffer bytes(values.size() * static_cast<size_t>(tensor::dtype_bytes(dtype)));
  tensor::convert_from_f32(dtype, values.data(), bytes.data(), static_cast<int64_t>(values.size()));
  return bytes;
}

template <class Integer>
Buffer stored_integers(std::span<const Integer> values) {
  Buffer bytes(values.size_bytes());
  std::memcpy(bytes.data(), values.data(), values.size_bytes());
  return bytes;
}

std::vector<ComputedTensor> golden_stick_linear(const std::string& module, model::LinearWeight weight,
                                                DType storage) {
  const std::optional<model::StaticInput> input = std::move(weight.input);
  std::vector<ComputedTensor> tensors;
  tensors.push_back({module + ".weight_scale", stored_floats(weight.scale, storage)});
  const std::vector<int32_t> offset(weight.scale.size(), 0);
  tensors.push_back({module + ".weight_offset", stored_integers<int32_t>(offset)});
  if (input) {
    const auto k = static_cast<size_t>(weight.k);
    const std::vector<float> scale(k, input->scale[0]);
    const std::vector<int8_t> zero_point(k, static_cast<int8_t>(input->zero_point));
    tensors.push_back({module + ".input_scale", stored_floats(scale, storage)});
    tensors.push_back({module + ".input_offset", stored_integers<int8_t>(zero_point)});
    const std::vector<float> deq_scale = format::golden_stick_deq_scale(weight.scale, input->scale[0]);
    tensors.push_back({module + ".deq_scale", stored_floats(deq_scale, DType::kF32)});
    const std::vector<int32_t> quant_bias =
        format::golden_stick_quant_bias(weight.data.as<int8_t>(), weight.n, weight.k, input->zero_point);
    tensors.push_back({module + ".quant_bias", stored_integers<int32_t>(quant_bias)});
  }
  tensors.push_back({module + ".weight", std::move(weight.data)});
  return tensors;
}

}  // namespace

std::vector<TensorSpec> stored_linear_specs(QuantLayout layout, const format::TensorInfo& weight,
                                            const LinearPolicy& policy) {
  const std::string module = weight.name.substr(0, weight.name.rfind('.'));
  const bool is_static = policy.has_static_input();
  if (layout == QuantLayout::kGoldenStick) {
    return format::golden_stick_specs(
        module, weight.shape[0], weight.shape[1], weight.dtype,
        is_static ? format::GoldenStickScheme::kW8A8 : format::GoldenStickScheme::kW8A8Dynamic);
  }
  std::vector<TensorSpec> specs = {{weight.name, DType::kI8, weight.shape},
                                   {weight.name + "_scale", weight.dtype, {weight.shape[0], 1}}};
  if (is_static) {
    specs.push_back({module + ".input_scale", weight.dtype, {1}});
    specs.push_back({module + ".input_zero_point", DType::kI8, {1}});
  }
  return specs;
}

std::vector<ComputedTensor> stored_linear(QuantLayout layout, const std::string& module,
                                          model::LinearWeight weight, DType storage) {
  if (layout == QuantLayout::kGoldenStick) return golden_stick_linear(module, std::move(weight), storage);
  std::vector<ComputedTensor> tensors;
  tensors.push_back({module + ".weight", std::move(weight.data)});
  tensors.push_back({module + ".weight_scale", stored_floats(weight.scale, storage)});
  if (weight.input) {
    const auto zero_point = static_cast<int8_t>(weight.input->zero_point);
    tensors.push_back({module + ".input_scale", stored_floats(weight.input->scale, storage)});
    tensors.push_back({module + ".input_zero_point", stored_integers<int8_t>({&zero_point, 1})});
  }
  return tensors;
}

}  // namespace octavo::quant
