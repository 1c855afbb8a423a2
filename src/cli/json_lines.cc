// The loop behind `tokenize`, `chat-template` and `score`: made to be driven by another program through
// pipes, so nothing is read ahead of an answer and a bad line never ends the conversation.
#include "cli/json_lines.h"

#include <cerrno>
#include <cstdio>
#include <limits>
#include <string>
#include <system_error>

#include "cli/diagnostics.h"
#include "cli/interrupt.h"

namespace octavo::cli {

namespace {

constexpr size_t kMaxLineBytes = size_t{64} << 20;

enum class LineEnd { kLine, kTooLong, kEndOfInput, kError };

// Reads up to the next newline, which is not kept. What follows the limit is skipped, not stored.
LineEnd read_line(std::string& line) {
  line.clear();
  bool too_long = false;
  for (;;) {
    const int c = getc_unlocked(stdin);
    if (c == EOF) {
      if (std::ferror(stdin)) return LineEnd::kError;
      if (line.empty() && !too_long) return LineEnd::kEndOfInput;
      break;
    }
    if (c == '\n') break;
    if (line.size() < kMaxLineBytes) {
      line.push_back(static_cast<char>(c));
    } else {
      too_long = true;
    }
  }
  return too_long ? LineEnd::kTooLong : LineEnd::kLine;
}

}  // namespace

int answer_lines(const std::function<Result<base::Json>(std::string_view line)>& answer) {
  catch_interrupts();
  bool all_answered = true;
  std::string line;
  for (;;) {
    const LineEnd end = read_line(line);
    if (interrupted()) return kExitInterrupted;
    if (end == LineEnd::kEndOfInput) break;
    if (end == LineEnd::kError) {
      return report_error(io_error("cannot read standard input: " + std::generic_category().message(errno)));
    }
    Result<base::Json> answered =
        end == LineEnd::kTooLong ? invalid_argument("line is longer than 64 MiB") : answer(line);
    base::Json out;
    if (answered.ok()) {
      out = std::move(answered).value();
    } else {
      all_answered = false;
      out.set("error", answered.status().message());
    }
    if (const Status printed = print(out.dump() + "\n"); !printed.ok()) return report_error(printed);
  }
  return all_answered ? kExitOk : kExitFailure;
}

Result<base::Json> parse_line(std::string_view line) {
  base::JsonLimits limits;
  limits.max_bytes = kMaxLineBytes;
  auto value = base::parse_json(line, limits);
  if (value.ok()) return value;
  std::string message = value.status().message();
  // Every value is on one line, so the parser's own line number says nothing and misleads.
  constexpr std::string_view kFirstLine = "line 1, ";
  if (message.starts_with(kFirstLine)) message.erase(0, kFirstLine.size());
  return Status(value.status().code(), std::move(message));
}

Result<std::vector<int32_t>> read_token_ids(const base::Json& value, std::string_view name) {
  if (!value.is_array()) {
    return invalid_argument(std::string(name) + ": expected an array of token ids, found " +
                            value.type_name());
  }
  std::vector<int32_t> ids;
  for (const base::Json& id : value.as_array()) {
    const std::string place = std::string(name) + "[" + std::to_string(ids.size()) + "]";
    if (!id.is_int()) return invalid_argument(place + ": expected an integer, found " + id.type_name());
    if (id.as_int() < 0 || id.as_int() > std::numeric_limits<int32_t>::max()) {
      return invalid_argument(place + ": " + std::to_string(id.as_int()) + " is no token id");
    }
    ids.push_back(static_cast<int32_t>(id.as_int()));
  }
  return ids;
}

base::Json token_ids_json(const std::vector<int32_t>& ids) {
  base::JsonArray array;
  array.reserve(ids.size());
  for (const int32_t id : ids) array.emplace_back(int64_t{id});
  return array;
}

}  // namespace octavo::cli
