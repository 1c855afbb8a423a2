#include "engine/generation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/logits_reader.h"

namespace octavo::engine {
namespace {

const std::string kDemo = OCTAVO_SOURCE_DIR "/models/demo";

LoadedModel& demo() {
  static std::unique_ptr<LoadedModel> loaded = [] {
    auto result = LoadedModel::load(kDemo, 2);
    EXPECT_TRUE(result.ok()) << result.status().message();
    return std::move(result).value();
  }();
  return *loaded;
}

// Any tokens will do: what is compared are runs of the same model.
std::vector<int32_t> tokens_of(size_t n) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>(300 + i * 37 % 5000));
  return tokens;
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
  Finish finish = Finish::kNone;
  int n_steps = 0;
};

Output run(Generation& generation) {
  Output output;
  while (output.finish == Finish::kNone) {
    const auto step = generation.step();
    EXPECT_TRUE(step.ok()) << step.status().message();
    if (!step.ok()) break;
    if (step->token) output.tokens.push_back(*step->token);
    output.finish = step->finish;
    ++output.n_steps;
  }
  return output;
}

Output run(GenerationRequest request) {
  auto generation = Generation::start(demo(), std::move(request));
  EXPECT_TRUE(generation.ok()) << generation.status().message();
  return generation.ok() ? run(**generation) : Output{};
}

TEST(Generation, ContinuesAsIfItsOwnOutputHadBeenThePrompt) {
  const auto prompt = tokens_of(10);
  const Output whole = run(greedy(prompt, 12));
  ASSERT_EQ(whole.tokens.size(), 12U);
  auto longer = prompt;
  longer.insert(longer.end(), whole.tokens.begin(), whole.tokens.begin() + 5);
  EXPECT_EQ(run(greedy(longer, 7)).tokens,
            std::vector<int32_t>(whole.tokens.begin() + 5, whole.tokens.end()));
}

TEST(Generation, ALongPromptIsRunInChunksAndGivesTheTokenThatTheWholeGives) {
  const auto prompt = tokens_of(400);
  const Output output = run(greedy(prompt, 1));
  EXPECT_EQ(output.n_steps, 2);
  const std::lock_guard lock(demo().mutex());
  LogitsReader reader(demo(), prompt);
  std::vector<float> last;
  for (auto rows = reader.next(); rows.ok() && rows->n_rows > 0; rows = reader.next()) {
    const auto row = rows->row(rows->n_rows - 1);
    last.assign(row.begin(), row.end());
  }
  EXPECT_EQ(output.tokens[0], std::max_element(last.begin(), last.end()) - last.begin());
}

TEST(Generation, TwoRequestsThatTakeTurnsDoNotDisturbEachOther) {
  const Output first_alone = run(greedy(tokens_of(9), 10)), second_alone = run(greedy(tokens_of(5), 10));
  auto first = Generation::start(demo(), greedy(tokens_of(9), 10));
  auto second = Generation::start(demo(), greedy(tokens_of(5), 10));
  ASSERT_TRUE(first.ok() && second.ok());
  std::vector<int32_t> first_tokens, second_tokens;
  for (int i = 0; i < 10; ++i) {
    first_tokens.push_back(*(*first)->step()->token);
    second_tokens.push_back(*(*second)->step()->token);
  }
  EXPECT_EQ(first_tokens, first_alone.tokens);
  EXPECT_EQ(second_tokens, second_alone.tokens);
}

TEST(Generation, AStopTokenIsTheLastToken) {
  auto request = greedy(tokens_of(10), 12);
  const auto tokens = run(request).tokens;
  request.rules.stop_ids = {tokens[4]};
  const Output stopped = run(request);
  EXPECT_EQ(stopped.finish, Finish::kStop);
  EXPECT_EQ(stopped.tokens.back(), tokens[4]);
  EXPECT_LE(stopped.tokens.size(), 5U);
}

TEST(Generation, EndsAtTheContextsEnd) {
  const Output output = run(greedy(tokens_of(500), 100));
  EXPECT_EQ(output.finish, Finish::kLength);
  EXPECT_EQ(output.tokens.size(), 12U);
}

TEST(Generation, RefusesWhatCannotBeGenerated) {
  const auto refused = [](GenerationRequest request, const std::string& expected) {
    const auto generation = Generation::start(demo(), std::move(request));
    ASSERT_FALSE(generation.ok());
    EXPECT_EQ(generation.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(generation.status().message().find(expected), std::string::npos)
        << generation.status().message();
  };
  refused(greedy({}, 5), "prompt");
  refused(greedy(tokens_of(512), 5), "512");
  refused(greedy({12288}, 5), "prompt[0]: token 12288");
  refused(greedy({5, -1}, 5), "prompt[1]: token -1");
  refused(greedy({5}, 0), "max_tokens");
  auto request = greedy({5}, 5);
  request.rules.stop_ids = {99999};
  refused(request, "stop_token_ids[0]");
  request = greedy({5}, 5);
  request.sampling.top_p = 2;
  refused(request, "top_p");
}

TEST(LoadedModel, RefusesContextsAndThreadsOutOfRange) {
  EXPECT_EQ(LoadedModel::load(kDemo, -1).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadedModel::load(kDemo, 1 << 20).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadedModel::load(kDemo, 1, 0).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadedModel::load(kDemo, 1, 513).status().code(), StatusCode::kInvalidArgument);
  const auto loaded = LoadedModel::load(kDemo, 1, 100);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ((*loaded)->max_context(), 100);
}

TEST(LogitsReader, RowsDoNotDependOnWhatFollows) {
  const auto tokens = tokens_of(300);
  const std::lock_guard lock(demo().mutex());
  const auto row_at = [&](std::span<const int32_t> part, int64_t position) {
    LogitsReader reader(demo(), part);
    for (auto rows = reader.next(); rows.ok() && rows->n_rows > 0; rows = reader.next()) {
      if (position < rows->begin + rows->n_rows) {
        const auto row = rows->row(position - rows->begin);
        return std::vector<float>(row.begin(), row.end());
      }
    }
    return std::vector<float>();
  };
  for (const int64_t position : {0, 31, 32, 255, 256}) {
    const auto row = row_at(tokens, position);
    ASSERT_EQ(row.size(), 12288U);
    EXPECT_EQ(row, row_at(std::span(tokens).first(static_cast<size_t>(position + 1)), position)) << position;
  }
}

TEST(LogitsReader, LogSumExp) {
  const std::vector<float> logits = {1000, 1000};
  EXPECT_DOUBLE_EQ(log_sum_exp(logits), 1000 + std::log(2));
  EXPECT_TRUE(std::isnan(log_sum_exp(std::vector<float>{1, NAN})));
  EXPECT_TRUE(std::isnan(log_sum_exp(std::vector<float>{NAN, 1})));
  EXPECT_TRUE(std::isnan(log_sum_exp(std::vector<float>{1, INFINITY})));
}

}  // namespace
}  // namespace octavo::engine
