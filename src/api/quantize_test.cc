#include "octavo/quantize.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "data/ceval.h"
#include "model/test_checkpoint.h"

namespace octavo {
namespace {

TEST(QuantizeReport, TellsTheCevalSplitThatWasReallyUsed) {
  const model::TempFolder folder;
  const std::string dev = folder.path() + "/ceval/dev";
  std::filesystem::create_directories(dev);
  for (const data::CevalSubject& subject : data::ceval_subjects()) {
    const std::string path = dev + "/" + subject.name + "_dev.csv";
    ASSERT_TRUE(base::write_file_atomic(path, "id,question,A,B,C,D,answer\n0,one?,1,2,3,4,A\n").ok());
  }
  QuantizeOptions options;
  options.source = std::string(OCTAVO_SOURCE_DIR) + "/models/demo";
  options.target = folder.path() + "/out";
  options.recipe = folder.path() + "/one_strength.yaml";
  ASSERT_TRUE(base::write_file_atomic(options.recipe, "smooth: {strengths: [0.5]}\n").ok());
  options.calibration = "ceval:" + folder.path() + "/ceval";
  options.n_samples = 4;
  options.n_threads = 1;
  const auto report = quantize(options);
  ASSERT_TRUE(report.ok()) << report.status().message();
  const base::Json tree = base::parse_json(report->json).value();
  EXPECT_EQ(*tree.find("calibration")->find("split"), base::Json("dev"));
  EXPECT_EQ(tree.find("calibration")->find("subjects")->as_object().size(), 4U);
  EXPECT_EQ(*tree.find("recipe")->find("name"), base::Json("one_strength"));
}

// A recipe given as text and samples given as tokens need neither a file nor a tokenizer.
TEST(QuantizeOptions, RecipeTextAndTokenSamplesAreUsedInsteadOfFiles) {
  const model::TempFolder folder;
  QuantizeOptions options;
  options.source = std::string(OCTAVO_SOURCE_DIR) + "/models/demo";
  options.target = folder.path() + "/out";
  options.recipe = "no such recipe";
  options.recipe_text =
      R"({"name": "by hand", "smooth": {"strengths": [0.5]}, "layers": {"model\\.layers\\.0\\..*": "float"}})";
  options.calibration = "ceval:no such folder";
  options.length_tokens = 8;
  for (int32_t i = 0; i < 4; ++i) options.token_samples.push_back(std::vector<int32_t>(12, 100 + i));
  options.n_threads = 1;
  const auto report = quantize(options);
  ASSERT_TRUE(report.ok()) << report.status().message();
  const base::Json tree = base::parse_json(report->json).value();
  EXPECT_EQ(*tree.find("recipe")->find("name"), base::Json("by hand"));
  EXPECT_EQ(*tree.find("calibration")->find("n_samples"), base::Json(4));
  EXPECT_EQ(*tree.find("calibration")->find("n_tokens"), base::Json(32));

  options.target = folder.path() + "/other";
  options.token_samples[1].clear();
  const auto refused = quantize(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("sample 1 has no token"), std::string::npos)
      << refused.status().message();
  options.recipe_text = "smoth: false";
  EXPECT_EQ(quantize(options).status().code(), StatusCode::kInvalidArgument);
}

TEST(QuantizeOptions, OutputFormatsHaveNames) {
  EXPECT_EQ(parse_output_format("golden-stick").value(), OutputFormat::kGoldenStick);
  EXPECT_EQ(parse_output_format("compressed-tensors").value(), OutputFormat::kCompressedTensors);
  const auto refused = parse_output_format("golden-stik");
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("golden-stick"), std::string::npos);
}

}  // namespace
}  // namespace octavo
