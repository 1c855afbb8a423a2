// Text completions. Called by cli/batch_runner.cc; the fields are OpenAI's, with vLLM's extensions.
#include "openai/completion.h"

#include <algorithm>
#include <utility>

#include "openai/logprobs_json.h"

namespace octavo::openai {

using base::Json;
using base::JsonArray;

namespace {

constexpr int64_t kDefaultMaxTokens = 16;  // OpenAI's and vLLM's, for this form alone

// A text, token ids, or an array of either.
Status read_prompts(const Json& value, std::vector<Request>& into) {
  if (value.is_string()) {
    into.emplace_back().prompt = value.as_string();
    return {};
  }
  if (!value.is_array()) {
    return wrong_type("prompt", "a string, an array of token ids, or an array of either", value);
  }
  const JsonArray& prompts = value.as_array();
  if (prompts.empty()) return invalid_argument("prompt: expected at least one, found an empty array");
  if (prompts.front().is_int()) {
    OCTAVO_ASSIGN_OR_RETURN(into.emplace_back().token_ids, read_token_ids("prompt", value));
    return {};
  }
  if (prompts.size() > kMaxPrompts) {
    return invalid_argument("prompt: expected at most " + std::to_string(kMaxPrompts) + " prompts, found " +
                            std::to_string(prompts.size()));
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::string name = "prompt[" + std::to_string(i) + "]";
    if (prompts[i].is_string() && prompts.front().is_string()) {
      into.emplace_back().prompt = prompts[i].as_string();
    } else if (prompts[i].is_array() && prompts.front().is_array()) {
      OCTAVO_ASSIGN_OR_RETURN(into.emplace_back().token_ids, read_token_ids(name, prompts[i]));
      if (into.back().token_ids.empty())
        return invalid_argument(name + ": expected at least one token, found none");
    } else {
      return wrong_type(name, prompts.front().is_array() ? "an array of token ids" : "a string", prompts[i]);
    }
  }
  return {};
}

void read_form(FieldReader& reader, CompletionCall& call) {
  const Json* prompt = reader.find("prompt");
  reader.fail(prompt == nullptr ? invalid_argument("prompt: expected a text or token ids, found nothing")
                                : read_prompts(*prompt, call.requests));
  reader.read("echo", call.echo);
  reader.read("logprobs", call.logprobs);
  if (call.logprobs && (*call.logprobs < 0 || *call.logprobs > kMaxTopLogprobs)) {
    reader.fail(invalid_argument("logprobs: expected 0 to " + std::to_string(kMaxTopLogprobs) + ", found " +
                                 std::to_string(*call.logprobs)));
  }
  int32_t best_of = call.shared.sampling.n;
  reader.read("best_of", best_of);
  if (best_of != call.shared.sampling.n) {
    reader.fail(unsupported("best_of: only n is supported, found " + std::to_string(best_of)));
  }
  std::string suffix;
  reader.read("suffix", suffix);
  if (!suffix.empty()) reader.fail(unsupported("suffix: Octavo does not fill in the middle"));
}

// What echo puts before the text.
Result<std::string> prompt_text(const Engine& engine, const Request& request) {
  if (request.token_ids.empty()) return request.prompt;
  return engine.detokenize(request.token_ids, request.sampling.skip_special_tokens);
}

Json logprobs_json(const CompletionOutput& output, const RequestOutput& answer, const CompletionCall& call,
                   TokenTexts& texts) {
  if (!call.logprobs) return nullptr;
  CompletionLogprobs scores;
  if (call.echo) {
    scores.add_first(answer.prompt_token_ids.front(), texts);
    for (TokenScore score : answer.prompt_logprobs) {
      score.top.resize(std::min(score.top.size(), static_cast<size_t>(*call.logprobs)));
      scores.add(score, texts);
    }
  }
  for (const TokenScore& score : output.logprobs) scores.add(score, texts);
  return std::move(scores).to_json();
}

Json choice_json(size_t index, const CompletionOutput& output, const std::string& prompt,
                 const RequestOutput& answer, const CompletionCall& call, TokenTexts& texts) {
  Json choice;
  choice.set("index", static_cast<int64_t>(index));
  choice.set("text", call.echo ? prompt + output.text : output.text);
  choice.set("logprobs", logprobs_json(output, answer, call, texts));
  choice.set("finish_reason", finish_reason_text(output.finish));
  choice.set("stop_reason", stop_reason_json(output));
  if (call.prompt_logprobs)
    choice.set("prompt_logprobs", prompt_logprobs_json(answer, *call.prompt_logprobs, texts));
  if (call.shared.return_token_ids) {
    choice.set("token_ids", token_ids_json(output.token_ids));
    choice.set("prompt_token_ids", token_ids_json(answer.prompt_token_ids));
  }
  return choice;
}

}  // namespace

Result<CompletionCall> parse_completion_call(const Json& body) {
  if (!body.is_object()) return wrong_type("body", "an object", body);
  CompletionCall call;
  FieldReader reader(body);
  read_shared_fields(reader, call.shared);
  read_form(reader, call);
  OCTAVO_RETURN_IF_ERROR(reader.finish());
  SamplingParams& sampling = call.shared.sampling;
  if (!sampling.max_tokens) sampling.max_tokens = std::max(kDefaultMaxTokens, sampling.min_tokens);
  const bool prompt_only = call.echo && *sampling.max_tokens == 0;
  if (prompt_only && sampling.min_tokens > 0) {
    return invalid_argument("min_tokens: expected at most max_tokens = 0, found " +
                            std::to_string(sampling.min_tokens));
  }
  if (prompt_only) sampling.max_tokens = 1;  // the least that check_sampling_params takes; not read
  sampling.logprobs = call.logprobs;
  call.prompt_logprobs = sampling.prompt_logprobs;
  if (call.echo && call.logprobs) {
    sampling.prompt_logprobs = std::max(sampling.prompt_logprobs.value_or(0), *call.logprobs);
  }
  OCTAVO_RETURN_IF_ERROR(check_sampling_params(sampling));
  for (Request& request : call.requests) {
    request.sampling = sampling;
    request.prompt_only = prompt_only;
    request.priority = call.shared.priority;
    request.add_special_tokens = call.shared.add_special_tokens.value_or(true);
  }
  return call;
}

Result<Json> answer_completion(Engine& engine, const CompletionCall& call, const ResponseHead& head,
                               const Watch& watch) {
  OCTAVO_ASSIGN_OR_RETURN(std::vector<RequestOutput> answers, generate(engine, call.requests, watch));
  TokenTexts texts(engine, call.shared.tokens_as_ids);
  JsonArray choices;
  Usage usage;
  for (size_t i = 0; i < answers.size(); ++i) {
    std::string prompt;
    if (call.echo) {
      OCTAVO_ASSIGN_OR_RETURN(prompt, prompt_text(engine, call.requests[i]));
    }
    for (const CompletionOutput& output : answers[i].outputs) {
      choices.push_back(choice_json(choices.size(), output, prompt, answers[i], call, texts));
    }
    usage.add(answers[i].stats);
  }
  Json response = begin_response(head, "cmpl-", "text_completion");
  response.set("choices", std::move(choices));
  end_response(response, head, usage);
  return response;
}

}  // namespace octavo::openai
