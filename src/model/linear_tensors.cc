// One linear layer in a checkpoint. int8 in compressed-tensors' names, static inputs as
//   y = (sum_k q[k] w[j,k] - zp sum_k w[j,k]) * weight_scale[j] * input_scale,  q = round(x / input_scale) +
//   zp
// or in Golden Stick's and msModelSlim's, whose deq_scale[j] is x_scale * w_scale[j] and whose input_scale[k]
// may hold smoothing, x_scale * s[k]. The zero point's part is always computed from the weights: quant_bias,
// where a file has it, went through bf16 (up to 0.6 % off), so it is compared and not used.
// Called by weights.cc.
#include "model/linear_tensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/text_format.h"
#include "kernels/gemm_s8/gemm_s8.h"

namespace octavo::model {

namespace {

using format::InputQuant;
using format::LinearQuant;
using format::QuantLayout;
using format::TensorInfo;
using tensor::DType;

// How far quant_bias may be from the exact correction: bf16 there and back, and a few units in float16.
constexpr double kCorrectionTolerance = 0.02;
constexpr double kCorrectionUnits = 16;

bool is_one_value(const TensorInfo& info) { return info.n_elements() == 1 && info.shape.size() <= 1; }

Status check_dtype(const CheckpointTensors& tensors, const TensorInfo& info,
                   std::initializer_list<DType> allowed) {
  if (std::find(allowed.begin(), allowed.end(), info.dtype) != allowed.end()) return {};
  std::string expected;
  for (const DType dtype : allowed)
    expected += (expected.empty() ? "" : " or ") + std::string(tensor::dtype_name(dtype));
  return unsupported(tensors.quote(info) + ": expected " + expected + ", found " +
                     tensor::dtype_name(info.dtype));
}

// [n, 1], [n], or one scale for all rows.
Result<const TensorInfo*> find_weight_scale(CheckpointTensors& tensors, const std::string& module,
                                            int64_t n) {
  const std::string name = module + ".weight_scale";
  const Shape shape = {{n, 1}, "one scale per output"};
  const TensorInfo* info = tensors.find_any(name);
  if (info == nullptr) return tensors.find(name, shape, " (the weight is int8)");
  if (info->shape != std::vector<int64_t>{n} && !is_one_value(*info)) {
    OCTAVO_ASSIGN_OR_RETURN(info, tensors.find(name, shape));
  }
  OCTAVO_RETURN_IF_ERROR(tensors.check_is_float(*info));
  return info;
}

Status find_compressed_tensors(CheckpointTensors& tensors, const std::string& module,
                               const LinearQuant& quant, LinearTensors& out) {
  OCTAVO_ASSIGN_OR_RETURN(out.weight_scale, find_weight_scale(tensors, module, out.n));
  if (quant.input != InputQuant::kStaticTensor) return {};
  const auto find_one = [&](const char* leaf, const char* purpose) -> Result<const TensorInfo*> {
    const TensorInfo* info = tensors.find_any(module + leaf);
    if (info != nullptr && is_one_value(*info)) return info;
    return tensors.find(module + leaf, {{1}, "one for the layer"}, purpose);
  };
  OCTAVO_ASSIGN_OR_RETURN(out.input_scale, find_one(".input_scale", " (the inputs are static)"));
  OCTAVO_RETURN_IF_ERROR(tensors.check_is_float(*out.input_scale));
  if (quant.input_symmetric) return {};
  OCTAVO_ASSIGN_OR_RETURN(out.input_zero_point,
                          find_one(".input_zero_point", " (the inputs are static and asymmetric)"));
  return check_dtype(tensors, *out.input_zero_point, {DType::kI8, DType::kI32});
}

// What a layer may have and Octavo does not do: shifted inputs, smoothing of dynamic ones.
Status check_golden_stick_extras(CheckpointTensors& tensors, const std::string& module, bool is_static) {
  const auto refuse = [&](const std::string& leaf, const char* what) -> Status {
    const TensorInfo* info = tensors.checkpoint().find(module + leaf);
    if (info == nullptr) return {};
    return unsupported(tensors.quote(*info) + ": " + what);
  };
  OCTAVO_RETURN_IF_ERROR(refuse(".beta", "shifted inputs (Outlier Suppression+) are not supported"));
  OCTAVO_RETURN_IF_ERROR(
      refuse(".dyn_quant_op.smooth_scale", "smoothing of dynamic inputs is not supported"));
  if (!is_static) return refuse(".smooth_scale", "smoothing of dynamic inputs is not supported");
  tensors.find_any(module + ".smooth_scale");  // 1 / s, which input_scale holds already
  return {};
}

Status find_golden_stick(CheckpointTensors& tensors, const std::string& module, const LinearQuant& quant,
                         LinearTensors& out) {
  const bool is_static = quant.input == InputQuant::kStaticTensor;
  OCTAVO_RETURN_IF_ERROR(check_golden_stick_extras(tensors, module, is_static));
  out.product_scale = is_static ? tensors.find_any(module + ".deq_scale") : nullptr;
  // A layer with deq_scale may still have the weights' own scale, which is then of no use.
  if (out.product_scale == nullptr || tensors.checkpoint().find(module + ".weight_scale") != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(out.weight_scale, find_weight_scale(tensors, module, out.n));
  }
  out.weight_offset = tensors.find_any(module + ".weight_offset");
  if (out.weight_offset != nullptr && !is_float(out.weight_offset->dtype)) {
    OCTAVO_RETURN_IF_ERROR(check_dtype(tensors, *out.weight_offset, {DType::kI8, DType::kI32}));
  }
  if (!is_static) return {};

  const Shape per_input = {{out.k}, "one per input"}, per_output = {{out.n}, "one per output"};
  const auto find_inputs = [&](const char* leaf) -> Result<const TensorInfo*> {
    const TensorInfo* info = tensors.find_any(module + leaf);
    if (info != nullptr && is_one_value(*info)) return info;
    return tensors.find(module + leaf, per_input, " (the inputs are static)");
  };
  OCTAVO_ASSIGN_OR_RETURN(out.input_scale, find_inputs(".input_scale"));
  OCTAVO_RETURN_IF_ERROR(tensors.check_is_float(*out.input_scale));
  OCTAVO_ASSIGN_OR_RETURN(out.input_zero_point, find_inputs(".input_offset"));
  if (!is_float(out.input_zero_point->dtype)) {
    OCTAVO_RETURN_IF_ERROR(check_dtype(tensors, *out.input_zero_point, {DType::kI8, DType::kI32}));
  }
  if (out.product_scale != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(out.product_scale, tensors.find(module + ".deq_scale", per_output));
    OCTAVO_RETURN_IF_ERROR(check_dtype(tensors, *out.product_scale, {DType::kF32, DType::kI64, DType::kU64}));
  }
  if (tensors.checkpoint().find(module + ".quant_bias") != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(out.correction, tensors.find(module + ".quant_bias", per_output));
    OCTAVO_RETURN_IF_ERROR(check_dtype(tensors, *out.correction, {DType::kI32}));
  }
  return {};
}

// Integers, or floats that are whole numbers.
Result<std::vector<int32_t>> read_whole_numbers(const CheckpointTensors& tensors, const TensorInfo& info) {
  if (!is_float(info.dtype)) return tensors.read_integers(info);
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<float> values, tensors.read_floats(&info));
  std::vector<int32_t> numbers;
  for (const float value : values) {
    if (value != std::nearbyint(value) || std::abs(value) > 0x1p24F) {
      return corrupt(tensors.quote(info) + ": expected whole numbers, found " + std::to_string(value));
    }
    numbers.push_back(static_cast<int32_t>(value));
  }
  return numbers;
}

// x_scale * w_scale: F32, or its bits in the low half of 64-bit words.
Result<std::vector<float>> read_product_scale(const CheckpointTensors& tensors, const TensorInfo& info) {
  if (info.dtype == DType::kF32) return tensors.read_scales(info);
  OCTAVO_ASSIGN_OR_RETURN(const tensor::Buffer bytes, tensors.read_bytes(info));
  std::vector<float> scales;
  for (int64_t i = 0; i < info.n_elements(); ++i) {
    const uint64_t word = bytes.as<uint64_t>()[i];
    const auto scale = std::bit_cast<float>(static_cast<uint32_t>(word));
    if (word >> 32 != 0 || !(scale > 0) || !std::isnormal(scale)) {
      return corrupt(tensors.quote(info) + ": expected the bits of positive floats, found " +
                     std::to_string(word) + " at " + place_text(info, i));
    }
    scales.push_back(scale);
  }
  return scales;
}

Result<int32_t> read_zero_point(const CheckpointTensors& tensors, const TensorInfo& info) {
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<int32_t> values, read_whole_numbers(tensors, info));
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string at = " at " + place_text(info, static_cast<int64_t>(i));
    if (values[i] < -128 || values[i] > 127) {
      return corrupt(tensors.quote(info) + ": expected a zero point from -128 to 127, found " +
                     std::to_string(values[i]) + at);
    }
    if (values[i] != values[0]) {
      return unsupported(tensors.quote(info) + ": expected one zero point for all inputs, found " +
                         std::to_string(values[0]) + " and " + std::to_string(values[i]) + at);
    }
  }
  return values[0];
}

