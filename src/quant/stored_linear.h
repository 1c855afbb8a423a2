#pragma once
// The tensors that an int8 linear becomes on disk, in each layout: names, types and shapes before anything is
// computed, their bytes once it is.
#include <string>
#include <vector>

#include "format/quant_manifest/quant_manifest.h"
#include "format/safetensors.h"
#include "format/safetensors_writer.h"
#include "model/weights.h"
#include "quant/recipe.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace octavo::quant {

using format::QuantLayout;  // of the target: kCompressedTensors or kGoldenStick

// A tensor whose bytes differ from the source's.
struct ComputedTensor {
  std::string name;
  tensor::Buffer bytes;
};

// `weight` is the source's "MODULE.weight" [n, k]; its scales and those of its input are stored in its type,
// in which other readers hold them. In the order of writing.
std::vector<format::TensorSpec> stored_linear_specs(QuantLayout layout, const format::TensorInfo& weight,
                                                    const LinearPolicy& policy);
// The bytes of these tensors. Takes the codes of `weight` (kI8).
std::vector<ComputedTensor> stored_linear(QuantLayout layout, const std::string& module,
                                          model::LinearWeight weight, tensor::DType storage);

}  // namespace octavo::quant
