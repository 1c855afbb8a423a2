#include "model/head_type.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/test_checkpoint.h"
#include "model/test_model.h"

namespace octavo::model {
namespace {

TEST(HeadType, Names) {
  EXPECT_EQ(*head_type_from_name("auto"), HeadType::kAuto);
  EXPECT_EQ(*head_type_from_name("int8"), HeadType::kInt8);
  const Status status = head_type_from_name("fp8").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("lm_head_dtype"), std::string::npos) << status.message();
}

// More rows than are coded at once, one of them zeros.
TEST(HeadType, CodesEachRowByItsLargestValue) {
  LinearWeight weight;
  weight.n = 4100;
  weight.k = 48;
  weight.dtype = tensor::DType::kBF16;
  std::vector<float> values(static_cast<size_t>(weight.n * weight.k));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i * i % 1009));
  std::fill_n(values.begin(), weight.k, 0.0F);
  weight.data = tensor::Buffer(values.size() * 2);
  tensor::convert_from_f32(weight.dtype, values.data(), weight.data.data(), weight.n * weight.k);
  tensor::convert_to_f32(weight.dtype, weight.data.data(), values.data(), weight.n * weight.k);
  base::ThreadPool pool(2);
  for (const kernels::Isa isa : kernels::cpu_isas()) {
    const LinearWeight coded = coded_rows(weight, isa, pool);
    ASSERT_EQ(coded.dtype, tensor::DType::kI8);
    for (int64_t row = 0; row < weight.n; ++row) {
      const float* w = values.data() + row * weight.k;
      float largest = 0;
      for (int64_t c = 0; c < weight.k; ++c) largest = std::max(largest, std::fabs(w[c]));
      const float scale = largest == 0 ? 1 : largest / 127.0F;
      ASSERT_EQ(coded.scale[static_cast<size_t>(row)], scale) << row;
      for (int64_t c = 0; c < weight.k; ++c) {
        ASSERT_EQ(coded.data.as<int8_t>()[row * weight.k + c], std::nearbyint(w[c] / scale))
            << row << ", " << c;
      }
    }
  }
}

class Int8Head : public ::testing::TestWithParam<const char*> {};

TEST_P(Int8Head, GivesNearlyTheLogitsOfTheFloatHeadAndTheSameOnEveryIsa) {
  const auto checkpoint = format::Checkpoint::open(golden_path(GetParam()));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  base::ThreadPool pool(2);
  const auto as_stored = load_model(golden_path(GetParam()), pool);
  std::vector<int32_t> tokens(20);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 5 % 101);
  const std::vector<float> want = run(*as_stored, tokens, tokens.size());
  double signal = 0;
  for (const float logit : want) signal += static_cast<double>(logit) * logit;
  uint64_t bits = 0;
  for (const kernels::Isa isa : kernels::cpu_isas()) {
    const auto model = Model::load(*checkpoint, {isa, &pool, HeadType::kInt8});
    ASSERT_TRUE(model.ok()) << model.status().message();
    const std::vector<float> got = run(**model, tokens, tokens.size());
    EXPECT_EQ(fingerprint(run(**model, tokens, 3)), fingerprint(got)) << kernels::isa_name(isa);
    double noise = 0;
    for (size_t i = 0; i < got.size(); ++i) noise += std::pow(static_cast<double>(got[i]) - want[i], 2);
    EXPECT_GT(noise, 0);
    EXPECT_LT(noise, 3e-4 * signal);  // two factors with 7 bits each
    if (bits == 0) bits = fingerprint(got);
    EXPECT_EQ(fingerprint(got), bits) << kernels::isa_name(isa);
    const WeightTotals totals = (*model)->totals();
    EXPECT_TRUE(totals.head_is_s8);
    EXPECT_LT(totals.head_bytes, as_stored->totals().head_bytes);
    EXPECT_EQ(totals.n_head, as_stored->totals().n_head);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Int8Head,
                         ::testing::Values("qwen3-f32", "qwen3-bf16-tied", "llama-bf16-bias"));

}  // namespace
}  // namespace octavo::model
