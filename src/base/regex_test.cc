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

std::optional<RegexMatch> find(const std::string& pattern, std::string_view subject, bool linear_time) {
  auto regex = Regex::compile(pattern, {.linear_time = linear_time});
  EXPECT_TRUE(regex.ok()) << regex.status().message();
  auto match = regex->find(subject);
  EXPECT_TRUE(match.ok()) << match.status().message();
  return *match;
}

TEST(RegexTest, LongMatchesAndLongGapsAreFoundWhole) {
  const std::string spaces(30'000, ' ');
  for (const bool linear_time : {false, true}) {
    const auto word = find("\\p{L}+", "1" + std::string(3'000'000, 'a') + "1", linear_time);
    ASSERT_TRUE(word);
    EXPECT_EQ(word->end - word->begin, 3'000'000u);
    const auto far = find("x", std::string(3'000'000, 'a') + "x", linear_time);
    ASSERT_TRUE(far);
    EXPECT_EQ(far->begin, 3'000'000u);
    const auto blank = find("\\s*[\r\n]+|\\s+(?!\\S)", spaces + "a", linear_time);
    ASSERT_TRUE(blank);
    EXPECT_EQ(blank->end, spaces.size() - 1);
  }
}

TEST(RegexTest, WindowsCutNoCharacterAndNoMatch) {
  // Matches, misses and multi-byte characters around a window's border; machine code, which has no windows,
  // agrees.
  for (const char* pattern :
       {"(?:\xc3\xa9|ab)+(?!\\S)|\\d$", "\\b\\p{L}{3,}\\b", "(?<=\xc3\xa9)a+$", "\\s+(?!\\S)|\\s+"}) {
    for (size_t n = 250; n < 262; ++n) {
      for (const char* tail : {"", " ", "\xc3\xa9", "abab 7", "ab\xc3\xa9", "aaa", "  a"}) {
        const std::string subject = std::string(n, n % 2 ? 'a' : ' ') + "\xc3\xa9" + tail;
        const auto slow = find(pattern, subject, false), fast = find(pattern, subject, true);
        ASSERT_EQ(slow.has_value(), fast.has_value()) << pattern << " " << n << tail;
        if (!slow) continue;
        EXPECT_EQ(slow->begin, fast->begin) << pattern << " " << n << tail;
        EXPECT_EQ(slow->end, fast->end) << pattern << " " << n << tail;
      }
    }
  }
}

TEST(RegexTest, BlowUpOfAnyKindIsAnError) {
  for (const char* pattern : {"(a+)+b", "(?:a|aa)+$b", "a*a*a*a*a*b", "(?:a*+b|a)+c"}) {
    auto regex = Regex::compile(pattern);
    ASSERT_TRUE(regex.ok());
    const auto match = regex->find(std::string(20'000, 'a') + "dbc");
    ASSERT_FALSE(match.ok()) << pattern;
    EXPECT_EQ(match.status().code(), StatusCode::kResourceExhausted);
  }
}

TEST(RegexTest, ABudgetIsSharedByFinds) {
  // Each find scans all that is left: quadratic together, though none takes long.
  auto regex = Regex::compile("a*b|a");
  ASSERT_TRUE(regex.ok());
  RegexBudget budget;
  const std::string subject(1'000'000, 'a');
  size_t offset = 0;
  Status status;
  while (offset < subject.size() && status.ok()) {
    const auto match = regex->find(subject, offset, budget);
    status = match.status();
    if (match.ok()) offset = (*match)->end;
  }
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_LT(offset, 100u);
  EXPECT_TRUE(regex->find(subject, 0).ok());
}

}  // namespace
}  // namespace octavo::base
