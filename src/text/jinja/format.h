#pragma once
// Python's two ways to format: "%s" % x and "{}".format(x).
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"

namespace octavo::text::jinja {

// `pattern` % `argument`, a string pattern. The result is markup if the pattern is.
Value format_percent(Runtime& runtime, const Value& pattern, const Value& argument);
// pattern.format(…).
Value format_braces(Runtime& runtime, const Value& pattern, const Arguments& arguments);
// format(value, spec): one field of the above.
std::string format_value(Runtime& runtime, const Value& value, std::string_view spec);

}  // namespace octavo::text::jinja
