#pragma once
// YAML, the part recipes need, into the JSON tree: one document, block and flow collections, plain scalars
// typed as in YAML's core schema. Anchors, aliases, tags and duplicate keys are refused.
#include <string>
#include <string_view>

#include "base/json.h"

namespace octavo::base {
Result<Json> parse_yaml(std::string_view text, const JsonLimits& limits = {});
// JSON if the name ends in .json, YAML otherwise.
Result<Json> read_yaml_or_json_file(const std::string& path, const JsonLimits& limits = {});
}  // namespace octavo::base