// msModelSlim adds the layer's own bias, in units of deq_scale; it is read from its own tensor here.
Status check_correction(const CheckpointTensors& tensors, const LinearTensors& linear,
                        const LinearWeight& weight) {
  const TensorInfo& info = *linear.correction;
  const bool holds_bias = tensors.manifest().layout() == QuantLayout::kAscend;
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<int32_t> stored, tensors.read_integers(info));
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<float> bias, tensors.read_floats(linear.bias));
  const auto* codes = weight.data.as<int8_t>();
  for (int64_t j = 0; j < weight.n; ++j) {
    int32_t sum = 0;
    for (int64_t k = 0; k < weight.k; ++k) sum += codes[j * weight.k + k];
    double exact = -static_cast<double>(weight.input->zero_point) * sum;
    if (holds_bias && !bias.empty()) {
      exact += static_cast<double>(bias[static_cast<size_t>(j)]) /
               (static_cast<double>(weight.scale[static_cast<size_t>(j)]) * weight.input->product_scale);
    }
    const double found = stored[static_cast<size_t>(j)];
    if (std::abs(found - exact) <= kCorrectionTolerance * std::abs(exact) + kCorrectionUnits) continue;
    const std::string found_text =
        std::to_string(stored[static_cast<size_t>(j)]) + " at " + place_text(info, j);
    if (holds_bias && bias.empty()) {
      return unsupported(
          tensors.quote(info) + ": it seems to hold a bias of the layer, which has no tensor of " +
          "its own; expected about " + std::to_string(static_cast<int64_t>(exact)) + ", found " + found_text);
    }
    return corrupt(tensors.quote(info) + ": expected about " + std::to_string(static_cast<int64_t>(exact)) +
                   ", minus the zero point times the sum of the weights, found " + found_text);
  }
  return {};
}

