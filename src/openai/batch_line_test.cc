#include "openai/batch_line.h"

#include <gtest/gtest.h>

#include <map>

namespace octavo::openai {
namespace {

using base::Json;

// A line for the chat form, with these members in its body beside the messages.
std::string chat_line(const std::string& members) {
  return R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user",)"
         R"("content":"Hi"}])" +
         (members.empty() ? "" : "," + members) + "}}";
}

std::string completion_line(const std::string& members) {
  return R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":{)" + members + "}}";
}

std::string error_of(const std::string& line) {
  const BatchLine parsed = parse_batch_line(line);
  return parsed.call.ok() ? "" : parsed.call.status().message();
}

ChatCall chat_of(const std::string& line) {
  BatchLine parsed = parse_batch_line(line);
  EXPECT_TRUE(parsed.call.ok()) << parsed.call.status().message();
  return parsed.call.ok() ? std::get<ChatCall>(*parsed.call) : ChatCall();
}

CompletionCall completion_of(const std::string& line) {
  BatchLine parsed = parse_batch_line(line);
  EXPECT_TRUE(parsed.call.ok()) << parsed.call.status().message();
  return parsed.call.ok() ? std::get<CompletionCall>(*parsed.call) : CompletionCall();
}

TEST(BatchLine, EverySamplingFieldArrives) {
  const ChatCall call = chat_of(chat_line(
      R"("model":"m","n":3,"temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.1,"repetition_penalty":1.5,)"
      R"("presence_penalty":0.25,"frequency_penalty":-0.25,"seed":-5,"max_completion_tokens":7,"min_tokens":2,)"
      R"("stop":"x","stop_token_ids":[4],"include_stop_str_in_output":true,"ignore_eos":true,"bad_words":["no"],)"
      R"("logit_bias":{"12":-100,"13":2.5},"allowed_token_ids":[1,2],"skip_special_tokens":false,"priority":-2,)"
      R"("logprobs":true,"top_logprobs":5,"prompt_logprobs":1,"user":"u","metadata":{"k":"v"},"store":true)"));
  const SamplingParams& sampling = call.shared.sampling;
  EXPECT_EQ(call.shared.model, "m");
  EXPECT_EQ(sampling.n, 3);
  EXPECT_EQ(sampling.temperature, 0.5F);
  EXPECT_EQ(sampling.top_p, 0.9F);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_EQ(sampling.min_p, 0.1F);
  EXPECT_EQ(sampling.repetition_penalty, 1.5F);
  EXPECT_EQ(sampling.presence_penalty, 0.25F);
  EXPECT_EQ(sampling.frequency_penalty, -0.25F);
  EXPECT_EQ(sampling.seed, static_cast<uint64_t>(-5));
  EXPECT_EQ(sampling.max_tokens, 7);
  EXPECT_EQ(sampling.min_tokens, 2);
  EXPECT_EQ(sampling.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(sampling.stop_token_ids, std::vector<int32_t>{4});
  EXPECT_TRUE(sampling.include_stop_str_in_output && sampling.ignore_eos);
  EXPECT_EQ(sampling.bad_words, std::vector<std::string>{"no"});
  EXPECT_EQ(sampling.logit_bias, (std::vector<std::pair<int32_t, float>>{{12, -100.0F}, {13, 2.5F}}));
  EXPECT_EQ(sampling.allowed_token_ids, (std::vector<int32_t>{1, 2}));
  EXPECT_FALSE(sampling.skip_special_tokens);
  EXPECT_EQ(call.shared.priority, -2);
  EXPECT_EQ(sampling.logprobs, 5);
  EXPECT_EQ(sampling.prompt_logprobs, 1);
}

TEST(BatchLine, DefaultsOfTheTwoForms) {
  EXPECT_EQ(chat_of(chat_line("")).shared.sampling.max_tokens, std::nullopt);
  const CompletionCall call = completion_of(completion_line(R"("prompt":"x","temperature":null)"));
  EXPECT_EQ(call.requests.at(0).sampling.max_tokens, 16);
  EXPECT_EQ(call.requests.at(0).sampling.temperature, std::nullopt);
  EXPECT_TRUE(call.requests.at(0).add_special_tokens);
  EXPECT_EQ(chat_of(chat_line(R"("seed":-1)")).shared.sampling.seed, std::nullopt);
}

TEST(BatchLine, PromptsInEveryForm) {
  EXPECT_EQ(completion_of(completion_line(R"("prompt":"x")")).requests.at(0).prompt, "x");
  EXPECT_EQ(completion_of(completion_line(R"("prompt":["x","y"])")).requests.at(1).prompt, "y");
  EXPECT_EQ(completion_of(completion_line(R"("prompt":[5,6])")).requests.at(0).token_ids,
            (std::vector<int32_t>{5, 6}));
  const CompletionCall lists = completion_of(completion_line(R"("prompt":[[5],[6,7]])"));
  ASSERT_EQ(lists.requests.size(), 2U);
  EXPECT_EQ(lists.requests[1].token_ids, (std::vector<int32_t>{6, 7}));
}

TEST(BatchLine, TemplateVariables) {
  const ChatCall call = chat_of(chat_line(
      R"("tools":[{"type":"function","function":{"name":"f"}}],"documents":[{"text":"d"}],"chat_template":"t",)"
      R"("chat_template_kwargs":{"enable_thinking":false},"add_generation_prompt":false)"));
  EXPECT_EQ(call.chat_template, "t");
  EXPECT_EQ(*call.variables.find("enable_thinking"), Json(false));
  EXPECT_EQ(*call.variables.find("add_generation_prompt"), Json(false));
  EXPECT_EQ(call.variables.find("tools")->as_array().size(), 1U);
  EXPECT_EQ(call.variables.find("documents")->as_array().size(), 1U);
}

TEST(BatchLine, MessagesAreMadeOneText) {
  const ChatCall call = chat_of(
      R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[)"
      R"({"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":)"
      R"({"name":"f","arguments":"{\"x\": 1}"}}]},{"role":"tool","tool_call_id":"1","content":"3"}]}})");
  const auto& messages = call.variables.find("messages")->as_array();
  EXPECT_EQ(*messages.at(0).find("content"), Json("one\ntwo"));
  EXPECT_EQ(*messages.at(1).find("content"), Json(""));
  const Json& called = *messages.at(1).find("tool_calls")->as_array().at(0).find("function");
  EXPECT_EQ(*called.find("arguments")->find("x"), Json(1));
}

