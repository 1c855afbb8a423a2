#include "bench/model_rows.h"

#include <gtest/gtest.h>

#include "bench/shapes.h"
#include "model/config.h"
#include "model/synthetic.h"

namespace octavo::bench {
namespace {

TEST(ModelRows, ADecodeStepReadsWeightsOnceAndEachSequencesKeysAndValues) {
  base::Json json = *shape_config("qwen3-0.6b");
  json.set("num_hidden_layers", 1);
  json.set("vocab_size", 1000);
  const model::ModelConfig config = *model::parse_model_config(json, "config.json");
  base::ThreadPool pool(1);
  const kernels::Isa isa = kernels::Isa::kRef;
  const auto model = model::Model::build(config, model::SyntheticWeights(config, {tensor::DType::kI8, 1}),
                                         "synthetic", {isa, &pool});
  ASSERT_TRUE(model.ok());
  const Machine machine;
  const Subject subject = {"qwen3-0.6b",         **model, pool,   isa, machine, /*n_layers=*/28,
                           model::KvType::kAuto, {},      nullptr};
  const Floor empty = decode_floor(subject, 1, 0);
  const double weights = 28.0 * 1024 * (2 * 2048 + 2 * 1024 + 3 * 3072) + 2.0 * 1000 * 1024;
  EXPECT_NEAR(empty.bytes, weights, 0.01 * weights);  // and scales and norms
  // Two sequences of 100 tokens: keys and values of 8 heads of 128 in bf16, in 28 layers.
  const Floor full = decode_floor(subject, 2, 100);
  EXPECT_EQ(full.bytes - empty.bytes, 2.0 * 100 * 28 * 2 * 8 * 128 * 2);
  EXPECT_EQ(full.s8_ops, 2 * empty.s8_ops);
  EXPECT_EQ(full.float_ops, 2 * empty.float_ops);
}

}  // namespace
}  // namespace octavo::bench
