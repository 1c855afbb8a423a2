#include "base/log.h"

#include <gtest/gtest.h>

namespace octavo::base {
namespace {

TEST(LogTest, MessagesReachTheSinkUntilItGoes) {
  std::string seen;
  log_warning("before");
  set_log_sink([&](LogLevel level, std::string_view message) {
    seen += (level == LogLevel::kWarning ? "W:" : "I:") + std::string(message) + ";";
    set_log_sink(nullptr);  // allowed from inside
  });
  log_warning("one");
  log_info("two");
  EXPECT_EQ(seen, "W:one;");
}

}  // namespace
}  // namespace octavo::base
