#pragma once
// The global functions of the template language.
#include <span>
#include <string_view>
#include <utility>

#include "text/jinja/runtime.h"

namespace octavo::text::jinja {

std::span<const std::pair<std::string_view, NativeFunction>> global_functions();

}  // namespace octavo::text::jinja
