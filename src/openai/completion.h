#pragma once
// POST /v1/completions: its body to what the engine takes, and the engine's answers to its response.
#include <optional>
#include <vector>

#include "octavo/engine.h"

#include "base/json.h"
#include "openai/output.h"
#include "openai/response.h"
#include "openai/sampling_fields.h"

namespace octavo::openai {

inline constexpr size_t kMaxPrompts = 2048;  // of one call: OpenAI's limit

struct CompletionCall {
  SharedFields shared;
  std::vector<Request> requests;           // one a prompt, ready to submit
  std::optional<int32_t> logprobs;         // the likeliest tokens a position
  std::optional<int32_t> prompt_logprobs;  // the same in vLLM's form, of the prompt alone
  bool echo = false;                       // the prompt begins the text; only then may max_tokens be 0
};

Result<CompletionCall> parse_completion_call(const base::Json& body);

// Runs a call; the "text_completion" object. Choices are those of the first prompt, then of the second, ….
Result<base::Json> answer_completion(Engine& engine, const CompletionCall& call, const ResponseHead& head,
                                     const Watch& watch);

}  // namespace octavo::openai
