#include "octavo/engine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>

#include "base/test_environment.h"

namespace octavo {
namespace {

const std::string kDemo = OCTAVO_SOURCE_DIR "/models/demo";

Engine& demo() {
  static Engine engine = [] {
    auto opened = Engine::open(kDemo);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return std::move(opened).value();
  }();
  return engine;
}

std::string data_model(const std::string& name) { return base::test_data_folder() + "/models/" + name; }

struct Output {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<TokenScore> logprobs;
  FinishReason finish = FinishReason::kNone;
  Delta last;
};

Output run(Engine& engine, const Request& request) {
  Output output;
  auto stream = engine.submit(request);
  EXPECT_TRUE(stream.ok()) << stream.status().message();
  if (!stream.ok()) return output;
  for (;;) {
    auto delta = stream->next();
    EXPECT_TRUE(delta.ok()) << delta.status().message();
    if (!delta.ok() || !delta->has_value()) break;
    EXPECT_EQ(output.finish, FinishReason::kNone) << "a delta after the last";
    output.text += (*delta)->text;
    output.ids.insert(output.ids.end(), (*delta)->token_ids.begin(), (*delta)->token_ids.end());
    output.logprobs.insert(output.logprobs.end(), (*delta)->logprobs.begin(), (*delta)->logprobs.end());
    output.finish = (*delta)->finish;
    output.last = **delta;
  }
  EXPECT_EQ(stream->stats().n_output_tokens, static_cast<int64_t>(output.ids.size()));
  return output;
}

Request greedy(const std::string& prompt, int64_t max_tokens) {
  Request request;
  request.prompt = prompt;
  request.sampling.temperature = 0.0F;
  request.sampling.max_tokens = max_tokens;
  request.sampling.ignore_eos = true;
  return request;
}

TEST(Engine, SaysWhatTheModelIs) {
  const ModelInfo& info = demo().model();
  EXPECT_EQ(info.architecture, "Qwen3ForCausalLM");
  EXPECT_EQ(info.quantization, "none");
  EXPECT_EQ(info.n_layers, 5);
  EXPECT_EQ(info.n_vocab, 12288);
  EXPECT_EQ(info.max_context, 512);
  EXPECT_EQ(info.fingerprint.size(), 16U);
}

TEST(Engine, TheFingerprintIsTheModelsNotTheMachines) {
  EngineOptions options;
  options.n_threads = 1;
  options.max_context = 100;
  const auto again = Engine::open(kDemo, options);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->model().fingerprint, demo().model().fingerprint);
}

TEST(Engine, TokenIdsAsPromptGiveWhatTheirTextGives) {
  const Output of_text = run(demo(), greedy("The old man", 8));
  Request request = greedy("", 8);
  request.token_ids = *demo().tokenize("The old man", true);
  EXPECT_EQ(run(demo(), request).ids, of_text.ids);
  EXPECT_EQ(of_text.finish, FinishReason::kLength);
}

TEST(Engine, AStopTextMayLieAcrossTokens) {
  const Output whole = run(demo(), greedy("The old man", 16));
  ASSERT_GT(whole.text.size(), 12U);
  for (size_t begin = 1; begin + 5 < whole.text.size(); begin += 3) {
    Request request = greedy("The old man", 16);
    request.sampling.stop = {whole.text.substr(begin, 5)};
    const Output stopped = run(demo(), request);
    EXPECT_EQ(stopped.text, whole.text.substr(0, whole.text.find(request.sampling.stop[0])));
    EXPECT_EQ(stopped.finish, FinishReason::kStop);
  }
}

TEST(Engine, AStopTokenEndsTheTextWithoutBeingPartOfIt) {
  const Output whole = run(demo(), greedy("The old man", 8));
  Request request = greedy("The old man", 8);
  request.sampling.stop_token_ids = {whole.ids[3]};
  const Output stopped = run(demo(), request);
  EXPECT_EQ(stopped.finish, FinishReason::kStop);
  EXPECT_EQ(stopped.ids.back(), whole.ids[3]);
  EXPECT_LT(stopped.text.size(), whole.text.size());
  EXPECT_EQ(whole.text.rfind(stopped.text, 0), 0U);
}

TEST(Engine, SaysWhatStoppedTheText) {
  const Output whole = run(demo(), greedy("The old man", 8));
  Request request = greedy("The old man", 8);
  request.sampling.stop = {"never in this text", whole.text.substr(2, 4)};
  Output stopped = run(demo(), request);
  EXPECT_EQ(stopped.last.stop_text, request.sampling.stop[1]);
  EXPECT_FALSE(stopped.last.stop_token);
  request.sampling.include_stop_str_in_output = true;
  EXPECT_EQ(run(demo(), request).text, whole.text.substr(0, 6));
  request = greedy("The old man", 8);
  request.sampling.stop_token_ids = {whole.ids[3]};
  stopped = run(demo(), request);
  EXPECT_EQ(stopped.last.stop_token, whole.ids[3]);
  request.sampling.include_stop_str_in_output = true;
  const Output with_token = run(demo(), request);
  EXPECT_EQ(with_token.ids, stopped.ids);
  EXPECT_GT(with_token.text.size(), stopped.text.size());
}

TEST(Engine, TheTokenizersOwnEndOfTextIsNoReason) {
  EngineOptions options;
  options.echo = true;
  auto echo = Engine::open("", options);
  ASSERT_TRUE(echo.ok());
  Request request = greedy("ab", 9);
  request.sampling.ignore_eos = false;
  const Output ended = run(*echo, request);
  EXPECT_EQ(ended.finish, FinishReason::kStop);
  EXPECT_FALSE(ended.last.stop_token);
  const int32_t end = ended.ids.back();
  request.sampling.stop_token_ids = {end};
  EXPECT_FALSE(run(*echo, request).last.stop_token);
  request.sampling.ignore_eos = true;
  EXPECT_EQ(run(*echo, request).last.stop_token, end);
}

TEST(Engine, ManyStreamsAreReadByOneWhoIsTold) {
  struct Inbox {
    std::mutex mutex;
    std::condition_variable came;
    std::vector<size_t> told;
  };
  const auto inbox = std::make_shared<Inbox>();
  std::vector<Stream> streams;
  std::vector<std::string> texts(20);
  for (size_t i = 0; i < texts.size(); ++i) {
    Request request = greedy("The old man " + std::to_string(i), 6);
    request.on_ready = [inbox, i] {
      const std::lock_guard lock(inbox->mutex);
      inbox->told.push_back(i);
      inbox->came.notify_one();
    };
    auto stream = demo().submit(request);
    ASSERT_TRUE(stream.ok());
    streams.push_back(std::move(*stream));
  }
  size_t n_finished = 0;
  while (n_finished < streams.size()) {
    std::unique_lock lock(inbox->mutex);
    ASSERT_TRUE(inbox->came.wait_for(lock, std::chrono::seconds(60), [&] { return !inbox->told.empty(); }));
    const std::vector<size_t> ready = std::exchange(inbox->told, {});
    lock.unlock();
    for (const size_t i : ready) {
      if (streams[i].finished()) continue;
      for (auto delta = streams[i].poll(); delta.ok() && *delta; delta = streams[i].poll()) {
        texts[i] += (*delta)->text;
      }
      n_finished += streams[i].finished() ? 1 : 0;
    }
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(texts[i], run(demo(), greedy("The old man " + std::to_string(i), 6)).text);
  }
}

TEST(Engine, CancellingIsTold) {
  const auto told = std::make_shared<std::promise<void>>();
  Request request = greedy("The old man", 400);
  request.sampling.min_tokens = 400;
  request.on_ready = [told, first = true]() mutable {
    if (std::exchange(first, false)) told->set_value();
  };
  auto stream = demo().submit(request);
  ASSERT_TRUE(stream.ok());
  stream->cancel();
  told->get_future().wait();
  Result<std::optional<Delta>> delta = stream->poll();
  while (delta.ok() && (*delta || !stream->finished())) delta = stream->poll();
  EXPECT_EQ(delta.status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(stream->finished());
}

TEST(Engine, NothingStopsBeforeMinTokens) {
  const Output whole = run(demo(), greedy("The old man", 8));
  Request request = greedy("The old man", 8);
  request.sampling.stop = {whole.text.substr(0, 1)};
  request.sampling.min_tokens = 8;
  EXPECT_EQ(run(demo(), request).text, whole.text);
  request = greedy("The old man", 8);
  request.sampling.stop_token_ids = {whole.ids[1]};
  request.sampling.min_tokens = 3;
  const Output longer = run(demo(), request);
  EXPECT_GE(longer.ids.size(), 4U);
  EXPECT_NE(longer.ids[1], whole.ids[1]);
}

TEST(Engine, WithoutDetokenizingThereIsNoText) {
  Request request = greedy("The old man", 6);
  const Output whole = run(demo(), request);
  request.sampling.detokenize = false;
  const Output bare = run(demo(), request);
  EXPECT_EQ(bare.ids, whole.ids);
  EXPECT_EQ(bare.text, "");
}

TEST(Engine, LogprobsAreThoseOfScore) {
  Request request = greedy("The old man", 5);
  request.sampling.logprobs = 3;
  request.sampling.temperature = 1.5F;
  request.sampling.repetition_penalty = 1.2F;  // neither moves what is reported
  request.sampling.seed = 4;
  const Output output = run(demo(), request);
  ASSERT_EQ(output.logprobs.size(), output.ids.size());
  auto ids = *demo().tokenize("The old man", true);
  const size_t n_prompt = ids.size();
  ids.insert(ids.end(), output.ids.begin(), output.ids.end());
  const auto scored = demo().score(ids, 3);
  ASSERT_TRUE(scored.ok());
  for (size_t i = 0; i < output.ids.size(); ++i) {
    const TokenScore& score = output.logprobs[i];
    EXPECT_EQ(score.token.id, output.ids[i]);
    EXPECT_EQ(score.token.logprob, (*scored)[n_prompt + i].token->logprob);
    EXPECT_EQ(score.token.rank, (*scored)[n_prompt + i].token->rank);
    ASSERT_EQ(score.top.size(), 3U);
    for (size_t j = 0; j < 3; ++j) EXPECT_EQ(score.top[j].id, (*scored)[n_prompt + i - 1].top[j].id);
    if (score.token.rank > 3) continue;
    EXPECT_EQ(score.top[static_cast<size_t>(score.token.rank) - 1].id, score.token.id);
  }
}

TEST(Engine, BadWordsBiasAndAllowedTokensAreObeyed) {
  const Output whole = run(demo(), greedy("The old man", 8));
  Request request = greedy("The old man", 8);
  request.sampling.logit_bias = {{whole.ids[0], -100.0F}};
  EXPECT_NE(run(demo(), request).ids[0], whole.ids[0]);
  request = greedy("The old man", 8);
  request.sampling.allowed_token_ids = {300, 400};
  for (const int32_t id : run(demo(), request).ids) EXPECT_TRUE(id == 300 || id == 400);
  request = greedy("The old man", 16);
  const std::string text = run(demo(), request).text;
  const size_t begin = text.find(' ') + 1;
  const std::string word = text.substr(begin, text.find(' ', begin) - begin);
  request.sampling.bad_words = {word};
  EXPECT_EQ(run(demo(), request).text.find(" " + word + " "), std::string::npos) << word;
}

TEST(Engine, LogitsAreThoseOfScore) {
  const std::vector<int32_t> ids = {5, 600, 7};
  const auto logits = demo().logits(ids);
  ASSERT_TRUE(logits.ok());
  const auto n_vocab = static_cast<size_t>(demo().model().n_vocab);
  ASSERT_EQ(logits->size(), ids.size() * n_vocab);
  const auto scored = demo().score(ids, 1);
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto row = logits->begin() + static_cast<std::ptrdiff_t>(i * n_vocab);
    const auto best = std::max_element(row, row + static_cast<std::ptrdiff_t>(n_vocab)) - row;
    EXPECT_EQ(best, (*scored)[i].top[0].id);
  }
  EXPECT_FALSE(demo().logits({}).ok());
  EXPECT_FALSE(demo().logits({12288}).ok());
}

class Impatient : public Progress {
 public:
  void update(std::string_view, int64_t, int64_t) override {}
  bool cancelled() const override { return true; }
};

TEST(Engine, WorkCanBeCancelledBetweenLayers) {
  Impatient impatient;
  EXPECT_EQ(Engine::open(kDemo, {}, &impatient).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(demo().score({1, 2, 3}, 0, &impatient).status().code(), StatusCode::kCancelled);
  auto stream = demo().submit(greedy("The old man", 4));
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(stream->next(&impatient).status().code(), StatusCode::kCancelled);
  EXPECT_FALSE(stream->next()->has_value());
}

TEST(Engine, GenerationConfigGivesTheDefaults) {
  Request request;
  request.prompt = "The old man";
  request.sampling.max_tokens = 12;
  request.sampling.seed = 3;
  const Output by_default = run(demo(), request);
  request.sampling.temperature = 0.8F;  // what the demo's generation_config.json says
  request.sampling.top_p = 0.95F;
  request.sampling.top_k = 50;
  EXPECT_EQ(run(demo(), request).ids, by_default.ids);
}

TEST(Engine, StreamsTakeTurnsAndOutliveTheEngine) {
  const Output alone = run(demo(), greedy("The old man", 6));
  std::optional<Stream> first, second;
  {
    auto engine = Engine::open(kDemo);
    ASSERT_TRUE(engine.ok());
    first = std::move(*engine->submit(greedy("The old man", 6)));
    second = std::move(*engine->submit(greedy("In those days", 6)));
  }
  std::string text;
  for (int i = 0; i < 6; ++i) {
    text += (*first->next())->text;
    EXPECT_TRUE(second->next().ok());
  }
  EXPECT_EQ(text, alone.text);
  EXPECT_FALSE(first->next()->has_value());
}

TEST(Engine, RefusesBadRequestsByName) {
  const auto refused = [](const Request& request, const std::string& expected) {
    const auto stream = demo().submit(request);
    ASSERT_FALSE(stream.ok());
    EXPECT_EQ(stream.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(stream.status().message().find(expected), std::string::npos) << stream.status().message();
  };
  refused(greedy("caf\xe9", 1), "prompt");
  refused(greedy("", 1), "prompt");
  refused(greedy("a", -1), "max_tokens");
  Request request = greedy("a", 1);
  request.sampling.stop = {""};
  refused(request, "stop");
  request = greedy("a", 1);
  request.sampling.min_p = 1.5F;
  refused(request, "min_p");
  request = greedy("a", 1);
  request.sampling.presence_penalty = 2.5F;
  refused(request, "presence_penalty");
  request = greedy("a", 1);
  request.sampling.min_tokens = 2;
  refused(request, "min_tokens");
  request = greedy("a", 1);
  request.sampling.logprobs = -2;
  refused(request, "logprobs");
  request = greedy("a", 1);
  request.sampling.bad_words = {" "};
  refused(request, "bad_words");
  request = greedy("a", 1);
  request.sampling.detokenize = false;
  request.sampling.stop = {"b"};
  refused(request, "detokenize");
  request = greedy("", 1);
  request.token_ids = {-7};
  refused(request, "prompt[0]");
}

TEST(Engine, ScoreRefusesWhatItCannotScore) {
  EXPECT_EQ(demo().score({}, 1).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(demo().score({1}, -1).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(demo().score({1}, 12289).status().code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(demo().score({12288}, 1).ok());
  EXPECT_FALSE(demo().score(std::vector<int32_t>(513, 1), 1).ok());
}

TEST(Engine, AChatBecomesTheTemplatesText) {
  const auto request = demo().chat_request(
      R"({"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true})");
  ASSERT_TRUE(request.ok()) << request.status().message();
  EXPECT_EQ(request->prompt, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_FALSE(demo().chat_request("{").ok());
  EXPECT_FALSE(demo().chat_request("[]").ok());
}

TEST(Engine, AChatTemplateMayBeBrought) {
  const std::string messages = R"({"messages": [{"role": "user", "content": "Hi"}]})";
  const auto request = demo().chat_request(messages, "{{ messages[0].content }}!{{ eos_token }}");
  ASSERT_TRUE(request.ok()) << request.status().message();
  EXPECT_EQ(request->prompt, "Hi!" + std::string("<|endoftext|>"));
  EXPECT_FALSE(demo().chat_request(messages, "{% if %}").ok());
}

// A tokenizer that adds a BOS and a template that writes one make one, not two.
TEST(Engine, ARenderedChatCarriesExactlyOneBos) {
  const std::string model = data_model("stories260k");
  if (!std::filesystem::exists(model)) GTEST_SKIP() << model << " is not here; set OCTAVO_DATA";
  const auto folder = std::filesystem::temp_directory_path() / ("octavo-bos-" + std::to_string(::getpid()));
  std::filesystem::copy(model, folder);
  for (const char* source : {"{{ bos_token }}{{ messages[0].content }}", "{{ messages[0].content }}"}) {
    const auto path = folder / "chat_template.jinja";
    std::filesystem::remove(path);
    FILE* file = std::fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fputs(source, file);
    std::fclose(file);
    auto engine = Engine::open(folder.string());
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    const auto request = engine->chat_request(R"({"messages": [{"role": "user", "content": "Once upon"}]})");
    ASSERT_TRUE(request.ok()) << request.status().message();
    const auto ids = *engine->tokenize(request->prompt, request->add_special_tokens);
    EXPECT_EQ(ids.front(), 1) << source;
    EXPECT_EQ(std::count(ids.begin(), ids.end(), 1), 1) << source;
  }
  std::filesystem::remove_all(folder);
}

// The space before a word is part of the word's token; only at a text's beginning is it dropped.
TEST(Engine, OutputContinuesThePromptsText) {
  const std::string model = data_model("stories260k");
  if (!std::filesystem::exists(model)) GTEST_SKIP() << model << " is not here; set OCTAVO_DATA";
  auto engine = Engine::open(model);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  EXPECT_EQ(run(*engine, greedy("", 4)).text.rfind("Once", 0), 0U);
  EXPECT_EQ(run(*engine, greedy("Once upon a time", 3)).text.rfind(",", 0), 0U);
  EXPECT_EQ(run(*engine, greedy("Once upon a time, there was", 3)).text.rfind(" a ", 0), 0U);
}

TEST(Engine, GeneratesBatchesOfAnyNumberInOrder) {
  EngineOptions options;
  options.echo = true;
  options.max_num_seqs = 4;
  options.max_waiting = 2;  // fewer than there are
  auto engine = Engine::open("", options);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  std::vector<Request> requests(50);
  for (size_t i = 0; i < requests.size(); ++i) requests[i].prompt = "request " + std::to_string(i);
  requests[7].sampling.n = 3;
  requests[9].sampling.logprobs = 1;
  requests[9].sampling.prompt_logprobs = 1;
  requests[11].sampling.stop = {"st 1"};
  const auto outputs = engine->generate(requests);
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  for (size_t i = 0; i < requests.size(); ++i) {
    const RequestOutput& output = (*outputs)[i];
    ASSERT_EQ(output.outputs.size(), i == 7 ? 3U : 1U);
    EXPECT_EQ(output.outputs.back().text, i == 11 ? "reque" : requests[i].prompt);
    EXPECT_EQ(output.outputs.back().finish, FinishReason::kStop);
  }
  EXPECT_EQ((*outputs)[9].prompt_logprobs.size(), 8U) << "nine bytes";
  EXPECT_EQ((*outputs)[9].outputs[0].logprobs.size(), 10U) << "and the end";
  EXPECT_EQ(*(*outputs)[11].outputs[0].stop_text, "st 1");

  requests[30].sampling.min_p = 2;
  const int64_t n_steps = engine->stats().n_steps;
  const auto refused = engine->generate(requests);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("request 30: min_p"), std::string::npos)
      << refused.status().message();
  EXPECT_EQ(engine->stats().n_steps, n_steps);
}

TEST(Engine, AnOutputThatMeetsAStopTextLeavesTheOthersAlone) {
  Request request;
  request.prompt = "It was a dark";
  request.sampling.temperature = 1.0F;
  request.sampling.max_tokens = 60;
  request.sampling.ignore_eos = true;
  request.sampling.stop = {"the"};
  std::vector<Request> alone;
  for (uint64_t seed = 5; seed < 11; ++seed) {
    alone.push_back(request);
    alone.back().sampling.seed = seed;
  }
  request.sampling.seed = 5;
  request.sampling.n = 6;
  const auto together = demo().generate({request});
  const auto expected = demo().generate(alone);
  ASSERT_TRUE(together.ok()) << together.status().message();
  ASSERT_TRUE(expected.ok()) << expected.status().message();
  std::vector<size_t> lengths;
  for (size_t i = 0; i < 6; ++i) {
    const CompletionOutput& output = (*together)[0].outputs[i];
    EXPECT_EQ(output.text, (*expected)[i].outputs[0].text) << i;
    EXPECT_EQ(output.finish, (*expected)[i].outputs[0].finish) << i;
    lengths.push_back(output.token_ids.size());
  }
  EXPECT_NE(*std::min_element(lengths.begin(), lengths.end()),
            *std::max_element(lengths.begin(), lengths.end()))
      << "they end at different times";
}

TEST(Engine, AnEchoAnswersChatsWithTheLastMessage) {
  EngineOptions options;
  options.echo = true;
  auto engine = Engine::open("", options);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const auto request = engine->chat_request(R"({"messages": [{"role": "user", "content": "Grüße 🙂"}]})");
  ASSERT_TRUE(request.ok()) << request.status().message();
  EXPECT_EQ(run(*engine, *request).text, "Grüße 🙂");
  EXPECT_FALSE(engine->logits({1, 2}).ok());
}

TEST(Engine, SeveralOutputsNeedChance) {
  Request request = greedy("It was", 3);
  request.sampling.n = 2;
  EXPECT_NE(demo().check(request).message().find("n: expected 1 where sampling is greedy"),
            std::string::npos);
  request.sampling.temperature = 1;
  EXPECT_TRUE(demo().check(request).ok());
}

TEST(Engine, RefusesOptionsThatMeanNothing) {
  const auto refused = [](const EngineOptions& options, const std::string& expected) {
    const auto engine = Engine::open(kDemo, options);
    ASSERT_FALSE(engine.ok());
    EXPECT_NE(engine.status().message().find(expected), std::string::npos) << engine.status().message();
  };
  EngineOptions options;
  options.kv_cache_dtype = "fp8";
  refused(options, "kv_cache_dtype: expected \"auto\"");
  options = {};
  options.lm_head_dtype = "fp8";
  refused(options, "lm_head_dtype: expected \"auto\"");
  options.echo = true;
  refused(options, "lm_head_dtype: expected \"auto\"");
  options = {};
  options.speculation = "sometimes";
  refused(options, "speculation: expected \"auto\"");
  options = {};
  options.kv_cache_bytes = 1000;
  refused(options, "one sequence of 512 tokens needs");
  options = {};
  options.max_num_batched_tokens = 8;
  refused(options, "max_num_batched_tokens: expected at least max_num_seqs, 64, found 8");
}

}  // namespace
}  // namespace octavo
