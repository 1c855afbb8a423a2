#include "quant/round/rtn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace octavo::quant {
namespace {

using model::LinearWeight;
using tensor::DType;
using Floats = std::vector<float>;

LinearWeight make_weight(int64_t n, int64_t k, const Floats& values, DType dtype = DType::kF32) {
  LinearWeight weight;
  weight.n = n;
  weight.k = k;
  weight.dtype = dtype;
  weight.data = tensor::Buffer(values.size() * static_cast<size_t>(tensor::dtype_bytes(dtype)));
  tensor::convert_from_f32(dtype, values.data(), weight.data.data(), static_cast<int64_t>(values.size()));
  return weight;
}

Floats random_floats(size_t n, uint32_t seed) {
  std::mt19937 bits(seed);
  Floats values(n);
  for (float& value : values) {
    const int64_t centred = static_cast<int64_t>(bits()) - (int64_t{1} << 31);
    value = std::ldexp(static_cast<float>(centred), -36);
  }
  return values;
}

Floats values_of(const LinearWeight& weight) {
  Floats values(static_cast<size_t>(weight.n * weight.k));
  tensor::convert_to_f32(weight.dtype, weight.data.data(), values.data(), weight.n * weight.k);
  return values;
}

TEST(RowScale, IsRoundedToTheStorageType) {
  EXPECT_EQ(row_scale(127.0F, DType::kBF16), 1.0F);
  EXPECT_EQ(row_scale(2.0F, DType::kBF16), tensor::round_to_bf16(2.0F / 127.0F));
  EXPECT_EQ(row_scale(2.0F, DType::kF32), 2.0F / 127.0F);
  EXPECT_EQ(row_scale(0.0F, DType::kF16), 1.0F);
}

TEST(RowScale, NoCodePasses127WhateverTheMagnitude) {
  for (const DType storage : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (float absmax = 1e-44F; absmax < 6e4F; absmax *= 1.37F) {
      const float scale = row_scale(absmax, storage);
      ASSERT_TRUE(std::isnormal(scale)) << absmax;
      ASSERT_EQ(scale, tensor::round_to_dtype(storage, scale)) << absmax;
      ASSERT_LE(absmax / scale, 127.5F) << absmax;
    }
  }
}

TEST(RoundRow, HalfToEven) {
  const Floats w = {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 127.0F, -127.4F, 126.5F, 0.49999997F};
  std::vector<int8_t> codes(w.size());
  round_row(w.data(), static_cast<int64_t>(w.size()), 1.0F, codes.data());
  EXPECT_EQ(codes, (std::vector<int8_t>{0, 2, 2, 0, -2, 127, -127, 126, 0}));
}

// The row that the reference facts work out by hand, with absmax / 127.
TEST(RoundToNearest, AKnownRow) {
  const Floats row = {0.5F, -1.0F, 0.25F, 2.0F, -0.0078125F, 1.5F, -1.9921875F, 0.0F};
  base::ThreadPool pool(1);
  const auto rounded = round_to_nearest(make_weight(1, 8, row, DType::kBF16), {}, DType::kBF16, pool);
  ASSERT_TRUE(rounded.ok());
  EXPECT_EQ(rounded->weight.scale[0], 0.0157470703125F);  // 2 / 127 in bf16, by chance that of 2 / 127.5 too
  const auto* codes = rounded->weight.data.as<int8_t>();
  EXPECT_EQ(std::vector<int8_t>(codes, codes + 8), (std::vector<int8_t>{32, -64, 16, 127, 0, 95, -127, 0}));
}

TEST(RoundToNearest, EveryWeightIsWithinHalfAStep) {
  base::ThreadPool pool(2);
  for (const DType storage : {DType::kBF16, DType::kF16, DType::kF32}) {
    const Floats values = random_floats(67 * 129, 5);
    const LinearWeight weight = make_weight(67, 129, values, storage);
    const Floats held = values_of(weight);
    const auto rounded = round_to_nearest(weight, {}, storage, pool);
    ASSERT_TRUE(rounded.ok());
    double noise = 0, signal = 0;
    for (int64_t r = 0; r < 67; ++r) {
      const float scale = rounded->weight.scale[static_cast<size_t>(r)];
      for (int64_t c = 0; c < 129; ++c) {
        const double value = held[static_cast<size_t>(r * 129 + c)];
        const double code = rounded->weight.data.as<int8_t>()[r * 129 + c];
        EXPECT_LE(std::fabs(value - code * scale), 0.50001 * scale);
        noise += (value - code * scale) * (value - code * scale);
        signal += value * value;
      }
    }
    EXPECT_NEAR(rounded->error.noise, noise, 1e-9 * noise);
    EXPECT_NEAR(rounded->error.signal, signal, 1e-9 * signal);
    EXPECT_GT(rounded->error.sqnr_db(), 38.0);  // uniform weights: 20 log10(127 sqrt(4)) - 4.8 dB and more
  }
}

TEST(RoundToNearest, FoldsInFp32BeforeRounding) {
  base::ThreadPool pool(1);
  const Floats values = random_floats(5 * 7, 9);
  const Floats column = {1.1F, 0.3F, 2.7F, 1.0F, 0.01F, 5.5F, 1.3F},
               divisor = {1.0F, 3.0F, 0.7F, 1.9F, 11.0F};
  LinearWeight weight = make_weight(5, 7, values);
  weight.bias = {1, 2, 3, 4, 5};
  Floats folded = values;
  for (size_t r = 0; r < 5; ++r) {
    for (size_t c = 0; c < 7; ++c) folded[r * 7 + c] = values[r * 7 + c] * column[c] / divisor[r];
  }
  const auto got = round_to_nearest(weight, {column, divisor}, DType::kBF16, pool);
  const auto want = round_to_nearest(make_weight(5, 7, folded), {}, DType::kBF16, pool);
  ASSERT_TRUE(got.ok() && want.ok());
  EXPECT_EQ(got->weight.scale, want->weight.scale);
  EXPECT_EQ(std::memcmp(got->weight.data.data(), want->weight.data.data(), 35), 0);
  for (size_t r = 0; r < 5; ++r) EXPECT_EQ(got->weight.bias[r], weight.bias[r] / divisor[r]);
}

TEST(RoundToNearest, RowsOfZerosAreZeroCodes) {
  base::ThreadPool pool(1);
  const auto rounded = round_to_nearest(make_weight(2, 3, {0, 0, 0, 1, -1, 0}), {}, DType::kBF16, pool);
  ASSERT_TRUE(rounded.ok());
  EXPECT_EQ(rounded->weight.scale[0], 1.0F);
  for (int c = 0; c < 3; ++c) EXPECT_EQ(rounded->weight.data.as<int8_t>()[c], 0);
}

TEST(RoundToNearest, NamesTheFirstRowThatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Floats values = random_floats(100 * 4, 1);
    values[57 * 4 + 2] = bad;
    values[91 * 4] = bad;
    base::ThreadPool pool(2);
    const auto rounded = round_to_nearest(make_weight(100, 4, values), {}, DType::kBF16, pool);
    ASSERT_FALSE(rounded.ok());
    EXPECT_NE(rounded.status().message().find("row 57 "), std::string::npos) << rounded.status().message();
  }
}

