#pragma once
// What a model folder or a safetensors file is, from config, headers and values: `octavo inspect`.
#include <string>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::format {

// An object: "path", "kind" ("model folder" or "safetensors file"), "n_tensors", "n_parameters" (elements of
// all tensors but scales and zero points), "n_bytes" (of tensors), "dtypes" {name: {n_tensors, n_elements,
// n_bytes}}, "files"
// [{name, n_bytes, n_tensors}], "metadata", "problems" [text]; of a folder also "architecture", "model_type",
// "quantization" and "fingerprint". "quantization" is null or {method, description, runnable, reason}, and
// where runnable also {weight_bits, weight_strategy, input_bits, input_strategy, ignore, n_int8_linears,
// n_float_linears, scale_dtype}. What cannot be opened or read is an error.
Result<base::Json> inspect_path(const std::string& path);

}  // namespace octavo::format
