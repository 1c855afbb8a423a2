#pragma once
// The tests of the template language: what may follow `is`, and what select and selectattr take by name.
#include <string_view>

#include "text/jinja/ast.h"

namespace octavo::text::jinja {

// nullptr when there is no test of this name.
TestFunction find_test(std::string_view name);

}  // namespace octavo::text::jinja
