#include "engine/draft.h"

#include <gtest/gtest.h>

namespace octavo::engine {
namespace {

std::vector<int32_t> drafted(const std::vector<int32_t>& tokens, int64_t n_most) {
  std::vector<int32_t> draft = {99};
  draft_from_past(tokens, n_most, draft);
  return draft;
}

TEST(Draft, WhatFollowedTheLongestEqualEnd) {
  EXPECT_EQ(drafted({1, 2, 3, 4, 5, 9, 3, 4, 8, 1, 2, 3, 4}, 3), (std::vector<int32_t>{5, 9, 3}));
  EXPECT_EQ(drafted({3, 4, 7, 3, 4, 8, 3, 4}, 2), (std::vector<int32_t>{8, 3})) << "the latest of equals";
}

TEST(Draft, AtMostWhatIsThere) {
  EXPECT_EQ(drafted({5, 5, 5}, 4), (std::vector<int32_t>{5}));
  EXPECT_TRUE(drafted({1, 2, 3}, 4).empty());
  EXPECT_TRUE(drafted({1, 2, 1, 2}, 0).empty());
  EXPECT_TRUE(drafted({}, 4).empty());
  EXPECT_TRUE(drafted({1}, 4).empty());
}

TEST(DraftGate, TakesTheCheaperAndTriesTheOtherNowAndThen) {
  DraftGate gate;
  const auto run = [&](double plain, double with_draft) {
    int64_t n_drafted = 0;
    for (int i = 0; i < 1000; ++i) {
      const bool drafted = gate.wants_draft(1);
      n_drafted += drafted ? 1 : 0;
      gate.measure(1, drafted, drafted ? with_draft : plain, 1);
    }
    return n_drafted;
  };
  EXPECT_LT(run(1.0, 1.2), 30);
  EXPECT_GT(run(1.0, 0.5), 500) << "what costs change is noticed";
  EXPECT_FALSE(gate.wants_draft(8)) << "each size of batch has its own account";
}

}  // namespace
}  // namespace octavo::engine
