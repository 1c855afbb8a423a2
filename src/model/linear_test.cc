#include "model/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tensor/dtype.h"

namespace octavo::model {
namespace {

using kernels::RowForm;
using tensor::DType;

constexpr int64_t kM = 3, kN = 21, kK = 45;

// Small integers: every product and sum is exact in all three types.
float value(int64_t i) { return static_cast<float>(i * 7 % 11 - 5); }

LinearWeight weight_of(DType dtype) {
  LinearWeight w;
  w.n = kN;
  w.k = kK;
  w.dtype = dtype;
  w.data = tensor::Buffer(static_cast<size_t>(kN * kK * tensor::dtype_bytes(dtype)));
  for (int64_t i = 0; i < kN * kK; ++i) {
    if (dtype == DType::kI8) w.data.as<int8_t>()[i] = static_cast<int8_t>(value(i));
    if (dtype == DType::kBF16) w.data.as<uint16_t>()[i] = tensor::bf16_from_f32(value(i));
    if (dtype == DType::kF32) w.data.as<float>()[i] = value(i);
  }
  if (dtype == DType::kI8) w.scale.assign(kN, 0.5F);
  for (int64_t j = 0; j < kN; ++j) w.bias.push_back(static_cast<float>(j));
  return w;
}

TEST(Linear, MultipliesInEveryType) {
  base::ThreadPool pool(2);
  std::vector<float> x_f32;
  std::vector<uint16_t> x_bf16;
  std::vector<int8_t> x_s8;
  for (int64_t i = 0; i < kM * kK; ++i) {
    x_f32.push_back(value(i + 3));
    x_bf16.push_back(tensor::bf16_from_f32(value(i + 3)));
    x_s8.push_back(static_cast<int8_t>(value(i + 3)));
  }
  const std::vector<float> x_scale(kM, 2.0F);  // times the weights' 0.5
  for (const kernels::Isa isa : kernels::cpu_isas()) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
      const Linear linear(weight_of(dtype), isa);
      EXPECT_EQ(linear.n(), kN);
      EXPECT_EQ(linear.k(), kK);
      EXPECT_GE(linear.packed_bytes(), static_cast<uint64_t>(kN * kK * tensor::dtype_bytes(dtype)));
      Rows rows = {linear.input_form(), x_f32.data(), nullptr, kM, kK};
      if (dtype == DType::kBF16) rows.data = x_bf16.data();
      if (dtype == DType::kI8) rows = {RowForm::kS8, x_s8.data(), x_scale.data(), kM, kK};
      EXPECT_EQ(linear.input_form(), rows.form);
      constexpr int64_t kStride = kN + 2;
      std::vector<float> y(kM * kStride, 1000.0F);
      linear.forward(pool, rows, y.data(), kStride);
      linear.forward(pool, rows, y.data(), kStride, /*accumulate=*/true);
      for (int64_t i = 0; i < kM; ++i) {
        for (int64_t j = 0; j < kN; ++j) {
          float want = static_cast<float>(j);
          for (int64_t k = 0; k < kK; ++k) want += value(i * kK + k + 3) * value(j * kK + k);
          EXPECT_EQ(y[static_cast<size_t>(i * kStride + j)], 2 * want) << linear.kernel_name();
        }
        EXPECT_EQ(y[static_cast<size_t>(i * kStride + kN)], 1000.0F) << "wrote between the rows";
      }
    }
  }
}

TEST(Linear, GivesRowsBack) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Linear linear(weight_of(dtype), kernels::cpu_isas().back());
    std::vector<float> row(kK);
    linear.weight_row(kN - 1, row.data());
    for (int64_t k = 0; k < kK; ++k) EXPECT_EQ(row[static_cast<size_t>(k)], value((kN - 1) * kK + k));
  }
}

}  // namespace
}  // namespace octavo::model
