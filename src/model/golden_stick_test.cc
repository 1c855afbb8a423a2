// Checkpoints that Golden Stick itself wrote (shared data, skipped without it): each of its layouts gives the
// float model's logits, as near as the original's own simulation does.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "format/quant_manifest/quant_manifest.h"
#include "model/test_model.h"

namespace octavo::model {
namespace {

// Relative mean squared error of the logits. Golden Stick's own simulation of the recipe has 0.0011.
constexpr double kMaxError = 0.002;

std::string golden_stick_data() {
  const char* environment = std::getenv("OCTAVO_DATA");
  return std::string(environment != nullptr ? environment : OCTAVO_SOURCE_DIR "/../shared/data") +
         "/golden-stick";
}

std::vector<float> row_of(const base::Json& numbers) {
  std::vector<float> row;
  for (const base::Json& number : numbers.as_array()) row.push_back(static_cast<float>(number.as_double()));
  return row;
}

TEST(GoldenStick, ItsOwnCheckpointsGiveTheFloatModelsLogits) {
  const std::string data = golden_stick_data();
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "no test data at " << data;
  const auto expected = base::read_json_file(data + "/expected.json");
  ASSERT_TRUE(expected.ok()) << expected.status().message();
  base::ThreadPool pool(2);
  for (const char* layout : {"format-a", "format-b-ascend", "format-b-none"}) {
    const auto checkpoint = format::Checkpoint::open(data + "/" + layout);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    const auto manifest = format::QuantManifest::read(*checkpoint);
    ASSERT_TRUE(manifest.ok()) << manifest.status().message();
    EXPECT_EQ(manifest->description(), "golden-stick w8a8 static and dynamic");
    const auto model = load_model(data + "/" + layout, pool);
    double squares = 0, wanted_squares = 0;
    for (size_t i = 0; i < 4; ++i) {
      std::vector<int32_t> tokens;
      for (const base::Json& id : expected->find("input_ids")->as_array()[i].as_array()) {
        tokens.push_back(static_cast<int32_t>(id.as_int()));
      }
      const std::vector<float> want = row_of(expected->find("float_last_logits")->as_array()[i]);
      const std::vector<float> all = run(*model, tokens, tokens.size());
      const std::span<const float> got = std::span(all).last(want.size());
      for (size_t j = 0; j < want.size(); ++j) {
        squares += std::pow(static_cast<double>(got[j]) - want[j], 2);
        wanted_squares += std::pow(static_cast<double>(want[j]), 2);
      }
    }
    std::printf("%-16s relative mean squared error of the logits %.5f\n", layout, squares / wanted_squares);
    EXPECT_LT(squares / wanted_squares, kMaxError) << layout;
  }
}

}  // namespace
}  // namespace octavo::model
