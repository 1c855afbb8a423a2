#include "quant/round/static_input.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace octavo::quant {
namespace {

using tensor::DType;

int code(float x, const model::StaticInput& input) {
  const float rounded = std::nearbyint(x / input.scale[0]);
  return static_cast<int>(std::clamp(rounded + static_cast<float>(input.zero_point), -128.0F, 127.0F));
}

TEST(StaticInput, TheEndsOfTheRangeAreTheEndsOfTheCodes) {
  const model::StaticInput input = static_input(-1.0F, 4.1F, DType::kF32);
  EXPECT_EQ(input.scale, std::vector<float>{static_cast<float>((4.1F + 1.0) / 255)});
  EXPECT_EQ(input.zero_point, -78);  // -128 + 50
  EXPECT_EQ(input.product_scale, input.scale[0]);
  EXPECT_EQ(code(-1.0F, input), -128);
  EXPECT_EQ(code(0, input), input.zero_point);
  EXPECT_EQ(code(4.1F, input), 127);
}

TEST(StaticInput, TheRangeIsMadeToIncludeZero) {
  EXPECT_EQ(static_input(2.55F, 5.1F, DType::kF32), static_input(0, 5.1F, DType::kF32));
  EXPECT_EQ(static_input(0, 5.1F, DType::kF32).zero_point, -128);
  EXPECT_EQ(static_input(-5.1F, -2.55F, DType::kF32), static_input(-5.1F, 0, DType::kF32));
  EXPECT_EQ(static_input(-5.1F, 0, DType::kF32).zero_point, 127);
}

TEST(StaticInput, NothingButZeroHasScaleOne) {
  for (const float zero : {0.0F, -0.0F}) {
    EXPECT_EQ(static_input(zero, zero, DType::kF32), (model::StaticInput{{1}, 0, 1}));
  }
}

// The zero point belongs to the scale that the file stores, not to the one before its rounding.
TEST(StaticInput, TheScaleIsRoundedToItsStorageFirst) {
  for (const float min : {-1.0F, -3.7F, -100.0F}) {
    const model::StaticInput input = static_input(min, 50.3F, DType::kBF16);
    const float scale = input.scale[0];
    EXPECT_EQ(scale, tensor::round_to_bf16(scale));
    EXPECT_EQ(input.zero_point, static_cast<int32_t>(std::nearbyint(-128 - min / scale)));
  }
}

TEST(StaticInput, ExtremeRangesHaveAUsableScale) {
  constexpr float kMax = std::numeric_limits<float>::max();
  for (const auto& [min, max] :
       {std::pair(-kMax, kMax), std::pair(0.0F, 1e-44F), std::pair(-1e-44F, 1e-44F)}) {
    for (const DType storage : {DType::kF32, DType::kBF16, DType::kF16}) {
      const model::StaticInput input = static_input(min, max, storage);
      EXPECT_TRUE(std::isnormal(input.scale[0])) << min;
      EXPECT_EQ(input.scale[0], tensor::round_to_dtype(storage, input.scale[0]));
      EXPECT_GE(input.zero_point, -128);
      EXPECT_LE(input.zero_point, 127);
    }
  }
}

}  // namespace
}  // namespace octavo::quant
