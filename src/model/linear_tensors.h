#pragma once
// The tensors of one linear layer: a float weight, or an int8 one with what its layout stores beside it
// (docs/FORMATS.md).
#include <cstdint>
#include <string>

#include "format/quant_manifest/quant_manifest.h"
#include "model/checkpoint_tensors.h"
#include "model/weights.h"

namespace octavo::model {

// Those that a layer does not have are null.
struct LinearTensors {
  int64_t n = 0, k = 0;
  const format::TensorInfo* weight = nullptr;
  const format::TensorInfo* bias = nullptr;
  const format::TensorInfo* tied_copy = nullptr;  // the same matrix under another name: the values must agree
  // int8 only.
  const format::TensorInfo* weight_scale = nullptr;   // [n] or one
  const format::TensorInfo* weight_offset = nullptr;  // must hold zeros
  const format::TensorInfo* input_scale = nullptr;    // static inputs: [1], in Golden Stick's files also [k]
  const format::TensorInfo* input_zero_point = nullptr;  // of the shape of input_scale, all one value
  const format::TensorInfo* product_scale = nullptr;     // [n] x_scale * w_scale, instead of weight_scale
  const format::TensorInfo* correction = nullptr;        // [n] -zero point * sum_k w, as a check

  bool is_int8() const { return weight_scale != nullptr || product_scale != nullptr; }
};

// From headers alone: types, shapes and presence, as the checkpoint's manifest says for `module`.
Result<LinearTensors> find_linear(CheckpointTensors& tensors, const std::string& module, const Shape& shape,
                                  bool has_bias);
// Where a linear's rows are to be: in memory, or left in the file (LinearWeight::stored), unless a check
// needs them.
enum class RowPlace { kMemory, kFile };
// Values too. F16 becomes F32, exactly.
Result<LinearWeight> read_linear(const CheckpointTensors& tensors, const LinearTensors& linear,
                                 RowPlace place);

}  // namespace octavo::model
