#pragma once
// The parts that every response has, and errors.
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "openai/output.h"

namespace octavo::openai {

struct ResponseHead {
  std::string id;       // without its prefix: "chatcmpl-" and "cmpl-" come before
  int64_t created = 0;  // seconds since 1970
  std::string model;    // as the response names it
  std::string system_fingerprint;
};

// {"id", "object", "created", "model"}, to which choices are added.
base::Json begin_response(const ResponseHead& head, const char* id_prefix, const char* object);
// Adds "usage" and "system_fingerprint".
void end_response(base::Json& response, const ResponseHead& head, const Usage& usage);

const char* finish_reason_text(FinishReason reason);          // "stop", "length", "abort"
base::Json stop_reason_json(const CompletionOutput& output);  // the stop text, the stop token's id, or null

base::Json token_ids_json(const std::vector<int32_t>& ids);

// The HTTP status that says whose fault an error is: 400, 404, 500, 503.
int http_status(const Status& status);
// {"message", "type", "param", "code"}. param is the field that the message begins with.
base::Json error_json(const Status& status);

}  // namespace octavo::openai
