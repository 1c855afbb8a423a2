#include "model/synthetic_checkpoint.h"

#include <gtest/gtest.h>

#include "model/synthetic.h"
#include "model/test_checkpoint.h"
#include "model/test_model.h"

namespace octavo::model {
namespace {

// What is read back from the folder is the model that is made in memory.
TEST(SyntheticCheckpoint, HoldsTheSyntheticModel) {
  for (const char* like : {"qwen3-bf16-tied", "llama-bf16-bias"}) {
    const base::Json config_json = format::Checkpoint::open(golden_path(like))->config();
    const TempFolder folder;
    const Status written = write_synthetic_checkpoint(config_json, 5, folder.path());
    ASSERT_TRUE(written.ok()) << written.message();
    const ModelConfig config = parse_model_config(config_json, "config.json").value();
    base::ThreadPool pool(2);
    const auto read = load_model(folder.path(), pool);
    const auto made = Model::build(config, SyntheticWeights(config, {tensor::DType::kBF16, 5}), "synthetic",
                                   {best_isa(), &pool});
    ASSERT_TRUE(made.ok());
    std::vector<int32_t> tokens(30);
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 37 % 67);
    EXPECT_EQ(fingerprint(run(*read, tokens, 30)), fingerprint(run(**made, tokens, 30))) << like;
  }
}

}  // namespace
}  // namespace octavo::model
