#pragma once
// POST /v1/chat/completions: its body to what the engine takes, and the engine's answer to its response.
#include <string>

#include "octavo/engine.h"

#include "base/json.h"
#include "openai/output.h"
#include "openai/response.h"
#include "openai/sampling_fields.h"

namespace octavo::openai {

struct ChatCall {
  SharedFields shared;
  base::Json variables;       // of the chat template: messages, tools, …
  std::string chat_template;  // empty: the model's
  bool logprobs = false;
};

Result<ChatCall> parse_chat_call(const base::Json& body);

// What to submit for a call.
Result<Request> make_request(const Engine& engine, const ChatCall& call);

// Runs a call; the "chat.completion" object.
Result<base::Json> answer_chat(Engine& engine, const ChatCall& call, const ResponseHead& head,
                               const Watch& watch);

}  // namespace octavo::openai
