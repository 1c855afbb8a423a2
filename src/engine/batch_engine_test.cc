#include "engine/batch_engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <random>

#include "base/test_environment.h"
#include "engine/decoder_step_model.h"
#include "engine/echo_model.h"
#include "engine/logits_reader.h"
#include "engine/test_model.h"

namespace octavo::engine {
namespace {

// An engine on the demo model, with pages of its own, or on another model.
struct Opened {
  std::unique_ptr<DecoderStepModel> steps;
  std::unique_ptr<BatchEngine> engine;

  BatchEngine& operator*() const { return *engine; }
  BatchEngine* operator->() const { return engine.get(); }
};
Opened open(const BatchOptions& options = {}, StepModel* model = nullptr) {
  Opened opened;
  if (model == nullptr) opened.steps = std::make_unique<DecoderStepModel>(demo());
  auto engine = BatchEngine::start(model == nullptr ? *opened.steps : *model, options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  opened.engine = std::move(engine).value();
  return opened;
}

GenerationRequest greedy(std::vector<int32_t> prompt, int64_t max_tokens) {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  return request;
}

struct Output {
  std::vector<int32_t> tokens;
  std::vector<uint32_t> logprob_bits;  // each sums up all of its row's logits
  Finish finish = Finish::kNone;
  bool operator==(const Output&) const = default;
};

std::vector<Output> read(Generation& generation, int32_t n_outputs) {
  std::vector<Output> outputs(static_cast<size_t>(n_outputs));
  for (int32_t n_finished = 0; n_finished < n_outputs;) {
    const auto step = generation.step();
    EXPECT_TRUE(step.ok()) << step.status().message();
    if (!step.ok()) break;
    Output& output = outputs[static_cast<size_t>(step->output)];
    EXPECT_EQ(output.finish, Finish::kNone);
    output.tokens.push_back(step->token);
    if (step->logprobs)
      output.logprob_bits.push_back(std::bit_cast<uint32_t>(step->logprobs->chosen.logprob));
    output.finish = step->finish;
    n_finished += step->finish == Finish::kNone ? 0 : 1;
  }
  return outputs;
}
Output read(Generation& generation) { return read(generation, 1)[0]; }

std::vector<Output> run_all(BatchEngine& engine, const GenerationRequest& request) {
  auto generation = engine.submit(request);
  EXPECT_TRUE(generation.ok()) << generation.status().message();
  return generation.ok() ? read(**generation, request.n_outputs) : std::vector<Output>(1);
}
Output run(BatchEngine& engine, const GenerationRequest& request) { return run_all(engine, request)[0]; }

TEST(BatchEngine, ContinuesAsIfItsOwnOutputHadBeenThePrompt) {
  const auto engine = open();
  const auto prompt = tokens_of(10);
  const Output whole = run(*engine, greedy(prompt, 12));
  ASSERT_EQ(whole.tokens.size(), 12U);
  auto longer = prompt;
  longer.insert(longer.end(), whole.tokens.begin(), whole.tokens.begin() + 5);
  EXPECT_EQ(run(*engine, greedy(longer, 7)).tokens,
            std::vector<int32_t>(whole.tokens.begin() + 5, whole.tokens.end()));
}

TEST(BatchEngine, APromptInChunksGivesTheTokenThatTheWholeGives) {
  const auto prompt = tokens_of(400);
  const auto engine = open({.max_sequences = 8, .max_step_tokens = 64});
  const Output output = run(*engine, greedy(prompt, 1));
  EXPECT_GE(engine->counters().n_chunked_steps, 6);
  const std::lock_guard lock(demo().mutex());
  LogitsReader reader(demo(), prompt);
  std::vector<float> last;
  for (auto rows = reader.next(); rows.ok() && rows->n_rows > 0; rows = reader.next()) {
    const auto row = rows->row(rows->n_rows - 1);
    last.assign(row.begin(), row.end());
  }
  EXPECT_EQ(output.tokens[0], std::max_element(last.begin(), last.end()) - last.begin());
}

TEST(BatchEngine, AStopTokenIsTheLastToken) {
  const auto engine = open();
  auto request = greedy(tokens_of(10), 12);
  const auto tokens = run(*engine, request).tokens;
  request.rules.stop_ids = {tokens[4]};
  const Output stopped = run(*engine, request);
  EXPECT_EQ(stopped.finish, Finish::kStop);
  EXPECT_EQ(stopped.tokens.back(), tokens[4]);
  EXPECT_LE(stopped.tokens.size(), 5U);
}

TEST(BatchEngine, EndsAtTheContextsEnd) {
  const Output output = run(*open(), greedy(tokens_of(500), 100));
  EXPECT_EQ(output.finish, Finish::kLength);
  EXPECT_EQ(output.tokens.size(), 12U);
}

TEST(BatchEngine, ASharedBeginningIsRunOnce) {
  const auto engine = open();
  const auto prompt = tokens_of(200);
  const Output first = run(*engine, greedy(prompt, 4));
  const auto again = engine->submit(greedy(prompt, 4));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(read(**again), first);
  EXPECT_EQ((*again)->n_cached_tokens(), 192);
  EXPECT_EQ(engine->counters().n_cached_tokens, 192);
}

TEST(BatchEngine, RequestsThatComeTogetherShareTheirBeginningToo) {
  const auto engine = open();
  std::vector<GenerationRequest> requests;
  std::vector<std::shared_ptr<Generation>> generations;
  for (int32_t i = 0; i < 32; ++i) {
    requests.push_back(greedy(tokens_of(400), 3));
    requests.back().prompt.push_back(i);
  }
  for (const GenerationRequest& request : requests) generations.push_back(*engine->submit(request));
  std::vector<Output> outputs;
  for (const auto& generation : generations) outputs.push_back(read(*generation));
  // The second begins in the first's step; the others find six whole pages.
  EXPECT_EQ(generations[0]->n_cached_tokens(), 0);
  EXPECT_GE(generations[1]->n_cached_tokens(), 384 - 112);
  for (size_t i = 2; i < 32; ++i) EXPECT_EQ(generations[i]->n_cached_tokens(), 384) << i;
  const auto alone = open({.max_sequences = 1, .prefix_cache = false});
  for (size_t i = 0; i < 32; i += 7) EXPECT_EQ(run(*alone, requests[i]), outputs[i]) << i;
}

TEST(BatchEngine, ACancelledRequestGivesItsPagesBack) {
  const auto engine = open();
  const auto generation = engine->submit(greedy(tokens_of(100), 400));
  ASSERT_TRUE(generation.ok());
  ASSERT_TRUE((*generation)->step().ok());
  (*generation)->cancel();
  run(*engine, greedy(tokens_of(5), 3));
  engine->wait_until_idle();
  EXPECT_TRUE(engine->books_balance());
  EXPECT_EQ(engine->counters().n_cancelled, 1);
}

TEST(BatchEngine, AProgressThatSaysSoEndsTheWaiting) {
  struct Stop : Progress {
    void update(std::string_view, int64_t, int64_t) override {}
    bool cancelled() const override { return true; }
  };
  const auto engine = open({.max_sequences = 1});
  const auto first = engine->submit(greedy(tokens_of(100), 400)),
             second = engine->submit(greedy(tokens_of(9), 9));
  ASSERT_TRUE(first.ok() && second.ok());
  const auto step = (*second)->step(std::make_unique<Stop>().get());
  EXPECT_TRUE(step.ok() || step.status().code() == StatusCode::kCancelled);
}

TEST(BatchEngine, ClosingEndsWhatIsUnderWay) {
  auto engine = open();
  const auto generation = engine->submit(greedy(tokens_of(100), 400));
  ASSERT_TRUE(generation.ok());
  engine.engine.reset();
  Result<GenerationStep> step = (*generation)->step();
  while (step.ok() && step->finish == Finish::kNone) step = (*generation)->step();
  EXPECT_TRUE(step.ok() || step.status().code() == StatusCode::kCancelled);
}

TEST(BatchEngine, RefusesWhatCannotBeGenerated) {
  const auto engine = open({.max_sequences = 1, .max_waiting = 1});
  const auto refused = [&](GenerationRequest request, const std::string& expected) {
    const auto generation = engine->submit(std::move(request));
    ASSERT_FALSE(generation.ok());
    EXPECT_NE(generation.status().message().find(expected), std::string::npos)
        << generation.status().message();
  };
  refused(greedy({}, 1), "expected at least one token");
  refused(greedy(tokens_of(512), 1), "leave no room for output in a context of 512");
  refused(greedy({1, 99'999'999}, 1), "prompt[1]: token 99999999 is not in the model's vocabulary");
  refused(greedy({-1}, 1), "prompt[0]: token -1");
  refused(greedy({1}, 0), "max_tokens: expected at least 1, found 0");
  auto request = greedy({1}, 1);
  request.sampling.top_p = 0;
  refused(request, "top_p");
  std::vector<std::shared_ptr<Generation>> accepted;
  for (int i = 0; i < 2; ++i) accepted.push_back(*engine->submit(greedy(tokens_of(50), 300)));
  refused(greedy({1}, 1), "2 outputs running and waiting");
}

TEST(BatchEngine, RefusesOptionsThatCannotWork) {
  DecoderStepModel steps(demo());
  const auto refused = [&](const BatchOptions& options, const std::string& expected) {
    const auto engine = BatchEngine::start(steps, options);
    ASSERT_FALSE(engine.ok());
    EXPECT_NE(engine.status().message().find(expected), std::string::npos) << engine.status().message();
  };
  refused({.max_sequences = 0}, "max_num_seqs: expected at least 1, found 0");
  refused({.max_sequences = 65, .max_step_tokens = 64},
          "max_num_batched_tokens: expected at least max_num_seqs, 65");
  refused({.max_waiting = 0}, "max_waiting");
  refused({.kv_bytes = 1000}, "one sequence of 512 tokens needs");
}

TEST(BatchEngine, SeveralOutputsShareTheirPromptsPages) {
  const auto engine = open();
  auto request = greedy(tokens_of(100), 9);
  request.sampling.temperature = 1.2F;
  request.sampling.seed = 40;
  request.n_logprobs = 0;
  std::vector<Output> alone;
  for (; request.sampling.seed < 44; ++request.sampling.seed) alone.push_back(run(*engine, request));
  EXPECT_NE(alone[0].tokens, alone[1].tokens);
  request.sampling.seed = 40;
  request.n_outputs = 4;
  const BatchCounters before = engine->counters();
  EXPECT_EQ(run_all(*engine, request), alone);
  EXPECT_EQ(engine->counters().n_copied_pages - before.n_copied_pages, 3)
      << "the last of four writes in place";
  EXPECT_EQ(engine->counters().n_rows - before.n_rows, 100 - 64 + 4 * 8);
  engine->wait_until_idle();
  EXPECT_TRUE(engine->books_balance());
}

TEST(BatchEngine, GuessesBehindAPromptDoNotEndInSharedPages) {
  GenerationRequest request = greedy({}, 20);
  for (int32_t i = 0; i < 64; ++i) request.prompt.push_back(300 + i % 3);  // a page, and easy to guess
  request.sampling.temperature = 1;
  request.sampling.seed = 90;
  request.n_logprobs = 0;
  std::vector<Output> alone;
  const auto one_by_one = open({.prefix_cache = false, .speculation = Speculation::kOff});
  for (; request.sampling.seed < 93; ++request.sampling.seed) alone.push_back(run(*one_by_one, request));
  request.sampling.seed = 90;
  request.n_outputs = 3;
  // The prompt's last token runs alone, in a second step.
  const auto engine = open({.max_sequences = 8, .max_step_tokens = 63, .speculation = Speculation::kAlways});
  EXPECT_EQ(run_all(*engine, request), alone);
}

TEST(BatchEngine, MoreOutputsThanRunAtOnceWaitTheirTurn) {
  auto request = greedy(tokens_of(70), 5);
  request.sampling.temperature = 1;
  request.n_outputs = 7;
  const std::vector<Output> together = run_all(*open(), request);
  const auto engine = open({.max_sequences = 2, .prefix_cache = false});
  EXPECT_EQ(run_all(*engine, request), together);
}

TEST(BatchEngine, ThePromptsLogprobsAreThoseOfTheModel) {
  const auto prompt = tokens_of(150);
  auto request = greedy(prompt, 2);
  request.n_prompt_logprobs = 2;
  const auto engine = open({.max_sequences = 8, .max_step_tokens = 64});
  run(*engine, greedy(prompt, 1));  // its pages are cached, and must not be used
  const auto generation = engine->submit(request);
  ASSERT_TRUE(generation.ok());
  read(**generation);
  const auto found = (*generation)->take_prompt_logprobs();
  ASSERT_EQ(found.size(), 149U);
  const std::lock_guard lock(demo().mutex());
  LogitsReader reader(demo(), prompt);
  for (auto rows = reader.next(); rows.ok() && rows->n_rows > 0; rows = reader.next()) {
    for (int64_t i = 0; i < rows->n_rows; ++i) {
      const auto position = static_cast<size_t>(rows->begin + i);
      if (position == 149) break;
      const auto row = LogprobRow::read(rows->row(i));
      ASSERT_TRUE(row.ok());
      EXPECT_EQ(found[position].chosen.logprob, row->of(prompt[position + 1]).logprob) << position;
      EXPECT_EQ(found[position].top.size(), 2U);
    }
  }
}

TEST(BatchEngine, AMaskDecidesWhatMayCome) {
  struct OnlyMultiples : LogitsMask {  // of 7 and the output's length so far
    void apply(std::span<const int32_t> output, std::span<float> logits) override {
      for (size_t i = 0; i < logits.size(); ++i) {
        if (i % (7 + output.size()) != 0) logits[i] = -std::numeric_limits<float>::infinity();
      }
    }
    std::unique_ptr<LogitsMask> clone() const override { return std::make_unique<OnlyMultiples>(*this); }
  };
  auto request = greedy(tokens_of(10), 6);
  request.mask = std::make_shared<OnlyMultiples>();
  const Output output = run(*open(), request);
  ASSERT_EQ(output.tokens.size(), 6U);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(output.tokens[i] % static_cast<int32_t>(7 + i), 0);
}

TEST(BatchEngine, GuessesChangeNothingButTheNumberOfSteps) {
  auto request = greedy(tokens_of(40), 60);  // greedy text of a small model repeats itself
  request.n_logprobs = 0;
  const auto plain = open({.speculation = Speculation::kOff});
  const Output expected = run(*plain, request);
  const int64_t n_plain_steps = plain->counters().n_steps;
  const auto guessing = open({.speculation = Speculation::kAlways});
  EXPECT_EQ(run(*guessing, request), expected);
  const BatchCounters counters = guessing->counters();
  EXPECT_GT(counters.n_accepted, 0);
  EXPECT_LT(counters.n_steps, n_plain_steps);
  request.sampling.temperature = 0.7F;
  EXPECT_EQ(run(*guessing, request), run(*plain, request));
}

TEST(BatchEngine, TheEchoAnswersWithThePrompt) {
  EchoModel echo({.n_vocab = 1000, .max_context = 4096, .end_token = 7});
  const auto engine = open({.max_sequences = 16, .max_step_tokens = 64}, &echo);
  auto request = greedy(tokens_of(100), 500);
  for (int32_t& token : request.prompt) token %= 1000;
  request.rules.stop_ids = {7};
  std::vector<int32_t> expected = request.prompt;
  expected.push_back(7);
  request.sampling.temperature = 1;
  const Output output = run(*engine, request);
  EXPECT_EQ(output.tokens, expected);
  EXPECT_EQ(output.finish, Finish::kStop);
}

}  // namespace
}  // namespace octavo::engine
