#pragma once
// The filters of the template language: value | name(arguments).
#include <string_view>

#include "text/jinja/ast.h"

namespace octavo::text::jinja {

// nullptr when there is no filter of this name.
FilterFunction find_filter(std::string_view name);

// The two tables behind it, for filters.cc: on text and numbers, and on sequences.
FilterFunction find_text_filter(std::string_view name);
FilterFunction find_sequence_filter(std::string_view name);

}  // namespace octavo::text::jinja
