#pragma once
// Template source to syntax tree.
#include <string_view>

#include "text/jinja/ast.h"

namespace octavo::text::jinja {

inline constexpr int kMaxExpressionDepth = 200;  // Python's own compiler stops near here
inline constexpr int kMaxBlockDepth = 100;

// Throws Error, which names the line.
Tree parse(std::string_view source);

}  // namespace octavo::text::jinja
