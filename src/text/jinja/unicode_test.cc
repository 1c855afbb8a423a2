// Python's str on UTF-8: expectations from Python 3.11.
#include "text/jinja/unicode.h"

#include <gtest/gtest.h>

namespace octavo::text::jinja {
namespace {

TEST(TemplateText, CaseMappingsOfSeveralCharacters) {
  EXPECT_EQ(upper("straße ŉ ﬁ ΰ ᾳ"), "STRASSE \u02BCN FI \u03A5\u0308\u0301 \u0391\u0399");
  EXPECT_EQ(capitalize("ßA"), "Ssa");
  EXPECT_EQ(capitalize("ǆA"), "ǅa");
  EXPECT_EQ(lower("İ"), "i̇");
  EXPECT_EQ(lower("ΑΣ ΑΣΑ Σ"), "ας ασα σ");
  EXPECT_EQ(title("it's o'neil"), "It'S O'Neil");
  EXPECT_EQ(swapcase("aBß"), "AbSS");
}

TEST(TemplateText, StripKnowsUnicodeSpaces) {
  EXPECT_EQ(strip("\u00a0\u3000 a\u2003b \u2028", Strip::kBoth), "a\u2003b");
  EXPECT_EQ(strip("éaé", Strip::kLeft, "é"), "aé");
  EXPECT_EQ(strip("\u200b", Strip::kBoth), "\u200b");  // zero width, but no space
}

TEST(TemplateText, LinesEndWherePythonEndsThem) {
  EXPECT_EQ(split_lines("a\nb\r\nc\rd\x0b"
                        "e\u2028f\x1cg\u0085h\n",
                        false),
            (std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h"}));
  EXPECT_EQ(split_lines("a\r\nb", true), (std::vector<std::string>{"a\r\n", "b"}));
  EXPECT_TRUE(split_lines("", false).empty());
}

TEST(TemplateText, ReprEscapesWhatCannotBePrinted) {
  EXPECT_EQ(repr("it's"), "\"it's\"");
  EXPECT_EQ(repr("it's \"q\""), "'it\\'s \"q\"'");
  EXPECT_EQ(repr("é\n\t\\\x01\x7f\u00a0\u200b\u2028😀\U000e0001"),
            "'é\\n\\t\\\\\\x01\\x7f\\xa0\\u200b\\u2028😀\\U000e0001'");
}

TEST(TemplateText, InvalidBytesPassThrough) {
  const std::string text = "a\xff\xc3(\xed\xa0\x80\xf5";
  EXPECT_EQ(to_utf8(to_code_points(text)), text);
  EXPECT_EQ(n_code_points(text), text.size());
}

TEST(TemplateText, CountsCodePoints) {
  EXPECT_EQ(n_code_points("é你😀a"), 4u);
  EXPECT_EQ(byte_offset("é你😀a", 2), 5u);
  EXPECT_EQ(byte_offset("é", 9), 2u);
}

}  // namespace
}  // namespace octavo::text::jinja
