#include "base/text_format.h"

#include <gtest/gtest.h>

#include <vector>

namespace octavo::base {
namespace {

TEST(TextFormatTest, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(uint64_t{3} << 29), "1.5 GiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16.0 EiB");
}

TEST(TextFormatTest, Durations) {
  EXPECT_EQ(format_duration(4.23), "4.2 s");
  EXPECT_EQ(format_duration(59.97), "1 min 00 s");
  EXPECT_EQ(format_duration(185), "3 min 05 s");
  EXPECT_EQ(format_duration(3725), "1 h 02 min");
  EXPECT_EQ(format_duration(-1), "0.0 s");
}

TEST(TextFormatTest, QuotedIsPrintableAndShort) {
  EXPECT_EQ(base::quoted("a.weight"), "'a.weight'");
  EXPECT_EQ(base::quoted("é中"), "'é中'");
  EXPECT_EQ(base::quoted(std::string_view("a\0\n\x1b", 4)), "'a\\x00\\x0a\\x1b'");
  EXPECT_EQ(base::quoted("\xFFz"), "'\\xffz'");
  EXPECT_EQ(base::quoted(std::string(300, 'x')), "'" + std::string(200, 'x') + "…'");
  EXPECT_EQ(base::quoted(std::string(199, 'x') + "é"), "'" + std::string(199, 'x') + "…'");
}

TEST(TextFormatTest, NearestFindsTheMeantWord) {
  const std::vector<std::string> words = {"quantize", "generate", "evaluate", "inspect"};
  EXPECT_EQ(nearest("qauntize", words), "quantize");
  EXPECT_EQ(nearest("Quantise", words), "quantize");
  EXPECT_EQ(nearest("inspct", words), "inspect");
  EXPECT_EQ(nearest("serve", words), "");
  EXPECT_EQ(nearest(std::string(100000, 'q'), words), "");
}

TEST(TextFormatTest, Utf8) {
  EXPECT_TRUE(is_valid_utf8("aé中😀"));
  for (const char* bad : {"\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE4\xB8", "\xC3(", "\xFE"}) {
    EXPECT_FALSE(is_valid_utf8(bad));
  }
  EXPECT_EQ(valid_utf8_prefix("ab\xC3\xA9\xFFz"), 4u);
}

}  // namespace
}  // namespace octavo::base
