#include "bench/loop.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/registry.h"
#include "model/synthetic.h"

namespace octavo::bench {
namespace {

class LoopTest : public ::testing::Test {
 protected:
  LoopTest() {
    config_.arch = model::find_arch("Qwen3ForCausalLM");
    config_.n_layers = 2;
    config_.n_heads = 4;
    config_.n_kv_heads = 2;
    config_.head_dim = 16;
    config_.d_model = 48;
    config_.d_ff = 80;
    config_.n_vocab = 101;
    config_.max_positions = 512;
    model_ = std::move(model::Model::build(config_, model::SyntheticWeights(config_, {}), "synthetic",
                                           {kernels::cpu_isas().back(), &pool_}))
                 .value();
  }
  model::ModelConfig config_;
  base::ThreadPool pool_{2};
  std::unique_ptr<model::Model> model_;
};

TEST_F(LoopTest, ChunksAndBatchesDoNotChangeTheTokens) {
  const std::vector<int32_t> prompt = random_tokens(75, config_.n_vocab, 3);
  std::vector<std::vector<int32_t>> chosen;
  for (const auto& [batch, max_rows] : {std::pair{1, 512}, {1, 7}, {3, 512}, {3, 100}, {3, 40}}) {
    Loop loop(*model_, batch, 100, model::KvType::kAuto);
    ASSERT_TRUE(loop.prefill(prompt, max_rows).ok());
    std::vector<int32_t> tokens;
    for (int step = 0; step < 20; ++step) {
      const std::span<const int32_t> next = loop.next_tokens();
      ASSERT_EQ(std::count(next.begin(), next.end(), next[0]), batch) << "the sequences are the same";
      tokens.push_back(next[0]);
      ASSERT_TRUE(loop.decode(1).ok());
    }
    chosen.push_back(tokens);
  }
  for (const auto& tokens : chosen) EXPECT_EQ(tokens, chosen.front());
}

TEST_F(LoopTest, SecondsOfFewerLayersAreScaled) {
  EXPECT_EQ((LoopSeconds{2, 1}.total(28, 7)), 9);
  Loop loop(*model_, 2, 128, model::KvType::kInt8);
  ASSERT_TRUE(loop.pretend(64).ok());
  const auto seconds = loop.decode(3);
  ASSERT_TRUE(seconds.ok()) << seconds.status().message();
  EXPECT_GT(seconds->layers, 0);
  EXPECT_GT(seconds->rest, 0);
}

}  // namespace
}  // namespace octavo::bench
