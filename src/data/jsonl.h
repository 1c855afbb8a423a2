#pragma once
// JSON lines: an object a line with "text" (a string) or "messages" (an array, for the chat template; other
// members of the line, such as "tools", are template variables too). Blank lines are skipped; errors name
// file and line.
#include <string>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::data {

struct JsonlRow {
  size_t line = 0;
  std::string text;      // when `messages` is null
  base::Json variables;  // the whole object when it has messages, else null
};

Result<std::vector<JsonlRow>> read_jsonl(const std::string& path);

}  // namespace octavo::data
