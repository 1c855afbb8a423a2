// Chat completions. Called by cli/batch_runner.cc; the fields are OpenAI's, with vLLM's extensions.
#include "openai/chat_completion.h"

#include <utility>

#include "base/text_format.h"
#include "openai/logprobs_json.h"

namespace octavo::openai {

using base::Json;
using base::JsonArray;

namespace {

// Content as one text: a string, or the texts of its parts, a line each as in vLLM. Parts that are no text
// are refused. Nothing is the empty text.
Result<std::string> read_content(const std::string& name, const Json* content) {
  if (content == nullptr || content->is_null()) return std::string();
  if (content->is_string()) return content->as_string();
  if (!content->is_array()) return wrong_type(name, "a string or an array of text parts", *content);
  std::string text;
  for (size_t i = 0; i < content->as_array().size(); ++i) {
    const Json& part = content->as_array()[i];
    const std::string place = name + "[" + std::to_string(i) + "]";
    if (i > 0) text += '\n';
    if (part.is_string()) {
      text += part.as_string();
      continue;
    }
    const Json* type = part.find("type");
    if (type == nullptr || !type->is_string()) return wrong_type(place, "an object with a type", part);
    if (type->as_string() != "text") {
      return unsupported(place + ": only parts of type 'text' are supported, found " +
                         base::quoted(type->as_string()));
    }
    const Json* written = part.find("text");
    if (written == nullptr || !written->is_string())
      return invalid_argument(place + ": expected a string as 'text'");
    text += written->as_string();
  }
  return text;
}

// OpenAI writes a call's arguments as a text of JSON; templates want the object that it holds.
Status parse_arguments(const std::string& name, Json& call) {
  Json* function = call.find("function");
  Json* arguments = function == nullptr ? nullptr : function->find("arguments");
  if (arguments == nullptr || !arguments->is_string()) return {};
  auto parsed = base::parse_json(arguments->as_string().empty() ? "{}" : arguments->as_string());
  if (!parsed.ok() || !parsed->is_object()) {
    return invalid_argument(name + ".function.arguments: expected a text that holds a JSON object");
  }
  *arguments = *std::move(parsed);
  return {};
}

Result<Json> read_message(const std::string& name, const Json& value) {
  if (!value.is_object()) return wrong_type(name, "an object", value);
  const Json* role = value.find("role");
  if (role == nullptr || !role->is_string() || role->as_string().empty()) {
    return invalid_argument(name + ": expected a role, such as 'user'");
  }
  Json message = value;
  OCTAVO_ASSIGN_OR_RETURN(std::string content, read_content(name + ".content", value.find("content")));
  message.set("content", std::move(content));
  Json* calls = message.find("tool_calls");
  if (calls == nullptr || calls->is_null()) return message;
  if (!calls->is_array()) return wrong_type(name + ".tool_calls", "an array", *calls);
  for (size_t i = 0; i < calls->as_array().size(); ++i) {
    OCTAVO_RETURN_IF_ERROR(
        parse_arguments(name + ".tool_calls[" + std::to_string(i) + "]", calls->as_array()[i]));
  }
  return message;
}

Result<Json> read_messages(const Json& value) {
  if (!value.is_array()) return wrong_type("messages", "an array", value);
  if (value.as_array().empty()) return invalid_argument("messages: expected at least one, found none");
  JsonArray messages;
  for (const Json& message : value.as_array()) {
    OCTAVO_ASSIGN_OR_RETURN(Json read,
                            read_message("messages[" + std::to_string(messages.size()) + "]", message));
    messages.push_back(std::move(read));
  }
  return Json(std::move(messages));
}

// Tools are told to the model by its template; what it calls is in the text.
Status read_tool_choice(const Json& value) {
  if (value.is_string() && (value.as_string() == "none" || value.as_string() == "auto")) return {};
  return unsupported("tool_choice: only 'none' and 'auto' are supported, found " +
                     base::quoted(value.dump()));
}

Status read_objects(const char* name, const Json& value) {
  if (!value.is_array()) return wrong_type(name, "an array of objects", value);
  for (const Json& object : value.as_array()) {
    if (!object.is_object()) return wrong_type(name, "an array of objects", object);
  }
  return {};
}

void read_template_variables(FieldReader& reader, ChatCall& call) {
  const Json* messages = reader.find("messages");
  if (messages == nullptr) reader.fail(invalid_argument("messages: expected an array, found nothing"));
  if (messages != nullptr) {
    auto read = read_messages(*messages);
    if (read.ok()) {
      call.variables.set("messages", *std::move(read));
    } else {
      reader.fail(read.status());
    }
  }
  for (const char* name : {"tools", "documents"}) {
    reader.read_with(name, [&, name](const Json& value) -> Status {
      OCTAVO_RETURN_IF_ERROR(read_objects(name, value));
      if (!value.as_array().empty()) call.variables.set(name, value);
      return {};
    });
  }
  reader.read_with("tool_choice", read_tool_choice);
  bool add_generation_prompt = true;
  reader.read("add_generation_prompt", add_generation_prompt);
  call.variables.set("add_generation_prompt", add_generation_prompt);
  std::string effort;
  reader.read("reasoning_effort", effort);
  if (!effort.empty()) call.variables.set("reasoning_effort", effort);
  reader.read_with("chat_template_kwargs", [&](const Json& value) -> Status {
    if (!value.is_object()) return wrong_type("chat_template_kwargs", "an object", value);
    for (const auto& [name, variable] : value.as_object()) {
      if (name == "messages")
        return invalid_argument("chat_template_kwargs: 'messages' is a field of its own");
      call.variables.set(name, variable);
    }
    return {};
  });
  reader.read("chat_template", call.chat_template);
}

void read_logprobs(FieldReader& reader, ChatCall& call) {
  reader.read("logprobs", call.logprobs);
  std::optional<int32_t> top;
  reader.read("top_logprobs", top);
  if (top && (*top < 0 || *top > kMaxTopLogprobs)) {
    reader.fail(invalid_argument("top_logprobs: expected 0 to " + std::to_string(kMaxTopLogprobs) +
                                 ", found " + std::to_string(*top)));
  }
  if (top.value_or(0) > 0 && !call.logprobs) {
    reader.fail(invalid_argument("top_logprobs: needs 'logprobs' to be true"));
  }
  if (call.logprobs) call.shared.sampling.logprobs = top.value_or(0);
}

// OpenAI's newer name for max_tokens.
void read_max_completion_tokens(FieldReader& reader, SamplingParams& sampling) {
  const std::optional<int64_t> older = sampling.max_tokens;
  reader.read("max_completion_tokens", sampling.max_tokens);
  if (older && sampling.max_tokens != older) {
    reader.fail(invalid_argument("max_completion_tokens: " + std::to_string(*sampling.max_tokens) +
                                 " contradicts max_tokens = " + std::to_string(*older) + "; give one"));
  }
}

Json choice_json(size_t index, const CompletionOutput& output, const ChatCall& call, TokenTexts& texts) {
  Json message;
  message.set("role", "assistant");
  message.set("content", output.text);
  message.set("refusal", nullptr);
  Json choice;
  choice.set("index", static_cast<int64_t>(index));
  choice.set("message", std::move(message));
  choice.set("logprobs", call.logprobs ? chat_logprobs_json(output.logprobs, texts) : Json());
  choice.set("finish_reason", finish_reason_text(output.finish));
  choice.set("stop_reason", stop_reason_json(output));
  if (call.shared.return_token_ids) choice.set("token_ids", token_ids_json(output.token_ids));
  return choice;
}

}  // namespace

Result<ChatCall> parse_chat_call(const Json& body) {
  if (!body.is_object()) return wrong_type("body", "an object", body);
  ChatCall call;
  FieldReader reader(body);
  read_shared_fields(reader, call.shared);
  read_max_completion_tokens(reader, call.shared.sampling);
  read_template_variables(reader, call);
  read_logprobs(reader, call);
  reader.ignore({"parallel_tool_calls", "prediction", "include_reasoning"});
  reader.refuse({"functions", "function_call", "audio", "web_search_options", "continue_final_message",
                 "echo", "verbosity"});
  reader.read_with("modalities", [](const Json& value) -> Status {
    if (value == Json(JsonArray{Json("text")})) return {};
    return unsupported("modalities: only [\"text\"] is supported, found " + base::quoted(value.dump()));
  });
  OCTAVO_RETURN_IF_ERROR(reader.finish());
  OCTAVO_RETURN_IF_ERROR(check_sampling_params(call.shared.sampling));
  return call;
}

Result<Request> make_request(const Engine& engine, const ChatCall& call) {
  auto request = engine.chat_request(call.variables.dump(), call.chat_template);
  if (!request.ok()) {  // a model without a template cannot chat: the request's fault, not a missing page
    const Status& status = request.status();
    return status.code() == StatusCode::kNotFound ? unsupported(status.message()) : as_refusal(status);
  }
  request->add_special_tokens = call.shared.add_special_tokens.value_or(request->add_special_tokens);
  request->sampling = call.shared.sampling;
  request->priority = call.shared.priority;
  return request;
}

Result<Json> answer_chat(Engine& engine, const ChatCall& call, const ResponseHead& head, const Watch& watch) {
  const SharedFields& shared = call.shared;
  OCTAVO_ASSIGN_OR_RETURN(const Request request, make_request(engine, call));
  OCTAVO_ASSIGN_OR_RETURN(const auto answers, generate(engine, {request}, watch));
  const RequestOutput& answer = answers.front();
  TokenTexts texts(engine, shared.tokens_as_ids);
  JsonArray choices;
  for (const CompletionOutput& output : answer.outputs) {
    choices.push_back(choice_json(choices.size(), output, call, texts));
  }
  Json response = begin_response(head, "chatcmpl-", "chat.completion");
  response.set("choices", std::move(choices));
  Usage usage;
  usage.add(answer.stats);
  end_response(response, head, usage);
  if (const auto n = shared.sampling.prompt_logprobs)
    response.set("prompt_logprobs", prompt_logprobs_json(answer, *n, texts));
  if (shared.return_token_ids) response.set("prompt_token_ids", token_ids_json(answer.prompt_token_ids));
  return response;
}

}  // namespace octavo::openai
