#pragma once
// Values that a model cannot run with.
#include <string>

#include "octavo/status.h"

#include "format/safetensors.h"

namespace octavo::format {

// Reads a tensor of `file` and says where its first NaN or infinity is; of a scale also the first
// value that is zero, negative or subnormal. Empty when there is none, and for types that are no float.
Result<std::string> find_bad_value(const SafetensorsFile& file, const TensorInfo& info);

}  // namespace octavo::format
