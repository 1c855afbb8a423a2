#pragma once
// CHECK: a broken invariant of our own ends the process with file, line and the condition. Nothing that a
// file or a request holds may reach one; bad input is a Status.
namespace octavo::base {
[[noreturn]] void check_failed(const char* file, int line, const char* condition);
}  // namespace octavo::base

#define OCTAVO_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::octavo::base::check_failed(__FILE__, __LINE__, #condition))
