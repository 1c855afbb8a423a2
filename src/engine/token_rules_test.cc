#include "engine/token_rules.h"

#include <gtest/gtest.h>

#include <limits>

namespace octavo::engine {
namespace {

constexpr float kGone = -std::numeric_limits<float>::infinity();

std::vector<float> after(const TokenRules& rules, const std::vector<int32_t>& output) {
  std::vector<float> logits = {0, 1, 2, 3}, scratch;
  apply_rules(logits, rules, output, scratch);
  return logits;
}

TEST(TokenRules, NoneChangesNothing) { EXPECT_EQ(after({}, {1, 2}), (std::vector<float>{0, 1, 2, 3})); }

TEST(TokenRules, OnlyAllowedTokensStay) {
  TokenRules rules;
  rules.allowed = {2, 0, 2};
  EXPECT_EQ(after(rules, {}), (std::vector<float>{0, kGone, 2, kGone}));
}

TEST(TokenRules, ABiasIsAddedAndBringsNothingBack) {
  TokenRules rules;
  rules.bias = {{0, 5}, {3, -1}};
  EXPECT_EQ(after(rules, {}), (std::vector<float>{5, 1, 2, 2}));
  rules.allowed = {3};
  EXPECT_EQ(after(rules, {}), (std::vector<float>{kGone, kGone, kGone, 2}));
}

TEST(TokenRules, OnlyTheLastTokenOfAForbiddenSequenceIsForbidden) {
  TokenRules rules;
  rules.forbidden = {{1, 2}, {3}};
  EXPECT_EQ(after(rules, {}), (std::vector<float>{0, 1, 2, kGone}));
  EXPECT_EQ(after(rules, {0, 1}), (std::vector<float>{0, 1, kGone, kGone}));
  EXPECT_EQ(after(rules, {1, 0}), (std::vector<float>{0, 1, 2, kGone}));
}

TEST(TokenRules, StopTokensComeNotBeforeTheMinimum) {
  TokenRules rules;
  rules.stop_ids = {0, 3};
  rules.min_tokens = 2;
  EXPECT_EQ(after(rules, {1}), (std::vector<float>{kGone, 1, 2, kGone}));
  EXPECT_EQ(after(rules, {1, 1}), (std::vector<float>{0, 1, 2, 3}));
}

TEST(TokenRules, RefusesByName) {
  const auto refused = [](auto change, const std::string& expected) {
    TokenRules rules;
    change(rules);
    const Status status = check_rules(rules, 4);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(expected), std::string::npos) << status.message();
  };
  EXPECT_TRUE(check_rules({{0, 3}, {{3, -100.0F}}, {{0, 1}}, {3}, 5}, 4).ok());
  refused([](auto& r) { r.allowed = {0, 4}; }, "allowed_token_ids[1]");
  refused([](auto& r) { r.bias = {{-1, 0.0F}}; }, "logit_bias");
  refused([](auto& r) { r.bias = {{1, kGone}}; }, "logit_bias of token 1");
  refused([](auto& r) { r.forbidden = {{0}, {0, 9}}; }, "bad_words[1]");
  refused([](auto& r) { r.stop_ids = {4}; }, "stop_token_ids[0]");
}

}  // namespace
}  // namespace octavo::engine
