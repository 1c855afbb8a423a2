// octavo eval and octavo inspect on whole models.
#include <gtest/gtest.h>

#include <cmath>

#include "program.h"

namespace octavo::e2e {
namespace {

using base::Json;

// About 300 tokens of the demo model's kind of text.
std::string prose() {
  std::string text;
  for (int i = 0; i < 12; ++i) {
    text += "The old gentleman walked slowly down the street, and said nothing of chapter " +
            std::to_string(i) + " until the evening came.\n";
  }
  return text;
}

TEST(Eval, PerplexityIsExpOfTheMeanOfWindows) {
  const TemporaryFolder folder;
  write_text(folder / "text.txt", prose());
  const Outcome outcome =
      run_octavo({"eval", demo_model(), "--text", folder / "text.txt", "--window", "64", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json report = json_of(outcome.out);
  EXPECT_EQ(*report.find("schema_version"), Json(1));
  EXPECT_GE(report.find("n_windows")->as_int(), 3);
  EXPECT_EQ(report.find("n_tokens")->as_int(), 63 * report.find("n_windows")->as_int());
  EXPECT_NEAR(report.find("perplexity")->as_double(), std::exp(report.find("nll")->find("mean")->as_double()),
              1e-9);
  EXPECT_LT(report.find("perplexity")->as_double(), 12288 / 8.0);  // it has learned something
  EXPECT_GT(report.find("nll")->find("half_width_95")->as_double(), 0);
}

// The definition, from `octavo score`: the mean of -logprob over a single window.
TEST(Eval, AgreesWithScore) {
  const TemporaryFolder folder;
  const std::string text = "The old gentleman walked slowly down the street.";
  write_text(folder / "text.txt", text);
  const Json report =
      json_of(run_octavo({"eval", demo_model(), "--text", folder / "text.txt", "--json"}).out);
  RunOptions options;
  options.input = Json(base::JsonObject{{"text", Json(text)}}).dump() + "\n";
  const Json scored = json_of(run_octavo({"score", demo_model(), "--top", "0"}, options).out);
  const auto& logprobs = scored.find("logprobs")->as_array();
  double nll = 0;
  for (size_t i = 1; i < logprobs.size(); ++i) nll -= logprobs[i].as_double();
  EXPECT_EQ(*report.find("n_windows"), Json(1));
  EXPECT_TRUE(report.find("nll")->find("half_width_95")->is_null());
  EXPECT_NEAR(report.find("nll")->find("mean")->as_double(), nll / static_cast<double>(logprobs.size() - 1),
              1e-5);
}

TEST(Eval, AModelIsAtNoDistanceFromItself) {
  const TemporaryFolder folder;
  write_text(folder / "text.txt", prose());
  const Outcome outcome = run_octavo({"eval", demo_model(), "--text", folder / "text.txt", "--window", "64",
                                      "--max-windows", "2", "--against", demo_model(), "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json report = json_of(outcome.out);
  const Json* against = report.find("against");
  ASSERT_NE(against, nullptr);
  EXPECT_EQ(report.find("n_windows")->as_int(), 2);
  EXPECT_EQ(against->find("max_kl")->as_double(), 0);
  EXPECT_EQ(against->find("nll_difference")->find("mean")->as_double(), 0);
  EXPECT_EQ(against->find("top1_agreement")->as_double(), 1);
  EXPECT_EQ(against->find("base_perplexity")->as_double(), report.find("perplexity")->as_double());
}

TEST(Eval, RefusesTextsAndWindowsItCannotUse) {
  const TemporaryFolder folder;
  write_text(folder / "empty.txt", "");
  write_text(folder / "latin1.txt", "caf\xe9 caf\xe9");
  write_text(folder / "text.txt", prose());
  const auto refused = [&](std::vector<std::string> arguments, const std::string& expected) {
    arguments.insert(arguments.begin(), {"eval", demo_model()});
    const Outcome outcome = run_octavo(arguments);
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_NE(outcome.err.find(expected), std::string::npos) << outcome.err;
  };
  refused({"--text", folder / "empty.txt"}, "at least 2");
  refused({"--text", folder / "latin1.txt"}, "UTF-8");
  refused({"--text", folder / "missing.txt"}, "missing.txt");
  refused({"--text", folder / "text.txt", "--window", "1"}, "at least 2");
  refused({"--text", folder / "text.txt", "--against", folder / "nothing"}, "nothing");
}

TEST(Inspect, AWholeModelIsHealthy) {
  const Outcome text = run_octavo({"inspect", demo_model()});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(text.out.find("Qwen3ForCausalLM"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("7,409,024"), std::string::npos) << text.out;
  const Json report = json_of(run_octavo({"inspect", demo_model(), "--json"}).out);
  EXPECT_EQ(*report.find("schema_version"), Json(1));
  EXPECT_EQ(*report.find("healthy"), Json(true));
  EXPECT_EQ(*report.find("runnable"), Json(true));
  EXPECT_EQ(*report.find("n_parameters"), Json(7409024));
}

TEST(Inspect, ASingleFile) {
  const Json report = json_of(run_octavo({"inspect", demo_model() + "/model.safetensors", "--json"}).out);
  EXPECT_EQ(*report.find("kind"), Json("safetensors file"));
  EXPECT_EQ(*report.find("healthy"), Json(true));
}

}  // namespace
}  // namespace octavo::e2e
