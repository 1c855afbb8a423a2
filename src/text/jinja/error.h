#pragma once
// The one exception of this folder: Jinja's semantics are Python's, where any operation may raise, so lexer,
// parser and interpreter throw Error; chat_template.cc catches it and turns it into a Status. It never leaves
// text/.
#include <string>
#include <utility>

#include "octavo/status.h"

namespace octavo::text::jinja {

struct Error {
  StatusCode code;
  int line;  // of the template, from 1; 0 when no line is known
  std::string message;
};

[[noreturn]] inline void fail_syntax(int line, std::string message) {
  throw Error{StatusCode::kCorrupt, line, std::move(message)};
}

}  // namespace octavo::text::jinja
