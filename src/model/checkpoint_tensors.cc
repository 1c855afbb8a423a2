// Finding (headers alone) and reading (values) are two steps of one path, so that a check of the headers
// accepts what reading will. Called by weights.cc and linear_tensors.cc.
#include "model/checkpoint_tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/text_format.h"
#include "model/weights.h"

namespace octavo::model {

using format::TensorInfo;
using tensor::DType;

bool is_float(DType dtype) { return dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF32; }

// "[12, 7]" of element `index` of a row-major tensor.
std::string place_text(const TensorInfo& info, int64_t index) {
  std::vector<int64_t> at(info.shape.size());
  for (size_t i = at.size(); i-- > 0;) {
    at[i] = index % info.shape[i];
    index /= info.shape[i];
  }
  return format::shape_text(at);
}

std::string quote_tensor(const format::Checkpoint& checkpoint, const TensorInfo& info) {
  return checkpoint.file_of(info).path() + ": tensor " + base::quoted(info.name);
}

Status not_finite(const format::Checkpoint& checkpoint, const TensorInfo& info, int64_t index) {
  return corrupt(quote_tensor(checkpoint, info) + ": expected finite values, found NaN or infinity at " +
                 place_text(info, index));
}

Result<CheckpointTensors> CheckpointTensors::open(const format::Checkpoint& checkpoint) {
  OCTAVO_ASSIGN_OR_RETURN(format::QuantManifest manifest, format::QuantManifest::read(checkpoint));
  return CheckpointTensors(checkpoint, std::move(manifest));
}

std::string CheckpointTensors::quote(const TensorInfo& info) const {
  return quote_tensor(*checkpoint_, info);
}

Result<const TensorInfo*> CheckpointTensors::find(const std::string& name, const Shape& shape,
                                                  std::string_view purpose) {
  const TensorInfo* info = checkpoint_->find(name);
  if (info == nullptr) {
    return not_found(checkpoint_->folder() + ": tensor " + base::quoted(name) + " is missing" +
                     std::string(purpose) + "; expected shape " + format::shape_text(shape.sizes) + ", " +
                     shape.words);
  }
  if (info->shape != shape.sizes) {
    return corrupt(quote(*info) + ": expected shape " + format::shape_text(shape.sizes) + ", " + shape.words +
                   " of config.json, found " + format::shape_text(info->shape));
  }
  used_.insert(info);
  return info;
}

Status CheckpointTensors::check_is_float(const TensorInfo& info) const {
  if (is_float(info.dtype)) return {};
  const bool is_weight = info.dtype == DType::kI8 && info.name.ends_with(".weight");
  return unsupported(quote(info) + ": expected BF16, F16 or F32, found " + tensor::dtype_name(info.dtype) +
                     (is_weight ? "; " + manifest_.source() + " does not cover it" : ""));
}

Result<const TensorInfo*> CheckpointTensors::find_float(const std::string& name, const Shape& shape) {
  OCTAVO_ASSIGN_OR_RETURN(const TensorInfo* info, find(name, shape));
  OCTAVO_RETURN_IF_ERROR(check_is_float(*info));
  return info;
}

const TensorInfo* CheckpointTensors::find_any(const std::string& name) {
  const TensorInfo* info = checkpoint_->find(name);
  if (info != nullptr) used_.insert(info);
  return info;
}

Status CheckpointTensors::check_no_others(const std::string& model) const {
  constexpr std::string_view kOldBuffer =
      ".rotary_emb.inv_freq";  // written by transformers up to 4.30, never read
  for (const TensorInfo* info : checkpoint_->tensors()) {
    const bool is_old_buffer = info->name.ends_with(kOldBuffer);
    if (used_.contains(info) || is_old_buffer) continue;
    return corrupt(quote(*info) + " is not part of " + model);
  }
  return {};
}

Result<tensor::Buffer> CheckpointTensors::read_bytes(const TensorInfo& info) const {
  OCTAVO_ASSIGN_OR_RETURN(tensor::Buffer bytes, checkpoint_->read(info.name));
  if (!is_float(info.dtype)) return bytes;
  if (const auto index = find_non_finite(info.dtype, bytes.data(), info.n_elements())) {
    return not_finite(*checkpoint_, info, *index);
  }
  return bytes;
}

// `info` may be null: no values.
Result<std::vector<float>> CheckpointTensors::read_floats(const TensorInfo* info) const {
  std::vector<float> values;
  if (info == nullptr) return values;
  OCTAVO_ASSIGN_OR_RETURN(const tensor::Buffer bytes, read_bytes(*info));
  values.resize(static_cast<size_t>(info->n_elements()));
  tensor::convert_to_f32(info->dtype, bytes.data(), values.data(), info->n_elements());
  return values;
}

Result<std::vector<float>> CheckpointTensors::read_scales(const TensorInfo& info) const {
  OCTAVO_ASSIGN_OR_RETURN(std::vector<float> scales, read_floats(&info));
  for (size_t i = 0; i < scales.size(); ++i) {
    if (scales[i] > 0 && std::isnormal(scales[i])) continue;
    return corrupt(quote(info) + ": expected positive scales, found " + std::to_string(scales[i]) + " at " +
                   place_text(info, static_cast<int64_t>(i)));
  }
  return scales;
}

Result<std::vector<int32_t>> CheckpointTensors::read_integers(const TensorInfo& info) const {
  if (info.dtype != DType::kI8 && info.dtype != DType::kI32) {
    return unsupported(quote(info) + ": expected I8 or I32, found " + tensor::dtype_name(info.dtype));
  }
  OCTAVO_ASSIGN_OR_RETURN(const tensor::Buffer bytes, read_bytes(info));
  const auto n = static_cast<size_t>(info.n_elements());
  if (info.dtype == DType::kI8) return std::vector<int32_t>(bytes.as<int8_t>(), bytes.as<int8_t>() + n);
  return std::vector<int32_t>(bytes.as<int32_t>(), bytes.as<int32_t>() + n);
}

}  // namespace octavo::model
