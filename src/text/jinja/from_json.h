#pragma once
// JSON variables as values of the template language.
#include "base/json.h"
#include "text/jinja/runtime.h"

namespace octavo::text::jinja {

Value from_json(Runtime& runtime, const base::Json& json);

}  // namespace octavo::text::jinja
