#include "quant/transform/smoothquant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octavo::quant {
namespace {

using tensor::DType;
using Floats = std::vector<float>;

TEST(SmoothingFactors, LoudChannelsFollowTheFormulaAndQuietOnesStay) {
  const Floats x = {64.0F, 1.0F, 0.5F, 32.0F, 1.0F}, w = {0.25F, 0.5F, 2.0F, 0.125F, 0.5F};
  for (const double strength : {0.3, 0.5, 0.8, 1.0}) {
    const auto formula = [&](size_t j) { return std::pow(x[j], strength) / std::pow(w[j], 1 - strength); };
    const Floats s = smoothing_factors(x, w, strength, false);
    for (const size_t loud : {size_t{0}, size_t{3}}) {
      EXPECT_NEAR(s[loud] / (formula(loud) / formula(1) / 2), 1.0, 0x1p-8) << strength;  // 1 is the median
      EXPECT_GT(s[loud], 1.0F);
    }
    for (const size_t quiet : {size_t{1}, size_t{2}, size_t{4}}) EXPECT_EQ(s[quiet], 1.0F);
  }
}

TEST(Equation4Factors, AreTheFormulaForEveryChannel) {
  const Floats x = {64.0F, 1.0F, 0.5F, 1e-9F}, w = {0.25F, 0.5F, 2.0F, 0.125F};
  for (const double a : {0.0, 0.3, 0.5, 1.0}) {
    const Floats s = equation_4_factors(x, w, a, false);
    for (size_t j = 0; j < x.size(); ++j) {
      const double formula = std::pow(x[j], a) / std::pow(w[j], 1 - a);
      EXPECT_FLOAT_EQ(s[j], static_cast<float>(std::max(formula, 1e-5))) << a << " " << j;
    }
  }
  EXPECT_EQ(equation_4_factors(x, w, 0.5, false)[0], 16.0F);
  EXPECT_EQ(equation_4_factors(x, w, 1, false)[3], 1e-5F);
  EXPECT_EQ(equation_4_factors(Floats{3.0F}, Floats{1.0F}, 1, true)[0], 4.0F);
}

TEST(Equation4Factors, DeadChannelsKeepOneAndExtremesStayNormal) {
  EXPECT_EQ(equation_4_factors(Floats{0, 4}, Floats{4, 0}, 0.5, false), (Floats{1, 1}));
  const float tiny = std::numeric_limits<float>::min(), huge = std::numeric_limits<float>::max();
  for (const bool power_of_two : {false, true}) {
    for (const float s : equation_4_factors(Floats{tiny, huge, 1e-45F, huge},
                                            Floats{huge, tiny, huge, 1e-45F}, 0.5, power_of_two)) {
      EXPECT_TRUE(std::isnormal(s) && s > 0) << s;
    }
  }
}

TEST(SmoothingFactors, DeadChannelsKeepOne) {
  const Floats s = smoothing_factors(Floats{0.0F, 4000.0F, 1.0F, 1.0F, 400.0F},
                                     Floats{1e-9F, 0.0F, 1.0F, 1.0F, 1.0F}, 0.5, false);
  EXPECT_EQ(s[0], 1.0F);
  EXPECT_EQ(s[1], 1.0F);
  EXPECT_GT(s[4], 1.0F);
  for (const float factor : smoothing_factors(Floats(4, 0.0F), Floats(4, 0.0F), 0.5, false)) {
    EXPECT_EQ(factor, 1.0F);
  }
}

TEST(SmoothingFactors, ExtremeRangesStayNormalNumbers) {
  const float tiny = std::numeric_limits<float>::min(), huge = std::numeric_limits<float>::max();
  for (const bool power_of_two : {false, true}) {
    for (const float s : smoothing_factors(Floats{tiny, huge, 1e-45F, huge, tiny},
                                           Floats{huge, tiny, huge, huge, 1e-45F}, 0.5, power_of_two)) {
      EXPECT_TRUE(std::isnormal(s) && s > 0) << s;
    }
  }
}

// A loud channel made 2^k louder by whoever feeds it, with the weights divided by 2^k, gets a factor 2^k
// larger: smoothing undoes exactly what the outlier was made of, whatever the strength.
TEST(SmoothingFactors, UndoAnOutlierMadeByAPowerOfTwo) {
  const Floats x = {1.5F, 0.75F, 22.5F, 1.0F}, w = {0.3F, 0.2F, 0.01F, 0.4F};
  Floats loud = x, quiet = w;
  loud[2] *= 64.0F;
  quiet[2] /= 64.0F;
  for (const double strength : {0.3, 0.55, 0.9}) {
    const Floats plain = smoothing_factors(x, w, strength, false);
    EXPECT_EQ(smoothing_factors(loud, quiet, strength, false)[2], 64.0F * plain[2]) << strength;
  }
}

TEST(SmoothingFactors, PowersOfTwoOnRequest) {
  for (const float s : smoothing_factors(Floats{3.0F, 900.0F, 0.01F, 77.0F, 1.0F},
                                         Floats{1.0F, 0.3F, 2.0F, 1.0F, 1.0F}, 0.7, true)) {
    int exponent = 0;
    EXPECT_EQ(std::frexp(s, &exponent), 0.5F) << s;
  }
}

TEST(FoldIntoNorm, ConsumersTakeWhatRoundingLeft) {
  const Floats norm = {1.0F, 0.3359375F, -2.0F}, factors = {3.0F, 0.7F, 1.9F};
  const NormFold fold = fold_into_norm(norm, factors, DType::kBF16);
  for (size_t j = 0; j < norm.size(); ++j) {
    EXPECT_EQ(fold.norm[j], tensor::round_to_bf16(norm[j] / factors[j]));
    // One fp32 rounding, where multiplying by s itself would leave a bf16 rounding of up to 2^-9.
    EXPECT_NEAR(fold.norm[j] * fold.column_factor[j] / norm[j], 1.0F, 0x1p-23F);
  }
}

TEST(FoldIntoNorm, WhatCannotBeFoldedStays) {
  const Floats norm = {0.0F, 1e-30F, 3e4F, 1e-4F};
  const Floats factors = {2.0F, 0x1p100F, 0x1p-100F, 4.0F};
  const NormFold fold = fold_into_norm(norm, factors, DType::kBF16);
  EXPECT_EQ(fold.norm[0], 0.0F);
  EXPECT_EQ(fold.norm[1], 1e-30F);
  EXPECT_EQ(fold.column_factor[0], 1.0F);
  EXPECT_EQ(fold.column_factor[1], 1.0F);
  const NormFold half = fold_into_norm(norm, factors, DType::kF16);
  EXPECT_EQ(half.norm[2], 3e4F);   // would pass 65504
  EXPECT_EQ(half.norm[3], 1e-4F);  // would become a subnormal of F16 and lose bits
}

TEST(HeadGroupsTest, QueryHeadsShareTheirKvHead) {
  const HeadGroups heads{.n_heads = 6, .n_kv_heads = 2, .head_dim = 2};
  const Floats per_column = {1, 9, 5, 2, 3, 3, 7, 0, 0, 8, 6, 6};
  EXPECT_EQ(max_over_query_heads(per_column, heads), (Floats{5, 9, 7, 8}));
  EXPECT_EQ(repeat_for_query_heads(Floats{1, 2, 3, 4}, heads), (Floats{1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4}));
}

}  // namespace
}  // namespace octavo::quant
