#pragma once
// The shapes that speeds are stated for: the dense models of Qwen3.
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::bench {

std::vector<std::string> shape_names();  // "qwen3-0.6b", …
// The shape's config.json as Hugging Face has it. An unknown name is an error that lists them.
Result<base::Json> shape_config(std::string_view name);

}  // namespace octavo::bench
