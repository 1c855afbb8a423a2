// octavo quantize, and what comes out of it run and inspected.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "program.h"

namespace octavo::e2e {
namespace {

namespace fs = std::filesystem;
using base::Json;

Outcome quantize(const std::string& target, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"quantize", demo_model(), "-o", target, "--recipe", "rtn-w8a8"});
  return run_octavo(more);
}

TEST(Quantize, RoundToNearestThenGenerateEvaluateAndInspect) {
  const TemporaryFolder folder;
  const std::string target = folder / "w8a8";
  const Outcome quantized = quantize(target, {"--json"});
  ASSERT_EQ(quantized.exit_code, 0) << quantized.err;
  const Json report = json_of(quantized.out);
  EXPECT_EQ(*report.find("schema_version"), Json(1));
  EXPECT_LT(report.find("target_bytes")->as_int(), report.find("source_bytes")->as_int());

  const Outcome inspected = run_octavo({"inspect", target, "--json"});
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  EXPECT_EQ(*json_of(inspected.out).find("runnable"), Json(true));

  const Outcome text =
      run_octavo({"generate", target, "--prompt", "The old man", "--greedy", "--max-tokens", "12", "--json"});
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(*json_of(text.out).find("model")->find("quantization"), Json("none"));

  write_text(folder / "text.txt",
             "The old gentleman walked slowly down the street, and said nothing until the evening.");
  const Outcome compared =
      run_octavo({"eval", target, "--text", folder / "text.txt", "--against", demo_model(), "--json"});
  ASSERT_EQ(compared.exit_code, 0) << compared.err;
  const Json distance = json_of(compared.out);
  const Json* against = distance.find("against");
  ASSERT_NE(against, nullptr);
  EXPECT_GT(against->find("kl")->find("mean")->as_double(), 0);
  EXPECT_LT(against->find("kl")->find("mean")->as_double(), 0.1);
  EXPECT_GT(against->find("top1_agreement")->as_double(), 0.7);
}

TEST(Quantize, SmoothQuantWithCalibrationTextIsReproducible) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 60; ++i) text += "Chapter " + std::to_string(i) + ". The old gentleman said nothing.\n";
  write_text(folder / "calibration.txt", text);
  for (const char* threads : {"1", "2"}) {
    const Outcome outcome = run_octavo({"quantize", demo_model(), "-o", folder / threads, "--recipe", "w8a8",
                                        "--calib", "text:" + folder / "calibration.txt", "--samples", "4",
                                        "--length", "32", "--threads", threads});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  EXPECT_TRUE(read_text(folder / "1/model.safetensors") == read_text(folder / "2/model.safetensors"));
}

