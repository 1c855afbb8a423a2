#include "base/regex.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace octavo::base {
namespace {

Regex compiled(std::string_view pattern) {
  Result<Regex> regex = Regex::compile(pattern);
  EXPECT_TRUE(regex.ok()) << regex.status().message();
  return std::move(*regex);
}

std::vector<std::string> all(const Regex& regex, std::string_view text) {
  std::vector<std::string> found;
  size_t offset = 0;
  while (offset < text.size()) {
    const auto match = regex.find(text, offset);
    if (!match.ok() || !match->has_value()) break;
    found.emplace_back(text.substr((*match)->begin, (*match)->end - (*match)->begin));
    offset = (*match)->end;
  }
  return found;
}

// The split pattern of Qwen2 and Qwen3.
constexpr std::string_view kQwen =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

TEST(RegexTest, SplitsLikeATokenizer) {
  EXPECT_EQ(all(compiled(kQwen), "It'S 12 ça  va 中文!\n x"),
            (std::vector<std::string>{"It", "'S", " ", "1", "2", " ça", " ", " va", " 中文", "!\n", " x"}));
}

TEST(RegexTest, StartMatchesLikePython) {
  const Regex regex = compiled(R"(.*mlp\.gate$)");
  EXPECT_TRUE(*regex.matches_start("model.layers.0.mlp.gate"));
  EXPECT_FALSE(*regex.matches_start("model.layers.0.mlp.gate_proj"));
  EXPECT_FALSE(*compiled("mlp").matches_start("model.mlp"));
  EXPECT_TRUE(*compiled("mlp").matches_start("mlp.x"));
  EXPECT_TRUE(*compiled("").matches_start(""));
  EXPECT_FALSE(*compiled(".").matches_start("\xFF"));
}

TEST(RegexTest, LookbehindSeesTextBeforeTheOffset) {
  const auto match = compiled("(?<=a)b").find("ab", 1);
  ASSERT_TRUE(match.ok());
  ASSERT_TRUE(match->has_value());
  EXPECT_EQ((*match)->begin, 1u);
}

TEST(RegexTest, BadPatternsAreNamed) {
  const Status status = Regex::compile("a(b").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("'a(b', byte 3"), std::string::npos) << status.message();
  EXPECT_FALSE(Regex::compile("\xFF").ok());
  EXPECT_FALSE(Regex::compile(std::string(100'000, 'a')).ok());
  EXPECT_FALSE(Regex::compile(std::string(10'000, '(')).ok());
}

TEST(RegexTest, EndlessBacktrackingIsAnError) {
  EXPECT_EQ(compiled("(a+)+$").find(std::string(64, 'a') + "b").status().code(),
            StatusCode::kResourceExhausted);
}

TEST(RegexTest, ThreadsShareAPattern) {
  const Regex regex = compiled(kQwen);
  std::vector<std::thread> threads;
  std::vector<size_t> counts(4);
  for (size_t t = 0; t < counts.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) counts[t] += all(regex, "one two three 45").size();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const size_t count : counts) EXPECT_EQ(count, 200u * 6);
}

}  // namespace
}  // namespace octavo::base