Status read_static_input(const CheckpointTensors& tensors, const LinearTensors& linear, LinearWeight& out) {
  StaticInput input;
  OCTAVO_ASSIGN_OR_RETURN(input.scale, tensors.read_scales(*linear.input_scale));
  if (linear.input_zero_point != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(input.zero_point, read_zero_point(tensors, *linear.input_zero_point));
    // Golden Stick's files for aclnn: float offsets, and scales to multiply by.
    const bool is_reciprocal =
        tensors.manifest().layout() == QuantLayout::kGoldenStick && is_float(linear.input_zero_point->dtype);
    for (float& scale : input.scale) {
      if (!is_reciprocal) break;
      scale = 1 / scale;
      if (!std::isnormal(scale)) return corrupt(tensors.quote(*linear.input_scale) + ": scales out of range");
    }
  }
  const bool is_one = std::all_of(input.scale.begin(), input.scale.end(),
                                  [&](float scale) { return scale == input.scale[0]; });
  if (is_one) input.scale.resize(1);
  if (linear.product_scale != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(out.scale, read_product_scale(tensors, *linear.product_scale));
  } else if (is_one) {
    input.product_scale = input.scale[0];
  } else {
    return unsupported(tensors.quote(*linear.input_scale) +
                       ": expected one scale where the layer has no deq_scale, found smoothed ones");
  }
  out.input = std::move(input);
  return linear.correction != nullptr ? check_correction(tensors, linear, out) : Status();
}

}  // namespace

