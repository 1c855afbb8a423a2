#include "engine/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octavo::engine {
namespace {

TEST(Logprobs, AreTheLogarithmsOfTheSoftmax) {
  const std::vector<float> logits = {std::log(1.0F), std::log(5.0F), std::log(2.0F)};
  const auto row = LogprobRow::read(logits);
  ASSERT_TRUE(row.ok());
  EXPECT_NEAR(row->of(0).logprob, std::log(1.0 / 8), 1e-6);
  EXPECT_NEAR(row->of(1).logprob, std::log(5.0 / 8), 1e-6);
  EXPECT_EQ(row->of(1).rank, 1);
  EXPECT_EQ(row->of(0).rank, 3);
}

TEST(Logprobs, EqualsAreRankedByIdEverywhere) {
  const std::vector<float> logits = {1, 3, 2, 3, 3, 2};
  const auto row = LogprobRow::read(logits);
  ASSERT_TRUE(row.ok());
  std::vector<int32_t> order;
  const auto all = row->top(6, order);
  const std::vector<int32_t> expected = {1, 3, 4, 2, 5, 0};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(all[i].id, expected[i]);
    EXPECT_EQ(all[i].rank, static_cast<int64_t>(i) + 1);
    const RankedLogprob alone = row->of(expected[i]);
    EXPECT_EQ(alone.rank, all[i].rank);
    EXPECT_EQ(alone.logprob, all[i].logprob);
  }
  EXPECT_EQ(row->top(2, order).size(), 2U);
  EXPECT_TRUE(row->top(0, order).empty());
}

TEST(Logprobs, RefusesWhatIsNoDistribution) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    EXPECT_FALSE(LogprobRow::read(std::vector<float>{0, bad}).ok());
  }
  EXPECT_FALSE(LogprobRow::read(std::vector<float>{-kInfinity, -kInfinity}).ok());
}

}  // namespace
}  // namespace octavo::engine
