#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>

namespace octavo::tensor {
namespace {

TEST(DType, NamesRoundTrip) {
  for (const char* name : {"F64", "F32", "F16", "BF16", "F8_E4M3", "I64", "I8", "U8", "BOOL"}) {
    const auto dtype = dtype_from_name(name);
    ASSERT_TRUE(dtype.has_value()) << name;
    EXPECT_STREQ(dtype_name(*dtype), name);
  }
  EXPECT_FALSE(dtype_from_name("float32").has_value());
}

TEST(DType, F16RoundTripsEveryValue) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = f32_from_f16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    EXPECT_EQ(f16_from_f32(value), bits) << bits;
  }
  EXPECT_EQ(f16_from_f32(65519.0F), 0x7bff);  // below the midpoint to 65536
  EXPECT_EQ(f16_from_f32(65520.0F), 0x7c00);
  EXPECT_EQ(f16_from_f32(std::ldexp(1.0F, -25)), 0);  // a tie, to even
  EXPECT_EQ(f16_from_f32(std::ldexp(1.5F, -25)), 1);
  EXPECT_EQ(f16_from_f32(1.0F + std::ldexp(1.0F, -11)), 0x3c00);  // a tie, to even
}

TEST(DType, Bf16RoundsHalfToEven) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = f32_from_bf16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    EXPECT_EQ(bf16_from_f32(value), bits);
  }
  EXPECT_EQ(round_to_bf16(1.00390625F), 1.0F);       // 1 + 2^-8: a tie, to even
  EXPECT_EQ(round_to_bf16(1.01171875F), 1.015625F);  // 1 + 3*2^-8: a tie, to even
  EXPECT_TRUE(std::isnan(round_to_bf16(NAN)));
}

}  // namespace
}  // namespace octavo::tensor
