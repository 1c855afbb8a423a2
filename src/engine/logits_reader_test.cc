#include "engine/logits_reader.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/test_model.h"

namespace octavo::engine {
namespace {

TEST(LogitsReader, RowsDoNotDependOnWhatFollows) {
  const auto tokens = tokens_of(300);
  const std::lock_guard lock(demo().mutex());
  const auto row_at = [&](std::span<const int32_t> part, int64_t position) {
    LogitsReader reader(demo(), part);
    for (auto rows = reader.next(); rows.ok() && rows->n_rows > 0; rows = reader.next()) {
      if (position < rows->begin + rows->n_rows) {
        const auto row = rows->row(position - rows->begin);
        return std::vector<float>(row.begin(), row.end());
      }
    }
    return std::vector<float>();
  };
  for (const int64_t position : {0, 31, 32, 255, 256}) {
    const auto row = row_at(tokens, position);
    ASSERT_EQ(row.size(), 12288U);
    EXPECT_EQ(row, row_at(std::span(tokens).first(static_cast<size_t>(position + 1)), position)) << position;
  }
}

TEST(LogitsReader, LogSumExp) {
  const std::vector<float> logits = {1000, 1000};
  EXPECT_DOUBLE_EQ(log_sum_exp(logits), 1000 + std::log(2));
  EXPECT_TRUE(std::isnan(log_sum_exp(std::vector<float>{1, NAN})));
  EXPECT_TRUE(std::isnan(log_sum_exp(std::vector<float>{NAN, 1})));
  EXPECT_TRUE(std::isnan(log_sum_exp(std::vector<float>{1, INFINITY})));
}

}  // namespace
}  // namespace octavo::engine
