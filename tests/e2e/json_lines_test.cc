// The commands that other programs drive: one JSON line in, one out, in order, whatever the line holds.
#include <gtest/gtest.h>

#include <cmath>

#include "program.h"

namespace octavo::e2e {
namespace {

using base::Json;

Outcome answer(std::vector<std::string> arguments, const std::string& input) {
  RunOptions options;
  options.input = input;
  return run_octavo(arguments, options);
}

TEST(JsonLines, TokenizeThereAndBack) {
  const std::string texts =
      "\"Hello, world\"\n\"\"\n\"caf\\u00e9 \\ud83d\\ude00 \xe4\xb8\xad\"\n\"a\\u0000b\\n\"";
  const Outcome ids = answer({"tokenize", demo_model()}, texts);
  EXPECT_EQ(ids.exit_code, 0) << ids.err;
  const auto lines = json_lines(ids.out);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[1], Json(base::JsonArray{}));
  for (const Json& line : lines) EXPECT_TRUE(line.is_array());
  const Outcome back = answer({"tokenize", demo_model(), "--decode"}, ids.out);
  EXPECT_EQ(back.exit_code, 0) << back.err;
  EXPECT_EQ(json_lines(back.out), json_lines(texts));
}

TEST(JsonLines, SpecialTokensAreDecodedUnlessSkipped) {
  EXPECT_EQ(answer({"tokenize", demo_model(), "--decode"}, "[12280, 32]\n").out, "\"<|im_start|>A\"\n");
  EXPECT_EQ(answer({"tokenize", demo_model(), "--decode", "--skip-special-tokens"}, "[12280, 32]\n").out,
            "\"A\"\n");
}

// Lines 1 and 9 are good; every other answers with an error in its place.
TEST(JsonLines, ABadLineGetsAnErrorAndTheNextIsStillAnswered) {
  const std::string input =
      "\"good\"\n{\"text\": \"good\"}\n\"caf\xe9\"\n\"open\n\n\"\\ud800\"\n\"a\" \"b\"\nnull\n\"good\"\n";
  const Outcome outcome = answer({"tokenize", demo_model()}, input);
  EXPECT_EQ(outcome.exit_code, 1);
  const auto lines = json_lines(outcome.out);
  ASSERT_EQ(lines.size(), 9U);
  for (size_t i = 1; i < 8; ++i) {
    ASSERT_NE(lines[i].find("error"), nullptr) << i << ": " << lines[i].dump();
    EXPECT_FALSE(lines[i].find("error")->as_string().empty());
    EXPECT_EQ(lines[i].find("error")->as_string().find("line 1"), std::string::npos) << lines[i].dump();
  }
  EXPECT_TRUE(lines[0].is_array());
  EXPECT_EQ(lines[0], lines[8]);
}

TEST(JsonLines, DecodeRefusesWhatIsNoToken) {
  const Outcome outcome =
      answer({"tokenize", demo_model(), "--decode"}, "[-1]\n[4294967296]\n[1.5]\n[\"a\"]\n7\n[32]\n");
  EXPECT_EQ(outcome.exit_code, 1);
  const auto lines = json_lines(outcome.out);
  ASSERT_EQ(lines.size(), 6U);
  for (size_t i = 0; i < 5; ++i) EXPECT_NE(lines[i].find("error"), nullptr) << lines[i].dump();
  EXPECT_EQ(lines[5], Json("A"));
}

TEST(JsonLines, ChatTemplateRendersAndNamesErrors) {
  const Outcome outcome =
      answer({"chat-template", demo_model(), "--now", "2024-07-26"},
             R"({"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true})"
             "\n{\"messages\": 7}\n{\n");
  EXPECT_EQ(outcome.exit_code, 1);
  const auto lines = json_lines(outcome.out);
  ASSERT_EQ(lines.size(), 3U);
  ASSERT_NE(lines[0].find("text"), nullptr) << lines[0].dump();
  EXPECT_EQ(lines[0].find("text")->as_string(), "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_NE(lines[1].find("error"), nullptr);
  EXPECT_NE(lines[2].find("error"), nullptr);
}

TEST(JsonLines, ScoreNamesTheTokenThatIsNone) {
  const Outcome outcome = answer({"score", demo_model()}, "{\"ids\": [5, 12288]}\n");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(*json_of(outcome.out).find("error"),
            Json("ids[1]: expected a token id from 0 to 12287, found 12288"));
}

TEST(JsonLines, ScoreGivesEveryPositionItsDistribution) {
  const Outcome outcome = answer({"score", demo_model(), "--top", "3"}, "{\"ids\": [262, 300, 17]}\n");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json line = json_of(outcome.out);
  const auto& logprobs = line.find("logprobs")->as_array();
  const auto& top = line.find("top")->as_array();
  ASSERT_EQ(logprobs.size(), 3U);
  ASSERT_EQ(top.size(), 3U);
  EXPECT_TRUE(logprobs[0].is_null());
  for (size_t i = 0; i < 3; ++i) {
    const auto& best = top[i].as_array();
    ASSERT_EQ(best.size(), 3U);
    EXPECT_GE(best[0].as_array()[1].as_double(), best[1].as_array()[1].as_double());
    EXPECT_LT(best[0].as_array()[1].as_double(), 0);
  }
  for (size_t i = 1; i < 3; ++i) {
    EXPECT_LE(logprobs[i].as_double(), top[i - 1].as_array()[0].as_array()[1].as_double());
  }
}

TEST(JsonLines, ScoreIsADistributionAndGreedyGenerationFollowsIt) {
  const Outcome outcome = answer({"score", demo_model(), "--top", "12288"}, "{\"text\": \"The old man\"}\n");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json line = json_of(outcome.out);
  const auto& last = line.find("top")->as_array().back().as_array();
  ASSERT_EQ(last.size(), 12288U);
  double sum = 0;
  for (const Json& entry : last) sum += std::exp(entry.as_array()[1].as_double());
  EXPECT_NEAR(sum, 1, 1e-5);
  const Outcome next = run_octavo(
      {"generate", demo_model(), "--prompt", "The old man", "--greedy", "--max-tokens", "1", "--json"});
  EXPECT_EQ(json_of(next.out).find("token_ids")->as_array()[0], last[0].as_array()[0]);
}

TEST(JsonLines, ScoreRefusesBadLinesAndGoesOn) {
  const Outcome outcome =
      answer({"score", demo_model()},
             "{}\n{\"ids\": []}\n{\"ids\": [12288]}\n{\"ids\": [-1]}\n{\"ids\": [1], \"text\": \"a\"}\n"
             "{\"txt\": \"a\"}\n[1]\n{\"ids\": \"a\"}\n{\"ids\": [1]}\n");
  EXPECT_EQ(outcome.exit_code, 1);
  const auto lines = json_lines(outcome.out);
  ASSERT_EQ(lines.size(), 9U);
  for (size_t i = 0; i < 8; ++i) EXPECT_NE(lines[i].find("error"), nullptr) << lines[i].dump();
  EXPECT_NE(lines[5].find("error")->as_string().find("did you mean 'text'?"), std::string::npos)
      << lines[5].dump();
  EXPECT_NE(lines[8].find("logprobs"), nullptr);
}

}  // namespace
}  // namespace octavo::e2e