// Each of these bodies is refused, and the message begins with the field.
TEST(BatchLine, BadFieldsAreNamed) {
  const std::map<std::string, std::string> chat_errors = {
      {R"("temperature":"hot")", "temperature: expected a number, found string"},
      {R"("temperature":-1)", "temperature: "},
      {R"("temperature":1e300)", "temperature: expected a number within float's range"},
      {R"("top_p":0)", "top_p: "},
      {R"("top_p":2)", "top_p: "},
      {R"("top_k":-5)", "top_k: "},
      {R"("top_k":1.5)", "top_k: expected an integer, found number"},
      {R"("n":0)", "n: expected 1 to 128, found 0"},
      {R"("n":-1)", "n: expected 1 to 128, found -1"},
      {R"("n":1000000000)", "n: expected 1 to 128"},
      {R"("max_tokens":0)", "max_tokens: "},
      {R"("max_tokens":-1)", "max_tokens: "},
      {R"("max_tokens":1,"max_completion_tokens":2)", "max_completion_tokens: 2 contradicts"},
      {R"("seed":18446744073709551616)", "seed: expected an integer"},
      {R"("stop":[""])", "stop: "},
      {R"("stop":[1])", "stop[0]: expected a string, found integer"},
      {R"("stop_token_ids":[-1])", "stop_token_ids[0]: expected a token id, found -1"},
      {R"("logit_bias":{"x":1})", "logit_bias: expected token ids as keys, found 'x'"},
      {R"("logit_bias":{"-1":1})", "logit_bias: "},
      {R"("logit_bias":{"1":1e30})", "logit_bias['1']: expected -100 to 100"},
      {R"("logit_bias":{"1":-1e300})", "logit_bias['1']: expected -100 to 100, found -3.4"},
      {R"("logit_bias":[1])", "logit_bias: expected an object"},
      {R"("allowed_token_ids":[])", "allowed_token_ids: expected at least one"},
      {R"("logprobs":5)", "logprobs: expected a boolean, found integer"},
      {R"("top_logprobs":2)", "top_logprobs: needs 'logprobs'"},
      {R"("logprobs":true,"top_logprobs":1000000)", "top_logprobs: expected 0 to 20"},
      {R"("prompt_logprobs":-1)", "prompt_logprobs: expected 0 to 20"},
      {R"("response_format":{"type":"json_object"})", "response_format: only the type 'text'"},
      {R"("tool_choice":"required")", "tool_choice: only 'none' and 'auto'"},
      {R"("tools":{})", "tools: expected an array"},
      {R"("chat_template_kwargs":{"messages":[]})", "chat_template_kwargs: "},
      {R"("stream":true)", "stream: a batch's answers come whole"},
      {R"("modalities":["audio"])", "modalities: "},
      {R"("guided_json":{})", "guided_json: Octavo does not support"},
      {R"("temprature":1)", "unknown field 'temprature'; did you mean 'temperature'?"},
  };
  for (const auto& [members, expected] : chat_errors) {
    EXPECT_TRUE(error_of(chat_line(members)).starts_with(expected))
        << members << ": " << error_of(chat_line(members));
  }
  const std::map<std::string, std::string> completion_errors = {
      {R"("n":1)", "prompt: expected a text or token ids, found nothing"},
      {R"("prompt":7)", "prompt: expected"},
      {R"("prompt":[])", "prompt: expected at least one"},
      {R"("prompt":[[]])", "prompt[0]: expected at least one token"},
      {R"("prompt":[1,"x"])", "prompt[1]: expected a token id, found string"},
      {R"("prompt":["x",1])", "prompt[1]: expected a string, found integer"},
      {R"("prompt":[-1])", "prompt[0]: expected a token id, found -1"},
      {R"("prompt":"x","logprobs":21)", "logprobs: expected 0 to 20"},
      {R"("prompt":"x","best_of":3)", "best_of: only n is supported"},
      {R"("prompt":"x","suffix":"y")", "suffix: "},
      {R"("prompt":"x","max_tokens":0)", "max_tokens: "},
      {R"("prompt":"x","echo":true,"max_tokens":0,"min_tokens":5)",
       "min_tokens: expected at most max_tokens = 0"},
      {R"("prompt":"x","messages":[])", "unknown field 'messages'"},
  };
  for (const auto& [members, expected] : completion_errors) {
    EXPECT_TRUE(error_of(completion_line(members)).starts_with(expected))
        << members << ": " << error_of(completion_line(members));
  }
}

