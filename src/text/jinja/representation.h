#pragma once
// Values as text: Python's str() and repr(), and JSON as json.dumps writes it.
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"

namespace octavo::text::jinja {

std::string to_text(Runtime& runtime, const Value& value);  // str(value); an undefined value is ""
std::string to_repr(Runtime& runtime, const Value& value);
std::string real_repr(double value);  // the shortest digits that read back equal, as Python lays them out

// & < > ' " replaced as markupsafe does.
std::string escape_html(Runtime& runtime, std::string_view text);
// The value escaped, unless it is markup already.
Value escape(Runtime& runtime, const Value& value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool has_indent = false;
  std::string indent;  // of one level
  std::string item_separator = ", ", key_separator = ": ";
};
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace octavo::text::jinja
