// octavo bench and octavo selftest as a user runs them; what the figures are is no test's business.
#include <gtest/gtest.h>

#include "program.h"

namespace octavo::e2e {
namespace {

using base::Json;

TEST(Bench, RowsOfACheckpointAsJson) {
  const Outcome outcome =
      run_octavo({"bench", demo_model(), "--rows", "prefill,decode,load,memory,engine", "--prefill", "32",
                  "--context", "64", "--batch", "3", "--requests", "2", "--request-tokens", "16+8",
                  "--repetitions", "2", "--profile", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json report = json_of(outcome.out);
  EXPECT_GT(report.find("machine")->find("read_gb_per_s")->as_double(), 0);
  std::vector<std::string> works;
  for (const Json& row : report.find("rows")->as_array()) {
    works.push_back(row.find("work")->as_string());
    const double value = row.find("value")->as_double();
    EXPECT_GT(value, 0) << works.back();
    EXPECT_LE(row.find("min")->as_double(), value) << works.back();
    EXPECT_GE(row.find("max")->as_double(), value) << works.back();
    for (const char* key : {"shape", "dtype", "isa", "kernel", "unit", "limit_of"}) {
      EXPECT_TRUE(row.find(key)->is_string()) << key;
    }
    for (const char* key : {"threads", "m", "batch", "context", "limit", "share"}) {
      EXPECT_NE(row.find(key), nullptr) << key;
    }
  }
  EXPECT_EQ(works, (std::vector<std::string>{"load", "memory", "prefill", "decode", "decode", "engine"}));
  EXPECT_EQ(report.find("profiles")->as_array().size(), 3U);
}

TEST(Bench, FewerLayersAreMarked) {
  const Outcome outcome = run_octavo({"bench", "--synthetic", "qwen3-0.6b", "--layers", "1", "--rows",
                                      "decode", "--context", "0", "--batch", "", "--repetitions", "1"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("* extrapolated from 1 layers"), std::string::npos) << outcome.out;
}

TEST(Bench, RefusesByName) {
  const auto error_of = [](const std::vector<std::string>& arguments) {
    const Outcome outcome = run_octavo(arguments);
    EXPECT_EQ(outcome.exit_code, 2);
    return outcome.err;
  };
  EXPECT_NE(error_of({"bench"}).find("expected MODEL or --synthetic SHAPE"), std::string::npos);
  EXPECT_NE(error_of({"bench", "--synthetic", "qwen3-9b"}).find("'qwen3-9b'"), std::string::npos);
  EXPECT_NE(error_of({"bench", demo_model(), "--prefill", "12,x"}).find("'x'"), std::string::npos);
  EXPECT_NE(error_of({"bench", demo_model(), "--request-tokens", "12"}).find("such as 128+64"),
            std::string::npos);
  EXPECT_NE(error_of({"bench", demo_model(), "--rows", "gem"}).find("did you mean 'gemm'?"),
            std::string::npos);
}

TEST(Bench, PrintsTheConfigOfAShape) {
  const Outcome outcome = run_octavo({"bench", "--synthetic", "qwen3-8b", "--print-config"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(json_of(outcome.out).find("hidden_size")->as_int(), 4096);
}

TEST(Selftest, KernelsOfThisCpuPass) {
  const Outcome outcome = run_octavo({"selftest", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  const Json report = json_of(outcome.out);
  EXPECT_TRUE(report.find("passed")->as_bool());
  EXPECT_FALSE(report.find("isas")->as_array().empty());
  EXPECT_NE(report.find("huge_pages"), nullptr);
}

}  // namespace
}  // namespace octavo::e2e
