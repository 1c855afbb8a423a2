#include "text/tokenizer/unicode.h"

#include <gtest/gtest.h>

namespace octavo::text {
namespace {

std::string normalized(std::string_view text, NormalForm form) {
  std::string storage;
  return std::string(normalize(text, form, storage));
}

TEST(Unicode, CharactersForwardsAndBackwards) {
  const std::string text = "a\u00e9\u4f60\U0001f600";
  size_t offset = 0;
  for (const uint32_t expected : {0x61u, 0xE9u, 0x4F60u, 0x1F600u}) {
    const Character c = character_at(text, offset);
    EXPECT_EQ(c.code_point, expected);
    offset += c.n_bytes;
    EXPECT_EQ(character_before(text, offset).code_point, expected);
    std::string again;
    append_utf8(expected, again);
    EXPECT_EQ(again, text.substr(offset - c.n_bytes, c.n_bytes));
  }
}

TEST(Unicode, NormalFormsJoinAndOrder) {
  EXPECT_EQ(normalized("e\u0301 \u212b", NormalForm::kNfc), "\u00e9 \u00c5");
  EXPECT_EQ(normalized("\u00e9", NormalForm::kNfd), "e\u0301");
  EXPECT_EQ(normalized("\u1100\u1161\u11a8 \uac00\u11a8", NormalForm::kNfc), "\uac01 \uac01");
  EXPECT_EQ(normalized("\ufb01\uff21", NormalForm::kNfkc), "fiA");
  EXPECT_EQ(normalized("\u1e9b\u0323", NormalForm::kNfkd), "s\u0323\u0307");
  EXPECT_EQ(normalized("\u00e0\u0323", NormalForm::kNfc),
            "\u1ea1\u0300");  // the mark passes the letter's own
  EXPECT_EQ(normalized("\u0301a", NormalForm::kNfc), "\u0301a");
}

TEST(Unicode, TextInItsFormIsNotCopied) {
  const std::string text = "caf\u00e9 \u4f60\u597d \U0001f600";
  std::string storage;
  EXPECT_EQ(normalize(text, NormalForm::kNfc, storage).data(), text.data());
  EXPECT_EQ(with_stand_ins(text, storage).data(), text.data());
}

TEST(Unicode, WhatThePackageDoesNotKnowIsInert) {
  // U+1DF6, a mark of Unicode 10 with a class; U+11935 U+11930, which Unicode 13 composes.
  EXPECT_EQ(normalized("a\u1df6\u0301", NormalForm::kNfc), "a\u1df6\u0301");
  EXPECT_EQ(normalized("\U00011935\U00011930", NormalForm::kNfc), "\U00011935\U00011930");
  EXPECT_EQ(normalized("\U00011938\u0301", NormalForm::kNfd), "\U00011938\u0301");
}

TEST(Unicode, LongRunsOfMarksTakeNoQuadraticTime) {
  std::string marks = "a", ordered = "a";
  for (int i = 0; i < 200'000; ++i) marks += "\u0301\u0323";  // classes 230 and 220
  for (int i = 0; i < 200'000; ++i) ordered += "\u0323";
  for (int i = 0; i < 200'000; ++i) ordered += "\u0301";
  EXPECT_EQ(normalized(marks, NormalForm::kNfd), ordered);
}

TEST(Unicode, Classes) {
  EXPECT_TRUE(is_white_space(0x3000));
  EXPECT_TRUE(is_white_space(0x85));
  EXPECT_FALSE(is_white_space(0x180E));
  EXPECT_FALSE(is_white_space(0x200B));
  EXPECT_TRUE(is_word('_'));
  EXPECT_TRUE(is_word(0x200D));
  EXPECT_TRUE(is_word(0x24B6));
  EXPECT_TRUE(is_word(0x1C89));
  EXPECT_FALSE(is_word('-'));
  EXPECT_FALSE(is_word(0xBD));  // one half is a number but no decimal digit
  EXPECT_TRUE(is_numeric(0xBD));
  EXPECT_FALSE(is_numeric('a'));
  EXPECT_TRUE(is_punctuation('$'));
  EXPECT_TRUE(is_punctuation(0x3002));
  EXPECT_FALSE(is_punctuation(0x20AC));
}

TEST(Unicode, StandInsKeepLength) {
  std::string storage;
  const std::string text = "x\u1c89y\U000323af";
  const std::string_view other = with_stand_ins(text, storage);
  EXPECT_EQ(other.size(), text.size());
  EXPECT_NE(other, text);
  EXPECT_EQ(other[0], 'x');
  EXPECT_EQ(other[4], 'y');
}

TEST(Unicode, Lowercase) { EXPECT_EQ(lowercase("\u00c9\u0130\u03a3\u1c89Z"), "\u00e9i\u0307\u03c3\u1c8az"); }

}  // namespace
}  // namespace octavo::text
