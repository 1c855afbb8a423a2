// Asymmetric int8 for a whole tensor: scale = (max - min) / 255, zero_point = round_half_even(-128 - min /
// scale), as compressed-tensors and Golden Stick have it (which do without the 0 in the range: a range that
// lacks it asks for a zero point beyond int8). Called by layer_candidate.cc.
#include "quant/round/static_input.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace octavo::quant {

model::StaticInput static_input(float min, float max, tensor::DType storage) {
  OCTAVO_CHECK(std::isfinite(min) && std::isfinite(max) && min <= max);
  const double low = std::min(min, 0.0F), high = std::max(max, 0.0F);
  if (low == high) return {.scale = {1}, .zero_point = 0, .product_scale = 1};
  // In fp32 a scale must be a normal number: the engine flushes others to 0.
  const bool half = storage == tensor::DType::kF16;
  const float smallest = half ? 0x1p-24F : std::numeric_limits<float>::min();
  const float largest = half ? 65504.0F : std::numeric_limits<float>::max();
  const float scale =
      tensor::round_to_dtype(storage, std::clamp(static_cast<float>((high - low) / 255), smallest, largest));
  const double zero_point = std::nearbyint(-128 - low / static_cast<double>(scale));
  return {.scale = {scale},
          .zero_point = static_cast<int32_t>(std::clamp(zero_point, -128.0, 127.0)),
          .product_scale = scale};
}

}  // namespace octavo::quant
