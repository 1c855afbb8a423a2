// Calls against the demo model: what a response holds, and that it is what the engine says.
#include <gtest/gtest.h>

#include <cmath>

#include "openai/batch_line.h"

namespace octavo::openai {
namespace {

using base::Json;

Engine& engine() {
  static Result<Engine> opened = Engine::open(OCTAVO_SOURCE_DIR "/models/demo");
  return *opened;
}

Json answer(const std::string& url, const std::string& body) {
  BatchLine line =
      parse_batch_line(R"({"custom_id":"a","method":"POST","url":")" + url + R"(","body":)" + body + "}");
  const ResponseHead head{.id = "7", .created = 5, .model = "demo", .system_fingerprint = "fp"};
  const Result<Json> response = answer_call(engine(), line, head, Watch());
  EXPECT_TRUE(response.ok()) << response.status().message();
  return response.ok() ? *response : Json();
}

CompletionOutput generated(Request request) {
  auto answers = generate(engine(), {std::move(request)}, Watch());
  EXPECT_TRUE(answers.ok());
  return answers->front().outputs.front();
}

Request greedy(const std::string& prompt, int64_t max_tokens) {
  Request request;
  request.prompt = prompt;
  request.sampling.temperature = 0.0F;
  request.sampling.max_tokens = max_tokens;
  return request;
}

const Json& first_choice(const Json& response) { return response.find("choices")->as_array().at(0); }

TEST(Answer, ChatCompletion) {
  const Json response =
      answer("/v1/chat/completions",
             R"({"messages":[{"role":"user","content":"Hi"}],"temperature":0,"max_tokens":6,)"
             R"("logprobs":true,"top_logprobs":2})");
  EXPECT_EQ(*response.find("id"), Json("chatcmpl-7"));
  EXPECT_EQ(*response.find("object"), Json("chat.completion"));
  EXPECT_EQ(*response.find("created"), Json(5));
  EXPECT_EQ(*response.find("model"), Json("demo"));
  const Json& choice = first_choice(response);
  const CompletionOutput expected =
      generated(greedy("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", 6));
  EXPECT_EQ(*choice.find("message")->find("content"), Json(expected.text));
  EXPECT_EQ(*choice.find("finish_reason"), Json("length"));
  const auto& content = choice.find("logprobs")->find("content")->as_array();
  ASSERT_EQ(content.size(), 6U);
  std::string text;
  for (const Json& token : content) {
    text += token.find("token")->as_string();
    EXPECT_EQ(token.find("top_logprobs")->as_array().size(), 2U);
    EXPECT_LE(token.find("logprob")->as_double(), 0);
  }
  EXPECT_EQ(text, expected.text);
  const Json& usage = *response.find("usage");
  EXPECT_EQ(*usage.find("completion_tokens"), Json(6));
  EXPECT_EQ(usage.find("prompt_tokens")->as_int() + 6, usage.find("total_tokens")->as_int());
}

TEST(Answer, CompletionsOfSeveralPromptsAndChoices) {
  const Json response =
      answer("/v1/completions", R"({"prompt":["The old man","It was"],"n":2,"seed":4,"max_tokens":4})");
  const auto& choices = response.find("choices")->as_array();
  ASSERT_EQ(choices.size(), 4U);
  for (size_t i = 0; i < 4; ++i) {  // choice k of a prompt is what seed + k gives alone
    Request alone;
    alone.prompt = i < 2 ? "The old man" : "It was";
    alone.sampling.seed = 4 + i % 2;
    alone.sampling.max_tokens = 4;
    EXPECT_EQ(*choices[i].find("index"), Json(static_cast<int64_t>(i)));
    EXPECT_EQ(*choices[i].find("text"), Json(generated(alone).text));
  }
  EXPECT_EQ(*response.find("usage")->find("completion_tokens"), Json(16));
}

TEST(Answer, ASeedGivesEachChoiceItsOwn) {
  const std::string body = R"({"prompt":"The old man","n":3,"seed":1,"max_tokens":8})";
  const Json response = answer("/v1/completions", body);
  EXPECT_EQ(response, answer("/v1/completions", body));
  const auto& choices = response.find("choices")->as_array();
  EXPECT_NE(*choices.at(0).find("text"), *choices.at(1).find("text"));
}

TEST(Answer, EchoWithScoresOfThePrompt) {
  const Json response =
      answer("/v1/completions", R"({"prompt":"The old man","echo":true,"logprobs":1,"max_tokens":0,)"
                                R"("prompt_logprobs":2,"return_token_ids":true})");
  const Json& choice = first_choice(response);
  EXPECT_EQ(*choice.find("text"), Json("The old man"));
  EXPECT_TRUE(choice.find("token_ids")->as_array().empty());
  const auto ids = engine().tokenize("The old man", true);
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(*choice.find("prompt_token_ids"), token_ids_json(*ids));
  const auto scores = engine().score(*ids, 2);
  ASSERT_TRUE(scores.ok());
  const Json& logprobs = *choice.find("logprobs");
  EXPECT_EQ(logprobs.find("text_offset")->dump(), "[0,3,7]");
  EXPECT_EQ(logprobs.find("tokens")->dump(), R"(["The"," old"," man"])");
  const auto& values = logprobs.find("token_logprobs")->as_array();
  ASSERT_EQ(values.size(), 3U);
  EXPECT_TRUE(values[0].is_null());
  for (size_t i = 1; i < 3; ++i) {
    const TokenLogprob& token = *(*scores)[i].token;
    EXPECT_EQ(values[i], Json(static_cast<double>(token.logprob)));
    const Json& told = *choice.find("prompt_logprobs")->as_array().at(i).find(std::to_string(token.id));
    EXPECT_EQ(*told.find("rank"), Json(token.rank));
  }
}

TEST(Answer, StopsAreTold) {
  const Json stopped =
      answer("/v1/completions", R"({"prompt":"The old man","temperature":0,"max_tokens":8,"stop":[" a"]})");
  EXPECT_EQ(*first_choice(stopped).find("finish_reason"), Json("stop"));
  EXPECT_EQ(*first_choice(stopped).find("stop_reason"), Json(" a"));
  const int32_t first = generated(greedy("The old man", 1)).token_ids.at(0);
  const Json by_token =
      answer("/v1/completions",
             R"({"prompt":"The old man","temperature":0,"stop_token_ids":[)" + std::to_string(first) + "]}");
  EXPECT_EQ(*first_choice(by_token).find("stop_reason"), Json(int64_t{first}));
}

TEST(Answer, TokensAsIds) {
  const Json response = answer("/v1/completions", R"({"prompt":"The old man","temperature":0,"max_tokens":1,)"
                                                  R"("logprobs":0,"return_tokens_as_token_ids":true})");
  const int32_t id = generated(greedy("The old man", 1)).token_ids.at(0);
  EXPECT_EQ(first_choice(response).find("logprobs")->find("tokens")->as_array().at(0),
            Json("token_id:" + std::to_string(id)));
}

TEST(Answer, EchoAloneMayFillTheContext) {
  const auto body = [](int64_t n_tokens, int n_output) {
    std::string ids = "[1";
    for (int64_t i = 1; i < n_tokens; ++i) ids += "," + std::to_string(i % 100 + 1);
    return R"({"prompt":)" + ids + R"(],"echo":true,"logprobs":0,"max_tokens":)" + std::to_string(n_output) +
           "}";
  };
  const int64_t n_context = engine().model().max_context;
  const Json response = answer("/v1/completions", body(n_context, 0));
  const Json& choice = first_choice(response);
  EXPECT_EQ(*choice.find("finish_reason"), Json("length"));
  EXPECT_EQ(choice.find("logprobs")->find("token_logprobs")->as_array().size(),
            static_cast<size_t>(n_context));
  EXPECT_EQ(*response.find("usage")->find("completion_tokens"), Json(0));
  for (const std::string& refused : {body(n_context + 1, 0), body(n_context, 1)}) {
    const BatchLine line = parse_batch_line(
        R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":)" + refused + "}");
    const auto failed = answer_call(engine(), line, ResponseHead(), Watch());
    EXPECT_EQ(http_status(failed.status()), 400) << failed.status().message();
  }
}

TEST(Answer, WhatTheModelCannotDoIsTheRequestsFault) {
  const auto failed = [](const std::string& body) {
    const BatchLine line =
        parse_batch_line(R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":)" + body + "}");
    const auto response = answer_call(engine(), line, ResponseHead(), Watch());
    return response.ok() ? 200 : http_status(response.status());
  };
  EXPECT_EQ(failed(R"({"prompt":""})"), 400);
  EXPECT_EQ(failed(R"({"prompt":[999999]})"), 400);
  EXPECT_EQ(failed(R"({"prompt":[999999],"prompt_logprobs":1})"), 400);
  EXPECT_EQ(failed(R"({"prompt":"x","n":2,"temperature":0})"), 400);
  EXPECT_EQ(failed(R"({"prompt":"x","logit_bias":{"999999":1}})"), 400);
  std::string ids = "[1";
  for (int i = 0; i < 5000; ++i) ids += ",1";
  EXPECT_EQ(failed(R"({"prompt":)" + ids + "]}"), 400);
}

}  // namespace
}  // namespace octavo::openai
