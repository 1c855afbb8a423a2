#pragma once
// Commands that answer JSON lines: one line in on stdin, one line out on stdout, in order, flushed each.
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::cli {

// Answers every line of stdin. A line that cannot be answered gives {"error": …} in its place, and 1 as exit
// code at the end; so do lines longer than 64 MiB.
int answer_lines(const std::function<Result<base::Json>(std::string_view line)>& answer);

// The value of a line; errors are those of the JSON parser, with the column only.
Result<base::Json> parse_line(std::string_view line);
// An array of token ids; `name` begins the error.
Result<std::vector<int32_t>> read_token_ids(const base::Json& value, std::string_view name);
base::Json token_ids_json(const std::vector<int32_t>& ids);

}  // namespace octavo::cli