// The static recipe in both layouts: written, inspected, run; the two are one model.
TEST(Quantize, TheStaticRecipeInBothLayouts) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 60; ++i) text += "Chapter " + std::to_string(i) + ". The old gentleman said nothing.\n";
  write_text(folder / "calibration.txt", text);
  std::vector<std::string> answers;
  for (const std::string layout : {"compressed-tensors", "golden-stick"}) {
    const Outcome quantized =
        run_octavo({"quantize", demo_model(), "-o", folder / layout, "--recipe", "w8a8-smoothquant",
                    "--format", layout, "--calib", "text:" + folder / "calibration.txt", "--length", "64"});
    ASSERT_EQ(quantized.exit_code, 0) << quantized.err;
    EXPECT_NE(quantized.out.find("with static inputs"), std::string::npos) << quantized.out;
    const Outcome inspected = run_octavo({"inspect", folder / layout, "--json"});
    EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
    EXPECT_EQ(*json_of(inspected.out).find("runnable"), Json(true));
    EXPECT_NE(inspected.out.find(layout), std::string::npos);
    const Outcome answer = run_octavo(
        {"generate", folder / layout, "--prompt", "The old man", "--greedy", "--max-tokens", "12"});
    EXPECT_EQ(answer.exit_code, 0) << answer.err;
    answers.push_back(answer.out);
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_TRUE(fs::exists(folder / "golden-stick/quantization_description.json"));
  EXPECT_TRUE(fs::exists(folder / "golden-stick/tokenizer.json"));
  EXPECT_TRUE(read_text(folder / "golden-stick/config.json") == read_text(demo_model() + "/config.json"));

  const Outcome uncalibrated =
      run_octavo({"quantize", demo_model(), "-o", folder / "none", "--recipe", "w8a8-smoothquant"});
  EXPECT_EQ(uncalibrated.exit_code, 1);
  EXPECT_NE(uncalibrated.err.find("calibration"), std::string::npos) << uncalibrated.err;
  const Outcome misspelt = quantize(folder / "none", {"--format", "golden-stik"});
  EXPECT_EQ(misspelt.exit_code, 2);
  EXPECT_NE(misspelt.err.find("did you mean 'golden-stick'?"), std::string::npos) << misspelt.err;
  const Outcome again =
      run_octavo({"quantize", folder / "golden-stick", "-o", folder / "none", "--recipe", "rtn-w8a8"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_NE(again.err.find("already quantized"), std::string::npos) << again.err;
}

TEST(Quantize, ADryRunPlansAndWritesNothing) {
  const TemporaryFolder folder;
  const Outcome outcome = quantize(folder / "w8a8", {"--dry-run"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_FALSE(outcome.out.empty());
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Quantize, AnExistingTargetIsKeptUnlessAskedFor) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "w8a8");
  write_text(folder / "w8a8/precious.txt", "mine");
  const Outcome refused = quantize(folder / "w8a8");
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.err.find("w8a8"), std::string::npos) << refused.err;
  EXPECT_EQ(read_text(folder / "w8a8/precious.txt"), "mine");
}

TEST(Quantize, AReadOnlyTargetFailsBeforeTheWorkAndLeavesNothing) {
  const TemporaryFolder folder;
  const std::string locked = folder / "locked";
  fs::create_directory(locked);
  chmod(folder.path().c_str(), 0755);
  chmod(locked.c_str(), 0555);
  RunOptions options;
  options.unprivileged = true;
  const Outcome outcome =
      run_octavo({"quantize", demo_model(), "-o", locked + "/w8a8", "--recipe", "rtn-w8a8"}, options);
  if (outcome.exit_code == 127) GTEST_SKIP() << "the program cannot be run by another user here";
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("locked"), std::string::npos) << outcome.err;
  EXPECT_TRUE(fs::is_empty(locked));
}

TEST(Quantize, AFileThatMayNotGrowIsAnErrorAndLeavesNothing) {
  const TemporaryFolder folder;
  RunOptions options;
  options.file_limit_bytes = 1'000'000;
  const Outcome outcome =
      run_octavo({"quantize", demo_model(), "-o", folder / "w8a8", "--recipe", "rtn-w8a8"}, options);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("octavo: error: "), std::string::npos) << outcome.err;
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Quantize, ASignalLeavesNothing) {
  const TemporaryFolder folder, data;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "Chapter " + std::to_string(i) + ". The old man said nothing.\n";
  write_text(data / "calibration.txt", text);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    RunOptions options;
    options.send_interrupt_after_output = "octavo: ";  // the first line of progress
    options.interrupt_signal = number;
    const Outcome outcome = run_octavo({"quantize", demo_model(), "-o", folder / "w8a8", "--recipe", "w8a8",
                                        "--calib", "text:" + data / "calibration.txt"},
                                       options);
    EXPECT_EQ(outcome.exit_code, 130) << number << ": " << outcome.err;
    EXPECT_TRUE(fs::is_empty(folder.path())) << number;
  }
}

TEST(Quantize, ATargetThatCannotBeAFolder) {
  const TemporaryFolder folder;
  write_text(folder / "file", "");
  for (const std::string& target : {folder / "file/w8a8", std::string("/proc/w8a8")}) {
    const Outcome outcome = quantize(target);
    EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
    EXPECT_EQ(outcome.err.rfind("octavo: ", 0), 0U) << outcome.err;
  }
}

TEST(Quantize, ABrokenSourceLeavesNoTarget) {
  const TemporaryFolder folder;
  const std::string source = folder.copy_demo("source");
  fs::resize_file(source + "/model.safetensors", 1'000'000);
  const Outcome outcome = run_octavo({"quantize", source, "-o", folder / "w8a8", "--recipe", "rtn-w8a8"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("model.safetensors"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(folder / "w8a8"));
}

}  // namespace
}  // namespace octavo::e2e