Result<LinearTensors> find_linear(CheckpointTensors& tensors, const std::string& module, const Shape& shape,
                                  bool has_bias) {
  LinearTensors out;
  out.n = shape.sizes[0];
  out.k = shape.sizes[1];
  OCTAVO_ASSIGN_OR_RETURN(const std::optional<LinearQuant> quant, tensors.manifest().find(module));
  if (!quant) {
    OCTAVO_ASSIGN_OR_RETURN(out.weight, tensors.find_float(module + ".weight", shape));
  } else {
    OCTAVO_ASSIGN_OR_RETURN(out.weight, tensors.find(module + ".weight", shape));
    if (out.weight->dtype != DType::kI8) {
      return corrupt(tensors.quote(*out.weight) + ": expected I8, as " + tensors.manifest().source() +
                     " says, found " + tensor::dtype_name(out.weight->dtype));
    }
    const bool is_compressed_tensors = tensors.manifest().layout() == QuantLayout::kCompressedTensors;
    OCTAVO_RETURN_IF_ERROR(is_compressed_tensors ? find_compressed_tensors(tensors, module, *quant, out)
                                                 : find_golden_stick(tensors, module, *quant, out));
    if (out.input_scale != nullptr && out.k > kernels::kGemmS8MaxStaticK) {
      return unsupported(tensors.quote(*out.weight) + ": static inputs of " + std::to_string(out.k) +
                         " values are not supported; expected at most " +
                         std::to_string(kernels::kGemmS8MaxStaticK));
    }
  }
  if (has_bias) {
    OCTAVO_ASSIGN_OR_RETURN(out.bias, tensors.find_float(module + ".bias", {{out.n}, "one bias per output"}));
  }
  return out;
}

Result<LinearWeight> read_linear(const CheckpointTensors& tensors, const LinearTensors& linear,
                                 RowPlace place) {
  const StoredRows rows(tensors.checkpoint(), *linear.weight, linear.tied_copy);
  LinearWeight out;
  out.n = linear.n;
  out.k = linear.k;
  out.dtype = rows.dtype();
  if (place == RowPlace::kFile && linear.correction == nullptr) {
    out.stored = rows;
  } else {
    OCTAVO_ASSIGN_OR_RETURN(out.data, rows.read_all(nullptr));
  }
  if (linear.weight_scale != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(out.scale, tensors.read_scales(*linear.weight_scale));
    out.scale.resize(static_cast<size_t>(out.n), out.scale[0]);
  }
  if (linear.weight_offset != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(const std::vector<int32_t> offsets,
                            read_whole_numbers(tensors, *linear.weight_offset));
    if (std::any_of(offsets.begin(), offsets.end(), [](int32_t offset) { return offset != 0; })) {
      return unsupported(tensors.quote(*linear.weight_offset) +
                         ": asymmetric weights are not supported; expected zeros");
    }
  }
  if (linear.input_scale != nullptr) OCTAVO_RETURN_IF_ERROR(read_static_input(tensors, linear, out));
  OCTAVO_ASSIGN_OR_RETURN(out.bias, tensors.read_floats(linear.bias));
  return out;
}

}  // namespace octavo::model
