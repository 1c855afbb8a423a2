#include "text/tokenizer/pattern.h"

#include <gtest/gtest.h>

#include <vector>

namespace octavo::text {
namespace {

using Stretch = std::pair<std::string, bool>;

std::vector<Stretch> cut(const Pattern& pattern, std::string_view text) {
  std::vector<Stretch> stretches;
  base::RegexBudget budget;
  const Status status = pattern.cut(text, budget, [&](std::string_view stretch, bool is_match) {
    stretches.emplace_back(stretch, is_match);
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.message();
  return stretches;
}

Pattern regex(std::string_view pattern) {
  auto result = Pattern::from_regex(pattern);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return std::move(*result);
}

TEST(Pattern, CutsIntoMatchesAndWhatLiesBetween) {
  EXPECT_EQ(cut(regex("b+"), "abbc"), (std::vector<Stretch>{{"a", false}, {"bb", true}, {"c", false}}));
  EXPECT_EQ(cut(regex("b+"), "b"), (std::vector<Stretch>{{"b", true}}));
  EXPECT_EQ(cut(regex("b+"), "aa"), (std::vector<Stretch>{{"aa", false}}));
  EXPECT_TRUE(cut(regex("b*"), "").empty());
}

TEST(Pattern, EmptyMatchesStandBetweenCharacters) {
  EXPECT_EQ(cut(regex("x*"), "a\xc3\xa9"),
            (std::vector<Stretch>{{"", true}, {"a", false}, {"", true}, {"\xc3\xa9", false}, {"", true}}));
  EXPECT_EQ(cut(regex("x*"), "xxa"), (std::vector<Stretch>{{"xx", true}, {"a", false}, {"", true}}));
}

TEST(Pattern, LiteralsAreNoRegularExpressions) {
  const auto literal = Pattern::from_json(base::Json(base::JsonObject{{"String", base::Json(".")}}));
  ASSERT_TRUE(literal.ok());
  EXPECT_EQ(cut(*literal, "a.b"), (std::vector<Stretch>{{"a", false}, {".", true}, {"b", false}}));
  EXPECT_FALSE(Pattern::from_json(base::Json(base::JsonObject{{"String", base::Json("")}})).ok());
  EXPECT_FALSE(Pattern::from_json(base::Json("x")).ok());
  EXPECT_FALSE(Pattern::from_json(base::Json(base::JsonObject{{"Regex", base::Json(3)}})).ok());
}

TEST(Pattern, CharactersNewerThanTheEngineMatchByTheirCategory) {
  // U+1C89 and U+323AF are letters of Unicode 16 and 15; U+180E is no space since Unicode 6.3.
  EXPECT_EQ(cut(regex("\\p{L}+"),
                "1\u1c89\U000323af"
                "2")[1],
            (Stretch{"\u1c89\U000323af", true}));
  EXPECT_EQ(cut(regex("\\p{Lu}"), "\u1c89"), (std::vector<Stretch>{{"\u1c89", true}}));
  EXPECT_EQ(cut(regex("\\p{Han}"), "\U000323af"), (std::vector<Stretch>{{"\U000323af", true}}));
  EXPECT_EQ(cut(regex("\\s"), "\u180e"), (std::vector<Stretch>{{"\u180e", false}}));
}

TEST(Pattern, TranslationRespellsAndRefuses) {
  EXPECT_EQ(*translate_regex("a\\u00e9[^]x]{2,3}\\p{Lu}+"), "a\\x{00e9}[^]x]{2,3}\\p{Lu}+");
  EXPECT_EQ(cut(regex("[\\w-]\\x{41}+"), "\u00bdA$A-A"),
            (std::vector<Stretch>{{"\u00bdA", true}, {"$A", false}, {"-A", true}}));
  EXPECT_EQ(*translate_regex("a{,b"), "a{,b");
  for (const char* pattern :
       {"\\h", "\\v", "\\G", "\\Q", "\\1a\\k<n>", "[[a]b]", "[a&&b]", "[[:alpha:]]", "(*ACCEPT)", "(?<n>a)",
        "(?m:a)", "a(?i)b", "a{2}+", "a{2}?", "a{,2}", "a\\", "\\u12", "\\p{L"}) {
    const auto translated = translate_regex(pattern);
    ASSERT_FALSE(translated.ok()) << pattern;
    EXPECT_EQ(translated.status().code(), StatusCode::kUnsupported);
    EXPECT_NE(translated.status().message().find("byte "), std::string::npos)
        << translated.status().message();
  }
}

TEST(Pattern, DollarAndCaretMatchAtLines) {
  EXPECT_EQ(cut(regex("^a$"), "b\na\nb"),
            (std::vector<Stretch>{{"b\n", false}, {"a", true}, {"\nb", false}}));
}

}  // namespace
}  // namespace octavo::text
