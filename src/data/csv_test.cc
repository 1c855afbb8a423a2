#include "data/csv.h"

#include <gtest/gtest.h>

namespace octavo::data {
namespace {

std::string error_of(std::string_view text) {
  const auto table = parse_csv(text, "t.csv");
  return table.ok() ? "" : table.status().message();
}

TEST(Csv, QuotesNewlinesMarksAndBothLineEnds) {
  const auto table = parse_csv("\xEF\xBB\xBFid,q\r\n1,\"a, \"\"b\"\"\nc\"\r\n\r\n2,\r\n3,last", "t.csv");
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(table->header, (std::vector<std::string>{"id", "q"}));
  ASSERT_EQ(table->rows.size(), 3U);
  EXPECT_EQ(table->rows[0][1], "a, \"b\"\nc");
  EXPECT_EQ(table->rows[1][1], "");
  EXPECT_EQ(table->rows[2][1], "last");
  EXPECT_EQ(table->column("q"), 1U);
  EXPECT_FALSE(table->column("Q").has_value());
}

TEST(Csv, RefusesByLineAndColumn) {
  EXPECT_NE(error_of("").find("empty"), std::string::npos);
  EXPECT_NE(error_of("a,b\n1,2\n3\n").find("line 3: expected 2 fields, as the header has, found 1"),
            std::string::npos);
  EXPECT_NE(error_of("a,b\n1,\"x\ny\n").find("line 2, column 3: a quoted field is not closed"),
            std::string::npos);
  EXPECT_NE(error_of("a,b\n\"1\"x,2\n").find("line 2, column 4: text after a closing quote"),
            std::string::npos);
  EXPECT_NE(error_of("a,b\nx\"y,2\n").find("line 2, column 2: a quote inside"), std::string::npos);
  EXPECT_NE(error_of("a,b\n\xff,2\n").find("UTF-8"), std::string::npos);
}

TEST(Csv, LinesAreCountedThroughQuotedNewlines) {
  EXPECT_NE(error_of("a,b\n\"1\n\n\",2\n3\n").find("line 5"), std::string::npos)
      << error_of("a,b\n\"1\n\n\",2\n3\n");
  EXPECT_NE(error_of("a,b\n\"1\n2\"x,2\n").find("line 3, column 3"), std::string::npos);
}

}  // namespace
}  // namespace octavo::data
