#include "eval/estimate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace octavo::eval {
namespace {

TEST(Estimate, QuantilesOfStudentsT) {
  EXPECT_NEAR(t_quantile_975(1), 12.7062, 1e-3);
  EXPECT_NEAR(t_quantile_975(10), 2.22814, 1e-4);
  EXPECT_NEAR(t_quantile_975(11), 2.20099, 5e-4);
  EXPECT_NEAR(t_quantile_975(30), 2.04227, 1e-4);
  EXPECT_NEAR(t_quantile_975(1'000'000), 1.95996, 1e-4);
}

TEST(Estimate, IntervalOfThreeSamples) {
  const std::vector<double> samples = {1, 2, 6};
  const MeanEstimate estimate = estimate_mean(samples);
  EXPECT_DOUBLE_EQ(estimate.mean, 3);
  EXPECT_NEAR(estimate.half_width, 4.302653 * std::sqrt(7.0 / 3.0), 1e-6);  // variance (4 + 1 + 9) / 2
}

TEST(Estimate, OneSampleHasNoInterval) {
  const std::vector<double> samples = {5};
  EXPECT_EQ(estimate_mean(samples).mean, 5);
  EXPECT_TRUE(std::isinf(estimate_mean(samples).half_width));
}

TEST(Estimate, EqualSamplesHaveNoSpread) {
  const std::vector<double> samples = {0.25, 0.25, 0.25};
  EXPECT_EQ(estimate_mean(samples).half_width, 0);
}

}  // namespace
}  // namespace octavo::eval
