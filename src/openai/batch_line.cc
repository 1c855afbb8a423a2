// Batch files, line by line. Called by cli/batch_runner.cc.
#include "openai/batch_line.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/hash.h"
#include "base/text_format.h"
#include "openai/field_reader.h"

namespace octavo::openai {

using base::Json;

namespace {

using Call = std::variant<ChatCall, CompletionCall>;

constexpr const char* kChatUrl = "/v1/chat/completions";
constexpr const char* kCompletionUrl = "/v1/completions";

Result<Call> parse_call(const std::string& url, const Json& body) {
  if (url == kChatUrl) {
    OCTAVO_ASSIGN_OR_RETURN(ChatCall call, parse_chat_call(body));
    return Call(std::move(call));
  }
  if (url == kCompletionUrl) {
    OCTAVO_ASSIGN_OR_RETURN(CompletionCall call, parse_completion_call(body));
    return Call(std::move(call));
  }
  const std::vector<std::string> known = {kChatUrl, kCompletionUrl};
  const std::string near = base::nearest(url, known);
  return invalid_argument("url: expected '" + known[0] + "' or '" + known[1] + "', found " +
                          base::quoted(url) + (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

Result<Call> parse_request(const Json& object) {
  FieldReader reader(object);
  std::string custom_id, method, url;
  reader.read("custom_id", custom_id);
  reader.read("method", method);
  reader.read("url", url);
  const Json* body = reader.find("body");
  OCTAVO_RETURN_IF_ERROR(reader.finish());
  if (object.find("custom_id") == nullptr || object.find("custom_id")->is_null())
    return invalid_argument("custom_id: expected a string that names the request, found nothing");
  if (method != "POST") return invalid_argument("method: expected 'POST', found " + base::quoted(method));
  if (body == nullptr) return invalid_argument("body: expected an object, found nothing");
  OCTAVO_ASSIGN_OR_RETURN(Call call, parse_call(url, *body));
  const bool stream = std::visit([](const auto& some) { return some.shared.stream; }, call);
  if (stream) return unsupported("stream: a batch's answers come whole; leave it out");
  return call;
}

}  // namespace

SharedFields* BatchLine::shared() {
  return call.ok() ? std::visit([](auto& some) { return &some.shared; }, *call) : nullptr;
}

void set_default_seed(BatchLine& line, uint64_t seed) {
  if (!line.call.ok()) return;
  SamplingParams& sampling = line.shared()->sampling;
  if (!sampling.seed) sampling.seed = seed;
  if (auto* completion = std::get_if<CompletionCall>(&*line.call)) {
    uint64_t i = 0;  // equal prompts of a list are to get different texts
    for (Request& request : completion->requests) {
      if (!request.sampling.seed) request.sampling.seed = base::Hash().add(seed).add(i++).value();
    }
  }
}

BatchLine parse_batch_line(std::string_view line) {
  BatchLine parsed;
  base::JsonLimits limits;
  limits.max_nodes = 4'000'000;  // 64 prompts of 32 Ki token ids fit; the tree stays below 200 MB
  auto object = base::parse_json(line, limits);
  if (!object.ok()) {
    // A line is one line: the parser's own count misleads.
    std::string message = object.status().message();
    constexpr std::string_view kFirstLine = "line 1, ";
    if (message.starts_with(kFirstLine)) message.erase(0, kFirstLine.size());
    parsed.call = Status(StatusCode::kInvalidArgument, "not JSON: " + message);
    return parsed;
  }
  if (!object->is_object()) {
    parsed.call = wrong_type("line", "an object", *object);
    return parsed;
  }
  const Json* custom_id = object->find("custom_id");
  if (custom_id != nullptr && custom_id->is_string()) parsed.custom_id = custom_id->as_string();
  parsed.call = parse_request(*object);
  return parsed;
}

Result<Json> answer_call(Engine& engine, const BatchLine& line, const ResponseHead& head,
                         const Watch& watch) {
  if (!line.call.ok()) return line.call.status();
  if (const auto* chat = std::get_if<ChatCall>(&*line.call)) return answer_chat(engine, *chat, head, watch);
  return answer_completion(engine, std::get<CompletionCall>(*line.call), head, watch);
}

Json batch_answer_json(const BatchLine& line, const std::string& id, const Result<Json>& response) {
  Json told;
  told.set("status_code", response.ok() ? 200 : http_status(response.status()));
  told.set("request_id", "req-" + id);
  Json error;
  if (response.ok()) {
    told.set("body", *response);
  } else {
    error = error_json(response.status());
    Json body;
    body.set("error", error);
    told.set("body", std::move(body));
  }
  Json out;
  out.set("id", "batch_req-" + id);
  out.set("custom_id", line.custom_id ? Json(*line.custom_id) : Json());
  out.set("response", std::move(told));
  out.set("error", std::move(error));
  return out;
}

}  // namespace octavo::openai
