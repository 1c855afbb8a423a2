#pragma once
// The tensors that an int8 linear becomes on disk, in each layout: names, types and shapes before anything is
// computed, their bytes once it is.
#include <string>
#include <vector>

#include "format/safetensors.h"
#include "format/safetensors_writer.h"
#include "model/weights.h"
#include "quant/recipe.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace octavo::quant {

// How the target's folder is laid out (docs/FORMATS.md).
enum class Layout { kCompressedTensors, kGoldenStick };

// A tensor whose bytes differ from the source's.
struct ComputedTensor {
  std::string name;
  tensor::Buffer bytes;
};

// `weight` is the source's "MODULE.weight" [n, k]; its scales and those of its input are stored in its type,
// in which other readers hold them. In the order of writing.
std::vector<format::TensorSpec> stored_linear_specs(Layout layout, const format::TensorInfo& weight,
                                                    const LinearPolicy& policy);
// The bytes of these tensors. Takes the codes of `weight` (kI8).
std::vector<ComputedTensor> stored_linear(Layout layout, const std::string& module,
                                          model::LinearWeight weight, tensor::DType storage);

}  // namespace octavo::quant
