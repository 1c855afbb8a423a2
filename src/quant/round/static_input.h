#pragma once
// The int8 codes of a linear's input, fixed by the range that calibration saw. Pure.
#include "model/weights.h"
#include "tensor/dtype.h"

namespace octavo::quant {

// The quantization of inputs in [min, max], both finite; the range is made to include 0, whose code is exact.
// The scale is rounded to `storage` (F32, BF16 or F16) before the zero point is derived from it. A range of
// nothing but 0 has scale 1; one that has no scale in `storage` takes the nearest there is.
model::StaticInput static_input(float min, float max, tensor::DType storage);

}  // namespace octavo::quant
