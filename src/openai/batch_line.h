#pragma once
// A line of OpenAI's batch files: {"custom_id", "method": "POST", "url", "body"} in,
// {"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error"} out.
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "octavo/engine.h"
#include "octavo/status.h"

#include "base/json.h"
#include "openai/chat_completion.h"
#include "openai/completion.h"

namespace octavo::openai {

struct BatchLine {
  std::optional<std::string> custom_id;  // where the line has one, even if the rest is wrong
  // The call, or why there is none.
  Result<std::variant<ChatCall, CompletionCall>> call = invalid_argument("");

  SharedFields* shared();  // of the call, or nullptr
};

// For a call that brings no seed of its own.
void set_default_seed(BatchLine& line, uint64_t seed);

BatchLine parse_batch_line(std::string_view line);

// Runs the line's call; the response body.
Result<base::Json> answer_call(Engine& engine, const BatchLine& line, const ResponseHead& head,
                               const Watch& watch);

// The output line of a response, or of an error: it is told where OpenAI has it (the response's body) and
// where vLLM has it ("error").
base::Json batch_answer_json(const BatchLine& line, const std::string& id,
                             const Result<base::Json>& response);

}  // namespace octavo::openai
