#include "bench/session.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/test_environment.h"
#include "bench/shapes.h"
#include "model/config.h"

namespace octavo::bench {
namespace {

const char* kTinyModel = OCTAVO_SOURCE_DIR "/tests/golden/qwen3-bf16-tied";

// One layer of a real shape; under sanitizers, where that takes minutes, a tiny model.
Plan short_plan() {
  Plan plan;
  plan.works = {"prefill", "decode", "engine", "memory"};
  if (base::kSanitized) {
    plan.folder = kTinyModel;
  } else {
    plan.synthetic = "qwen3-0.6b";
    plan.n_layers = 1;
    plan.works.insert("prefix");  // 32 prompts of 1,000 tokens
  }
  plan.n_threads = 2;
  plan.prefills = {40};
  plan.contexts = {0, 100};
  plan.batches = {3};
  plan.requests = {{2, 20, 5}};
  plan.max_rows = 16;
  plan.repetitions = {2, 10};
  plan.profile = true;
  return plan;
}

TEST(Session, RowsStateValueLimitAndShare) {
  const Result<Measured> measured = measure(short_plan(), nullptr);
  ASSERT_TRUE(measured.ok()) << measured.status().message();
  EXPECT_GT(measured->machine.read_bandwidth, 0);
  ASSERT_EQ(measured->rows.size(), base::kSanitized ? 6U : 7U);
  const bool has_peaks = measured->isa != kernels::Isa::kRef;
  for (const Row& row : measured->rows) {
    EXPECT_EQ(row.threads, 2);
    EXPECT_GT(row.min, 0) << row.work;
    EXPECT_LE(row.min, row.value);
    EXPECT_LE(row.value, row.max);
    if (row.work == "prefill" && !has_peaks) continue;
    EXPECT_GT(row.limit, 0) << row.work;
    if (row.work == "engine") {
      EXPECT_EQ(row.limit_of, "bare loop");
      EXPECT_GT(row.share, base::kSanitized ? 0 : 0.1);
    } else if (row.work != "memory" && row.work != "prefix") {
      EXPECT_NEAR(row.share, row.value / row.limit, 1e-9);
      EXPECT_EQ(row.n_runs, 2);
      EXPECT_EQ(row.extrapolated_from, base::kSanitized ? 0 : 1);
    }
  }
  EXPECT_EQ(measured->rows[1].m, 40);
  EXPECT_EQ(measured->rows[3].context, 100);
  EXPECT_EQ(measured->rows[4].batch, 3);
  ASSERT_EQ(measured->profiles.size(), 4U);
  for (const Profile& profile : measured->profiles) {
    for (const auto& part : profile.parts) EXPECT_GT(part.seconds, 0) << profile.work << part.operation;
  }
}

TEST(Session, QuantizeRowsStateSecondsAndMemory) {
  Plan plan;
  plan.folder = kTinyModel;
  plan.n_threads = 2;
  plan.works = {"quantize"};
  plan.calibration = {4, 24};
  plan.profile = true;
  const Result<Measured> measured = measure(plan, nullptr);
  ASSERT_TRUE(measured.ok()) << measured.status().message();
  ASSERT_GE(measured->rows.size(), 1U);  // the second, memory, where the kernel forgets a peak
  const Row& seconds = measured->rows[0];
  EXPECT_EQ(seconds.work, "quantize");
  EXPECT_EQ(seconds.unit, "s");
  EXPECT_EQ(seconds.m, 96);
  EXPECT_EQ(seconds.extrapolated_from, 0);
  ASSERT_EQ(measured->profiles.size(), 1U);
  double sum = 0;
  for (const auto& part : measured->profiles[0].parts) sum += part.seconds;
  EXPECT_NEAR(sum, seconds.value, 1e-9);
  if (measured->rows.size() > 1) {
    EXPECT_EQ(measured->rows[1].unit, "GiB");
  }

  plan.calibration = {0, 24};
  EXPECT_EQ(measure(plan, nullptr).status().message(), "calibration samples: expected 1 to 4096, found 0");
}

TEST(Session, EachRuleHasARow) {
  Plan plan;
  plan.folder = kTinyModel;
  plan.n_threads = 2;
  plan.works = {"rules"};
  plan.repetitions = {2, 10};
  const Result<Measured> measured = measure(plan, nullptr);
  ASSERT_TRUE(measured.ok()) << measured.status().message();
  ASSERT_GE(measured->rows.size(), 4U);  // ref and AMX lack rows of sums
  int n_steps = 0;
  for (const Row& row : measured->rows) {
    EXPECT_EQ(row.work, "rules");
    if (row.unit == "%") {
      ++n_steps;
      EXPECT_GE(row.value, 0) << row.shape;
      EXPECT_LT(row.value, 100) << row.shape;
      continue;
    }
    EXPECT_GT(row.limit, 0) << row.shape;
    EXPECT_EQ(row.n_runs, 2);
  }
  EXPECT_EQ(n_steps, 2);  // of prefill and decode
}

TEST(Session, LoadsASyntheticShapeFromFiles) {
  if (base::kSanitized) GTEST_SKIP() << "writes 0.7 GB, which takes minutes under sanitizers";
  Plan plan = short_plan();
  plan.works = {"load"};
  plan.repetitions = {1, 1};
  const Result<Measured> measured = measure(plan, nullptr);
  ASSERT_TRUE(measured.ok()) << measured.status().message();
  ASSERT_EQ(measured->rows.size(), 1U);
  EXPECT_EQ(measured->rows[0].dtype, "int8");
  EXPECT_GT(measured->rows[0].limit, 0);
  EXPECT_EQ(measured->rows[0].extrapolated_from, 1);
}

TEST(Session, RefusesByName) {
  const auto message = [](auto change) {
    Plan plan = short_plan();
    plan.folder.clear();
    plan.synthetic = "qwen3-0.6b";
    change(plan);
    const Result<Measured> measured = measure(plan, nullptr);
    return measured.ok() ? std::string("nothing") : measured.status().message();
  };
  EXPECT_EQ(message([](Plan& p) { p.synthetic = "qwen3-1b"; }),
            "no shape is called 'qwen3-1b'; there are qwen3-0.6b, qwen3-1.7b, qwen3-4b, qwen3-8b, qwen3-14b, "
            "qwen3-32b");
  EXPECT_EQ(message([](Plan& p) { p.n_layers = 29; }), "layers: expected 1 to 28, found 29");
  EXPECT_EQ(message([](Plan& p) { p.works = {"prefil"}; }),
            "rows: 'prefil' is not known; did you mean 'prefill'?");
  EXPECT_EQ(message([](Plan& p) { p.batches = {0}; }), "batch: expected 1 to 1024, found 0");
  EXPECT_EQ(message([](Plan& p) { p.folder = "somewhere"; }),
            "expected a model folder or the name of a synthetic shape, and not both");
}

TEST(Shapes, AreWhatTheDecoderRuns) {
  for (const std::string& name : shape_names()) {
    const Result<base::Json> json = shape_config(name);
    ASSERT_TRUE(json.ok());
    const auto config = model::parse_model_config(*json, name);
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->head_dim, 128);
    EXPECT_EQ(config->rope.theta, 1e6);
  }
}

}  // namespace
}  // namespace octavo::bench