TEST(BatchLine, BadLinesAreNamed) {
  const std::map<std::string, std::string> errors = {
      {"", "not JSON: "},
      {"{", "not JSON: "},
      {"\"\xff\"", "not JSON: "},
      {"[]", "line: expected an object, found array"},
      {R"({"custom_id":7})", "custom_id: expected a string, found integer"},
      {R"({"method":"POST","url":"/v1/completions","body":{}})", "custom_id: expected a string that names"},
      {R"({"custom_id":"a","custom_id":"b"})", "not JSON: "},
      {R"({"custom_id":"a","method":"GET","url":"/v1/completions","body":{}})", "method: expected 'POST'"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}})", "url: expected"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions"})", "body: expected an object"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":[]})", "body: expected an object"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":{},"x":1})", "unknown field 'x'"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}})", "messages: expected"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}})",
       "messages: "},
      {R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"content":"x"}]}})",
       "messages[0]: expected a role"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user",)"
       R"("content":[{"type":"image_url"}]}]}})",
       "messages[0].content[0]: only parts of type 'text'"},
  };
  for (const auto& [line, expected] : errors) {
    EXPECT_TRUE(error_of(line).starts_with(expected)) << line << ": " << error_of(line);
  }
  EXPECT_EQ(parse_batch_line(R"({"custom_id":"kept","method":7})").custom_id, "kept");
}

TEST(BatchLine, AnErrorIsToldInBothPlaces) {
  BatchLine line;
  line.custom_id = "a";
  const Json answer = batch_answer_json(line, "7", invalid_argument("top_k: expected less"));
  EXPECT_EQ(
      answer.dump(),
      R"({"id":"batch_req-7","custom_id":"a","response":{"status_code":400,"request_id":"req-7","body":)"
      R"({"error":{"message":"top_k: expected less","type":"invalid_request_error","param":"top_k",)"
      R"("code":400}}},"error":{"message":"top_k: expected less","type":"invalid_request_error",)"
      R"("param":"top_k","code":400}})");
  EXPECT_EQ(*error_json(not_found("model: x")).find("code"), Json(404));
  EXPECT_EQ(*error_json(internal_error("broken")).find("type"), Json("server_error"));
  EXPECT_TRUE(error_json(internal_error("Broken: x")).find("param")->is_null());
}

TEST(BatchLine, EqualPromptsGetDifferentDefaultSeeds) {
  BatchLine line = parse_batch_line(completion_line(R"("prompt":["x","x"])"));
  set_default_seed(line, 1);
  const auto& requests = std::get<CompletionCall>(*line.call).requests;
  EXPECT_TRUE(requests[0].sampling.seed && requests[1].sampling.seed);
  EXPECT_NE(requests[0].sampling.seed, requests[1].sampling.seed);
  BatchLine own = parse_batch_line(chat_line(R"("seed":5)"));
  set_default_seed(own, 1);
  EXPECT_EQ(own.shared()->sampling.seed, 5U);
}

}  // namespace
}  // namespace octavo::openai
