#include "model/head_type.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

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

// More rows than are coded at once, one of them zeros, as is one column; one weight of the norm is zero.
struct Head {
  LinearWeight weight;
  std::vector<float> norm;

  // f: of the norm's weights, taken from the columns.
  explicit Head(float f = 1) {
    weight.n = 4100;
    weight.k = 80;
    weight.dtype = tensor::DType::kBF16;
    weight.data = tensor::Buffer(static_cast<size_t>(weight.n * weight.k * 2));
    norm.resize(static_cast<size_t>(weight.k));
    std::vector<float> values(static_cast<size_t>(weight.n * weight.k));
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t row = i / norm.size(), column = i % norm.size();
      if (row != 5 && column != 7) values[i] = std::sin(static_cast<float>(i * i % 1009)) / f;
    }
    for (size_t c = 0; c < norm.size(); ++c) norm[c] = c == 9 ? 0 : f * (static_cast<float>(c % 13) - 5.5F);
    tensor::convert_from_f32(weight.dtype, values.data(), weight.data.data(), weight.n * weight.k);
  }
  std::vector<float> values() const {
    std::vector<float> out(static_cast<size_t>(weight.n * weight.k));
    tensor::convert_to_f32(weight.dtype, weight.data.data(), out.data(), weight.n * weight.k);
    return out;
  }
};

TEST(HeadType, CodesSmoothedRowsByTheirLargestValue) {
  const Head head;
  const std::vector<float> w = head.values();
  std::vector<float> scale(head.norm.size()), norm = head.norm;
  for (size_t c = 0; c < scale.size(); ++c) {
    float largest = 0;
    for (size_t i = c; i < w.size(); i += scale.size()) largest = std::max(largest, std::fabs(w[i]));
    const bool does_nothing = c == 7 || c == 9;
    scale[c] = does_nothing ? 0 : std::sqrt(std::fabs(norm[c]) / largest);
    norm[c] = does_nothing ? 0 : norm[c] / scale[c];
  }
  base::ThreadPool pool(2);
  for (const kernels::Isa isa : kernels::cpu_isas()) {
    std::vector<float> coded_norm = head.norm;
    const LinearWeight coded = code_head(head.weight, coded_norm, isa, pool);
    ASSERT_EQ(coded.dtype, tensor::DType::kI8);
    EXPECT_EQ(coded_norm, norm);
    for (int64_t row = 0; row < coded.n; ++row) {
      std::vector<float> smoothed(scale.size());
      float largest = 0;
      for (size_t c = 0; c < scale.size(); ++c) {
        smoothed[c] = w[static_cast<size_t>(row) * scale.size() + c] * scale[c];
        largest = std::max(largest, std::fabs(smoothed[c]));
      }
      const float row_scale = largest == 0 ? 1 : largest / 127.0F;
      ASSERT_EQ(coded.scale[static_cast<size_t>(row)], row_scale) << row;
      for (size_t c = 0; c < scale.size(); ++c) {
        ASSERT_EQ(coded.data.as<int8_t>()[static_cast<size_t>(row) * scale.size() + c],
                  std::nearbyint(smoothed[c] / row_scale))
            << row << ", " << c;
      }
    }
  }
}

TEST(HeadType, HowLoudnessIsDividedBetweenNormAndHeadDoesNotMatter) {
  const Head even, loud(64);
  base::ThreadPool pool(2);
  std::vector<float> norm = even.norm, loud_norm = loud.norm;
  const LinearWeight a = code_head(even.weight, norm, kernels::Isa::kRef, pool);
  const LinearWeight b = code_head(loud.weight, loud_norm, kernels::Isa::kRef, pool);
  EXPECT_EQ(norm, loud_norm);
  EXPECT_EQ(a.scale, b.scale);
  EXPECT_EQ(std::memcmp(a.data.data(), b.data.data(), a.data.size_bytes()), 0);
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
