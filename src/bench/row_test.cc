#include "bench/row.h"

#include <gtest/gtest.h>

namespace octavo::bench {
namespace {

TEST(Row, RateIsOfTheMedianRun) {
  Row row;
  set_rate(row, 100, {4, 1, 2}, 200);
  EXPECT_EQ(row.value, 50);
  EXPECT_EQ(row.min, 25);
  EXPECT_EQ(row.max, 100);
  EXPECT_EQ(row.share, 0.25);
  EXPECT_EQ(row.n_runs, 3);
  set_rate(row, 100, {4, 1, 2, 3}, 0);
  EXPECT_EQ(row.value, 40);
  EXPECT_EQ(row.share, 0);
}

TEST(Row, SecondsAreBetterWhenFewer) {
  Row row;
  set_seconds(row, {4, 3, 5}, 2);
  EXPECT_EQ(row.value, 4);
  EXPECT_EQ(row.min, 3);
  EXPECT_EQ(row.max, 5);
  EXPECT_EQ(row.share, 0.5);
}

TEST(Row, LongWorkIsRepeatedLess) {
  int n_calls = 0;
  const auto once = [&]() -> Result<double> { return ++n_calls; };
  EXPECT_EQ(repeat({5, 10}, true, nullptr, once)->size(), 5U);
  EXPECT_EQ(n_calls, 6) << "the warm-up is not counted";
  EXPECT_EQ(repeat({5, 0}, false, nullptr, once)->size(), 2U);
  EXPECT_EQ(repeat({1, 0}, false, nullptr, once)->size(), 1U);
}

TEST(Row, AFailureOrAnInterruptEndsTheRuns) {
  int n_calls = 0;
  const auto failing = [&]() -> Result<double> {
    if (++n_calls == 2) return invalid_argument("broken");
    return 1.0;
  };
  EXPECT_EQ(repeat({5, 10}, false, nullptr, failing).status().message(), "broken");
  struct Stop : Progress {
    void update(std::string_view, int64_t, int64_t) override {}
    bool cancelled() const override { return true; }
  } stop;
  EXPECT_EQ(repeat({5, 10}, false, &stop, failing).status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace octavo::bench
