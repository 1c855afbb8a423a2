#include "octavo/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/test_environment.h"
#include "data/ceval.h"
#include "model/test_checkpoint.h"
#include "model/test_model.h"

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

// A folder of MindSpore Golden Stick's own making, and the samples that it was calibrated with.
class GoldenStickData : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = base::test_data_folder() + "/golden-stick";
    if (!base::path_exists(folder_)) GTEST_SKIP() << "no test data at " << folder_ << "; set OCTAVO_DATA";
    const base::Json expected = base::read_json_file(folder_ + "/expected.json").value();
    for (const base::Json& ids : expected.find("input_ids")->as_array()) {
      samples_.emplace_back();
      for (const base::Json& id : ids.as_array())
        samples_.back().push_back(static_cast<int32_t>(id.as_int()));
    }
    for (const base::Json& row : expected.find("float_last_logits")->as_array()) {
      for (const base::Json& logit : row.as_array()) float_logits_.push_back(logit.as_double());
    }
  }
  // Mean squared difference from the float model's logits at the samples' last tokens, over their mean
  // square.
  double relative_error(const std::string& model_folder) const {
    base::ThreadPool pool(1);
    const auto model = model::load_model(model_folder, pool);
    const size_t n_vocab = float_logits_.size() / samples_.size();
    double error = 0, signal = 0;
    for (size_t i = 0; i < samples_.size(); ++i) {
      const std::vector<float> logits = model::run(*model, samples_[i], samples_[i].size());
      for (size_t j = 0; j < n_vocab; ++j) {
        const double expected = float_logits_[i * n_vocab + j];
        error += std::pow(static_cast<double>(logits[logits.size() - n_vocab + j]) - expected, 2);
        signal += expected * expected;
      }
    }
    return error / signal;
  }

  std::string folder_;
  std::vector<std::vector<int32_t>> samples_;
  std::vector<double> float_logits_;
};

TEST_F(GoldenStickData, OctavosOwnLayoutIsAsNearToTheFloatModelAsTheOriginals) {
  const model::TempFolder folder;
  QuantizeOptions options;
  options.source = folder_ + "/source";
  options.recipe = "w8a8-smoothquant";
  options.token_samples = samples_;
  options.n_threads = 1;
  const double theirs = relative_error(folder_ + "/format-b-ascend");
  for (const std::string& name : output_format_names()) {
    options.target = folder.path() + "/" + name;
    options.format = parse_output_format(name).value();
    const auto report = quantize(options);
    ASSERT_TRUE(report.ok()) << report.status().message();
    const double ours = relative_error(options.target);
    std::printf("%-18s relative error of the logits %.6f, the original's %.6f\n", name.c_str(), ours, theirs);
    EXPECT_LE(ours, theirs) << name;
    EXPECT_GT(ours, 0) << name;
  }
}

// Golden Stick's own factors and ranges, from the same samples: what is left is that the source, and so
// Octavo's target, is bf16 (2^-8), where theirs was written in F32.
TEST_F(GoldenStickData, FactorsAndRangesAreTheOriginals) {
  const model::TempFolder folder;
  QuantizeOptions options;
  options.source = folder_ + "/source";
  options.target = folder.path() + "/out";
  options.recipe = "w8a8-smoothquant";
  options.format = OutputFormat::kGoldenStick;
  options.token_samples = samples_;
  ASSERT_TRUE(quantize(options).ok());
  model::TestCheckpoint ours(options.target), theirs(folder_ + "/format-b-ascend");
  EXPECT_EQ(ours.tensors.size(), theirs.tensors.size());
  size_t n_compared = 0;
  for (const auto& [name, expected] : theirs.tensors) {
    ASSERT_TRUE(ours.tensors.contains(name)) << name;
    EXPECT_EQ(ours.tensors[name].shape, expected.shape) << name;
    if (!name.ends_with("layernorm.weight") && !name.ends_with(".input_scale")) continue;
    const float tolerance = name.find("layers.0.") != std::string::npos ? 0x1p-8F : 0x1p-7F;
    const std::vector<float> found = ours.tensors[name].floats(), wanted = expected.floats();
    for (size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_NEAR(found[i], wanted[i], tolerance * std::fabs(wanted[i])) << name << " " << i;
      ++n_compared;
    }
  }
  EXPECT_EQ(n_compared, 2 * (2 * 64 + 6 * 64));  // of each layer: two norms and six inputs, all of width 64
}

}  // namespace
}  // namespace octavo