TEST(RoundToNearest, AScaleThatOverflowsItsTypeIsRefused) {
  base::ThreadPool pool(1);
  const auto rounded = round_to_nearest(make_weight(1, 2, {1e9F, 1}), {}, DType::kF16, pool);
  ASSERT_FALSE(rounded.ok());
  EXPECT_NE(rounded.status().message().find("F16"), std::string::npos);
}

TEST(RoundToNearest, ThreadsChangeNothing) {
  const LinearWeight weight = make_weight(301, 65, random_floats(301 * 65, 3), DType::kBF16);
  base::ThreadPool one(1), three(3);
  const auto a = round_to_nearest(weight, {}, DType::kBF16, one);
  const auto b = round_to_nearest(weight, {}, DType::kBF16, three);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(std::memcmp(a->weight.data.data(), b->weight.data.data(), a->weight.data.size_bytes()), 0);
  EXPECT_EQ(a->weight.scale, b->weight.scale);
  EXPECT_EQ(a->error.noise, b->error.noise);
}

TEST(FoldFloat, PowersOfTwoAreExactAndOthersRefused) {
  base::ThreadPool pool(2);
  const LinearWeight weight = make_weight(40, 3, random_floats(120, 7), DType::kBF16);
  const Floats exact = {2.0F, 0.25F, 1.0F}, inexact = {2.0F, 0.3F, 1.0F};
  const auto folded = fold_float(weight, {.column_factor = exact, .row_divisor = {}}, DType::kBF16, pool);
  ASSERT_TRUE(folded.ok());
  const Floats before = values_of(weight), after = values_of(*folded);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after[i], before[i] * exact[i % 3]);
  EXPECT_FALSE(fold_float(weight, {.column_factor = inexact, .row_divisor = {}}, DType::kBF16, pool).ok());
}

TEST(FoldFloat, OverflowOfTheStorageTypeIsRefused) {
  base::ThreadPool pool(1);
  const Floats factor = {1024.0F};
  const LinearWeight weight = make_weight(1, 1, {100.0F});
  EXPECT_FALSE(fold_float(weight, {.column_factor = factor, .row_divisor = {}}, DType::kF16, pool).ok());
  EXPECT_TRUE(fold_float(weight, {.column_factor = factor, .row_divisor = {}}, DType::kBF16, pool).ok());
}

TEST(ColumnAbsmax, IsTheLargestOverRowsAndMatrices) {
  base::ThreadPool pool(2);
  Floats largest(2, 0.0F);
  raise_column_absmax(make_weight(3, 2, {1, -5, -2, 0, 0.5F, 3}), pool, largest);
  EXPECT_EQ(largest, (Floats{2, 5}));
  raise_column_absmax(make_weight(1, 2, {-7, 1}), pool, largest);
  EXPECT_EQ(largest, (Floats{7, 5}));
}

}  // namespace
}  // namespace octavo::quant
