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
  int32_t best_of = call.shared.n;
  reader.read("best_of", best_of);
  if (best_of != call.shared.n) {
    reader.fail(unsupported("best_of: only n is supported, found " + std::to_string(best_of)));
  }
  std::string suffix;
  reader.read("suffix", suffix);
  if (!suffix.empty()) reader.fail(unsupported("suffix: Octavo does not fill in the middle"));
}

struct Scored {  // a prompt, as the response tells of it
  std::string text;
  PromptFacts facts;
};

Result<Scored> read_prompt(Engine& engine, const CompletionCall& call, Request& request, const Watch& watch) {
  const SharedFields& shared = call.shared;
  Scored prompt{.text = request.prompt, .facts = {}};
  std::optional<int32_t> top_n = shared.prompt_logprobs;
  if (call.echo && call.logprobs) top_n = std::max(top_n.value_or(0), *call.logprobs);
  if (call.echo && !request.token_ids.empty()) {
    OCTAVO_ASSIGN_OR_RETURN(prompt.text,
                            engine.detokenize(request.token_ids, shared.sampling.skip_special_tokens));
  }
  if (top_n || shared.return_token_ids || call.no_output) {
    OCTAVO_ASSIGN_OR_RETURN(prompt.facts, read_prompt_facts(engine, request, top_n, watch));
  }
  return prompt;
}

// The distribution before token i, with at most n of its likeliest.
TokenScore score_at(const std::vector<ScoredPosition>& positions, size_t i, int32_t n) {
  std::vector<TokenLogprob> top = positions[i - 1].top;
  top.resize(std::min(top.size(), static_cast<size_t>(n)));
  return {*positions[i].token, std::move(top)};
}

Json choice_json(size_t index, const Output& output, const Scored& prompt, const CompletionCall& call,
                 TokenTexts& texts) {
  const SharedFields& shared = call.shared;
  Json choice;
  choice.set("index", static_cast<int64_t>(index));
  choice.set("text", call.echo ? prompt.text + output.text : output.text);
  Json logprobs;
  if (call.logprobs) {
    CompletionLogprobs scores;
    for (size_t i = 0; call.echo && i < prompt.facts.token_ids.size(); ++i) {
      if (i == 0) {
        scores.add_first(prompt.facts.token_ids[i], texts);
      } else {
        scores.add(score_at(prompt.facts.scores, i, *call.logprobs), texts);
      }
    }
    for (const TokenScore& score : output.logprobs) scores.add(score, texts);
    logprobs = std::move(scores).to_json();
  }
  choice.set("logprobs", std::move(logprobs));
  choice.set("finish_reason", finish_reason_text(output.finish));
  choice.set("stop_reason", stop_reason_json(output));
  if (shared.prompt_logprobs) {
    std::vector<ScoredPosition> scores = prompt.facts.scores;
    for (ScoredPosition& score : scores) {
      score.top.resize(std::min(score.top.size(), static_cast<size_t>(*shared.prompt_logprobs)));
    }
    choice.set("prompt_logprobs", prompt_logprobs_json(prompt.facts.token_ids, scores, texts));
  }
  if (shared.return_token_ids) {
    choice.set("token_ids", token_ids_json(output.token_ids));
    choice.set("prompt_token_ids", token_ids_json(prompt.facts.token_ids));
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
  if (call.echo && *sampling.max_tokens == 0) {
    call.no_output = true;
    sampling.max_tokens = 1;  // checked like any, and never run
  }
  sampling.logprobs = call.logprobs;
  OCTAVO_RETURN_IF_ERROR(check_sampling_params(sampling));
  for (Request& request : call.requests) {
    request.sampling = sampling;
    request.add_special_tokens = call.shared.add_special_tokens.value_or(true);
  }
  return call;
}

Result<Json> answer_completion(Engine& engine, const CompletionCall& call, const ResponseHead& head,
                               const Watch& watch) {
  std::vector<Request> requests = call.requests;
  std::vector<Scored> prompts;
  for (Request& request : requests) {
    OCTAVO_ASSIGN_OR_RETURN(Scored prompt, read_prompt(engine, call, request, watch));
    prompts.push_back(std::move(prompt));
  }
  std::vector<Answer> answers(requests.size());
  if (call.no_output) {
    Output nothing;
    nothing.finish = FinishReason::kLength;
    for (size_t i = 0; i < answers.size(); ++i) {
      answers[i].outputs.assign(static_cast<size_t>(call.shared.n), nothing);
      answers[i].usage.n_prompt_tokens = static_cast<int64_t>(prompts[i].facts.token_ids.size());
    }
  } else {
    OCTAVO_ASSIGN_OR_RETURN(answers, generate(engine, requests, call.shared.n, watch));
  }
  TokenTexts texts(engine, call.shared.tokens_as_ids);
  JsonArray choices;
  Usage usage;
  for (size_t i = 0; i < answers.size(); ++i) {
    for (const Output& output : answers[i].outputs) {
      choices.push_back(choice_json(choices.size(), output, prompts[i], call, texts));
    }
    usage.add(answers[i].usage);
  }
  Json response = begin_response(head, "cmpl-", "text_completion");
  response.set("choices", std::move(choices));
  end_response(response, head, usage);
  return response;
}

}  // namespace octavo::openai
