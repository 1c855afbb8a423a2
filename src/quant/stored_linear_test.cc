#include "quant/stored_linear.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

namespace octavo::quant {
namespace {

using tensor::DType;

constexpr int64_t kN = 3, kK = 5;

model::LinearWeight example(bool is_static) {
  model::LinearWeight weight{.n = kN,
                             .k = kK,
                             .dtype = DType::kI8,
                             .data = tensor::Buffer(kN * kK),
                             .scale = {0.5F, 0.25F, 2.0F},
                             .bias = {},
                             .input = {}};
  for (int64_t i = 0; i < kN * kK; ++i) weight.data.as<int8_t>()[i] = static_cast<int8_t>(10 * i - 60);
  if (is_static)
    weight.input = model::StaticInput{.scale = {0.125F}, .zero_point = -7, .product_scale = 0.125F};
  return weight;
}

const format::TensorInfo kSource = {.name = "m.up.weight", .dtype = DType::kBF16, .shape = {kN, kK}};

template <class T>
std::vector<T> values(const ComputedTensor& tensor) {
  std::vector<T> result(tensor.bytes.size_bytes() / sizeof(T));
  std::memcpy(result.data(), tensor.bytes.data(), tensor.bytes.size_bytes());
  return result;
}

std::map<std::string, ComputedTensor> stored(QuantLayout layout, bool is_static) {
  std::map<std::string, ComputedTensor> by_name;
  for (ComputedTensor& tensor : stored_linear(layout, "m.up", example(is_static), DType::kBF16)) {
    const std::string name = tensor.name;
    by_name.emplace(name, std::move(tensor));
  }
  return by_name;
}

TEST(StoredLinear, EverySpecHasItsBytes) {
  for (const QuantLayout layout : {QuantLayout::kCompressedTensors, QuantLayout::kGoldenStick}) {
    for (const bool is_static : {false, true}) {
      LinearPolicy policy;
      policy.activations = is_static ? Activations::kStatic : Activations::kDynamic;
      const auto specs = stored_linear_specs(layout, kSource, policy);
      const auto tensors = stored(layout, is_static);
      EXPECT_EQ(specs.size(), tensors.size());
      for (const format::TensorSpec& spec : specs) {
        ASSERT_TRUE(tensors.contains(spec.name)) << spec.name;
        EXPECT_EQ(tensors.at(spec.name).bytes.size_bytes(), format::tensor_bytes(spec).value()) << spec.name;
      }
    }
  }
}

TEST(StoredLinear, CompressedTensorsHasOneScaleAndZeroPoint) {
  const auto tensors = stored(QuantLayout::kCompressedTensors, true);
  EXPECT_EQ(values<uint16_t>(tensors.at("m.up.input_scale")),
            std::vector<uint16_t>{tensor::bf16_from_f32(0.125F)});
  EXPECT_EQ(values<int8_t>(tensors.at("m.up.input_zero_point")), std::vector<int8_t>{-7});
  EXPECT_EQ(stored(QuantLayout::kCompressedTensors, false).size(), 2U);
}

TEST(StoredLinear, GoldenStickRepeatsTheInputAndCorrectsForItsZeroPointExactly) {
  const auto tensors = stored(QuantLayout::kGoldenStick, true);
  const uint16_t eighth = tensor::bf16_from_f32(0.125F);
  EXPECT_EQ(values<uint16_t>(tensors.at("m.up.input_scale")), std::vector<uint16_t>(kK, eighth));
  EXPECT_EQ(values<int8_t>(tensors.at("m.up.input_offset")), std::vector<int8_t>(kK, -7));
  EXPECT_EQ(values<int32_t>(tensors.at("m.up.weight_offset")), std::vector<int32_t>(kN, 0));
  EXPECT_EQ(values<float>(tensors.at("m.up.deq_scale")), (std::vector<float>{0.0625F, 0.03125F, 0.25F}));
  // Rows -60 … -20, -10 … 30, 40 … 80 in steps of ten.
  EXPECT_EQ(values<int32_t>(tensors.at("m.up.quant_bias")),
            (std::vector<int32_t>{7 * -200, 7 * 50, 7 * 300}));
  EXPECT_EQ(values<int8_t>(tensors.at("m.up.weight")).front(), -60);
  const auto dynamic = stored(QuantLayout::kGoldenStick, false);
  EXPECT_EQ(dynamic.size(), 3U);
  EXPECT_FALSE(dynamic.contains("m.up.input_scale"));
}

}  // namespace
}  // namespace octavo::quant
