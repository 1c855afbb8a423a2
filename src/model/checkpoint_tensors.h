#pragma once
// A checkpoint's tensors seen through a config: found by name with their shapes checked, and read with their
// values checked. Errors name the file and the tensor, what was expected and what was found.
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "format/quant_manifest/quant_manifest.h"
#include "tensor/buffer.h"

namespace octavo::model {

// A shape in numbers for the check and in the config's words for the message.
struct Shape {
  std::vector<int64_t> sizes;
  const char* words;  // "[vocab_size, hidden_size]"
};

class CheckpointTensors {
 public:
  static Result<CheckpointTensors> open(const format::Checkpoint& checkpoint);  // which outlives it

  const format::Checkpoint& checkpoint() const { return *checkpoint_; }
  const format::QuantManifest& manifest() const { return manifest_; }

  // From headers alone. `purpose` follows "is missing": " (the weight is int8)".
  Result<const format::TensorInfo*> find(const std::string& name, const Shape& shape,
                                         std::string_view purpose = "");
  Result<const format::TensorInfo*> find_float(const std::string& name, const Shape& shape);
  // Whatever its shape and type; null when there is none.
  const format::TensorInfo* find_any(const std::string& name);
  // Every tensor was found; `model` says of what it would otherwise not be a part.
  Status check_no_others(const std::string& model) const;
  Status check_is_float(const format::TensorInfo& info) const;

  // Bytes of a tensor; of a float one all finite.
  Result<tensor::Buffer> read_bytes(const format::TensorInfo& info) const;
  // Of BF16, F16 or F32 as floats; none where `info` is null.
  Result<std::vector<float>> read_floats(const format::TensorInfo* info) const;
  Result<std::vector<float>> read_scales(const format::TensorInfo& info) const;      // positive, normal
  Result<std::vector<int32_t>> read_integers(const format::TensorInfo& info) const;  // I8 or I32

  std::string quote(const format::TensorInfo& info) const;  // quote_tensor

 private:
  CheckpointTensors(const format::Checkpoint& checkpoint, format::QuantManifest manifest)
      : checkpoint_(&checkpoint), manifest_(std::move(manifest)) {}

  const format::Checkpoint* checkpoint_;
  format::QuantManifest manifest_;
  std::set<const format::TensorInfo*> used_;
};

bool is_float(tensor::DType dtype);  // BF16, F16 or F32
// "FILE: tensor 'NAME'"
std::string quote_tensor(const format::Checkpoint& checkpoint, const format::TensorInfo& info);
// That element `index` is NaN or infinite.
Status not_finite(const format::Checkpoint& checkpoint, const format::TensorInfo& info, int64_t index);
// "[12, 7]" of element `index` of a row-major tensor.
std::string place_text(const format::TensorInfo& info, int64_t index);

}  // namespace octavo::model
