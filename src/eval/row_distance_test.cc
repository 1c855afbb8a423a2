#include "eval/row_distance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace octavo::eval {
namespace {

std::vector<float> logits_of(const std::vector<double>& probabilities, double shift = 0) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + shift));
  return logits;
}

TEST(RowDistance, LikelihoodIsThatOfTheSoftmaxWhateverTheShift) {
  for (const double shift : {0.0, 300.0, -300.0}) {
    EXPECT_NEAR(negative_log_likelihood(logits_of({0.5, 0.3, 0.2}, shift), 1), -std::log(0.3), 1e-4);
  }
}

TEST(RowDistance, KlIsFromBaseToModel) {
  const std::vector<double> p = {0.7, 0.2, 0.1}, q = {0.1, 0.6, 0.3};
  double expected = 0;
  for (size_t i = 0; i < p.size(); ++i) expected += p[i] * std::log(p[i] / q[i]);
  const RowDistance distance = row_distance(logits_of(q, 2), logits_of(p, -1), 2);
  EXPECT_NEAR(distance.kl, expected, 1e-6);
  EXPECT_NEAR(distance.nll, -std::log(0.3), 1e-6);
  EXPECT_NEAR(distance.base_nll, -std::log(0.1), 1e-6);
  EXPECT_FALSE(distance.same_top);
}

TEST(RowDistance, EqualRowsAreAtZero) {
  const auto row = logits_of({0.7, 0.2, 0.1});
  const RowDistance distance = row_distance(row, row, 0);
  EXPECT_EQ(distance.kl, 0);
  EXPECT_EQ(distance.nll, distance.base_nll);
  EXPECT_TRUE(distance.same_top);
}

TEST(RowDistance, NotANumberStaysVisible) {
  auto row = logits_of({0.7, 0.2, 0.1});
  const auto good = row;
  row[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(negative_log_likelihood(row, 0)));
  EXPECT_TRUE(std::isnan(row_distance(row, good, 0).kl));
  EXPECT_TRUE(std::isnan(row_distance(good, row, 0).kl));
}

}  // namespace
}  // namespace octavo::eval
