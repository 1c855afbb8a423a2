// The frame of responses, and Status to OpenAI's error object. Called by chat_completion.cc, completion.cc
// and batch_line.cc.
#include "openai/response.h"

#include <algorithm>

namespace octavo::openai {

using base::Json;

Json begin_response(const ResponseHead& head, const char* id_prefix, const char* object) {
  Json response;
  response.set("id", id_prefix + head.id);
  response.set("object", object);
  response.set("created", head.created);
  response.set("model", head.model);
  return response;
}

void end_response(Json& response, const ResponseHead& head, const Usage& usage) {
  Json counts;
  counts.set("prompt_tokens", usage.n_prompt_tokens);
  counts.set("completion_tokens", usage.n_output_tokens);
  counts.set("total_tokens", usage.n_prompt_tokens + usage.n_output_tokens);
  Json details;
  details.set("cached_tokens", usage.n_cached_tokens);
  counts.set("prompt_tokens_details", std::move(details));
  response.set("usage", std::move(counts));
  response.set("system_fingerprint", head.system_fingerprint);
}

const char* finish_reason_text(FinishReason reason) {
  return reason == FinishReason::kCancelled ? "abort" : finish_reason_name(reason);
}

Json stop_reason_json(const CompletionOutput& output) {
  if (output.stop_text) return *output.stop_text;
  if (output.stop_token) return int64_t{*output.stop_token};
  return nullptr;
}

Json token_ids_json(const std::vector<int32_t>& ids) {
  base::JsonArray array;
  array.reserve(ids.size());
  for (const int32_t id : ids) array.emplace_back(int64_t{id});
  return array;
}

int http_status(const Status& status) {
  switch (status.code()) {
    case StatusCode::kNotFound:
      return 404;
    case StatusCode::kResourceExhausted:
    case StatusCode::kCancelled:
      return 503;
    case StatusCode::kIo:
    case StatusCode::kInternal:
      return 500;
    default:
      return 400;
  }
}

Json error_json(const Status& status) {
  const int code = http_status(status);
  const std::string& message = status.message();
  // Messages about a field are "field: …" or "field[3]: …".
  const auto is_name = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  const auto name_end = std::find_if_not(message.begin(), message.end(), is_name);
  const bool names_field =
      name_end != message.begin() && name_end != message.end() && (*name_end == ':' || *name_end == '[');
  Json error;
  error.set("message", message);
  error.set("type", code >= 500 ? "server_error" : code == 404 ? "not_found_error" : "invalid_request_error");
  error.set("param", names_field ? Json(std::string(message.begin(), name_end)) : Json());
  error.set("code", code);
  return error;
}

}  // namespace octavo::openai
