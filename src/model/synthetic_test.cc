#include "model/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/registry.h"
#include "model/test_model.h"

namespace octavo::model {
namespace {

ModelConfig small_config(bool tied) {
  ModelConfig config;
  config.arch = find_arch("Qwen3ForCausalLM");
  config.n_layers = 2;
  config.n_heads = 4;
  config.n_kv_heads = 2;
  config.head_dim = 16;
  config.d_model = 48;
  config.d_ff = 80;
  config.n_vocab = 101;
  config.max_positions = 256;
  config.tied_embeddings = tied;
  return config;
}

std::vector<float> run_synthetic(const ModelConfig& config, const SyntheticOptions& options, int n_threads) {
  base::ThreadPool pool(n_threads);
  auto model = Model::build(config, SyntheticWeights(config, options), "synthetic", {best_isa(), &pool});
  EXPECT_TRUE(model.ok()) << model.status().message();
  std::vector<int32_t> tokens(70);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>((i * 37) % 101);
  return run(**model, tokens, 32);
}

TEST(Synthetic, ASeedIsAModel) {
  for (const tensor::DType dtype : {tensor::DType::kI8, tensor::DType::kBF16}) {
    for (const bool tied : {true, false}) {
      const ModelConfig config = small_config(tied);
      const std::vector<float> logits = run_synthetic(config, {dtype, 7}, 1);
      double squares = 0;
      for (const float value : logits) {
        ASSERT_TRUE(std::isfinite(value));
        squares += double{value} * value;
      }
      const double deviation = std::sqrt(squares / static_cast<double>(logits.size()));
      EXPECT_GT(deviation, 0.2);
      EXPECT_LT(deviation, 5);
      EXPECT_EQ(fingerprint(run_synthetic(config, {dtype, 7}, 2)), fingerprint(logits));
      EXPECT_NE(fingerprint(run_synthetic(config, {dtype, 8}, 2)), fingerprint(logits));
    }
  }
}

TEST(Synthetic, TotalsCountTheWeights) {
  const ModelConfig config = small_config(false);
  base::ThreadPool pool(1);
  const int64_t per_layer = 48 * (2 * 64 + 2 * 32 + 3 * 80);
  const auto int8 = Model::build(config, SyntheticWeights(config, {}), "synthetic", {best_isa(), &pool});
  ASSERT_TRUE(int8.ok());
  const WeightTotals totals = (*int8)->totals();
  EXPECT_EQ(totals.n_s8, 2 * per_layer);
  EXPECT_EQ(totals.n_float, 0);
  EXPECT_EQ(totals.n_head, 101 * 48);
  EXPECT_GE(totals.layer_bytes, static_cast<uint64_t>(totals.n_s8));
  const auto bf16 = Model::build(config, SyntheticWeights(config, {tensor::DType::kBF16, 1}), "synthetic",
                                 {best_isa(), &pool});
  ASSERT_TRUE(bf16.ok());
  EXPECT_EQ((*bf16)->totals().n_s8, 0);
  EXPECT_EQ((*bf16)->totals().n_float, 2 * per_layer);
  EXPECT_EQ(synthetic_bytes(config, {tensor::DType::kBF16, 1}),
            static_cast<uint64_t>(2 * (2 * per_layer + 2 * 101 * 48)));
}

}  // namespace
}  // namespace octavo::model
