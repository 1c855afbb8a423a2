#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/logits_reader.h"

namespace octavo::eval {
namespace {

engine::LoadedModel& demo() {
  static std::unique_ptr<engine::LoadedModel> loaded = [] {
    auto result = engine::LoadedModel::load(OCTAVO_SOURCE_DIR "/models/demo", {.n_threads = 2});
    EXPECT_TRUE(result.ok()) << result.status().message();
    return std::move(result).value();
  }();
  return *loaded;
}

std::vector<int32_t> tokens_of(size_t n) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>(256 + i * 31 % 700));
  return tokens;
}

TEST(Perplexity, WindowsDoNotOverlapAndAShortLastOneIsDropped) {
  const auto tokens = tokens_of(10);
  const auto windows = cut_windows(tokens, 4, std::nullopt, std::nullopt);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[0], std::vector<int32_t>(tokens.begin(), tokens.begin() + 4));
  EXPECT_EQ(windows[1], std::vector<int32_t>(tokens.begin() + 4, tokens.begin() + 8));
  EXPECT_EQ(cut_windows(tokens, 4, 1, std::nullopt).size(), 1U);
  EXPECT_EQ(cut_windows(tokens, 100, std::nullopt, std::nullopt), std::vector<std::vector<int32_t>>{tokens});
}

TEST(Perplexity, ABosTakesThePlaceOfAWindowsFirstToken) {
  const auto tokens = tokens_of(8);
  for (const auto& window : cut_windows(tokens, 4, std::nullopt, 7)) {
    EXPECT_EQ(window.size(), 4U);
    EXPECT_EQ(window[0], 7);
    EXPECT_NE(window[1], 7);
  }
  EXPECT_EQ(cut_windows(tokens, 4, std::nullopt, 7)[1][1], tokens[5]);
}

// The definition, written down once more: log softmax of the whole window's logits.
TEST(Perplexity, IsTheMeanOfMinusLogProbabilities) {
  const auto tokens = tokens_of(80);
  PerplexityOptions options;
  options.window_tokens = 40;
  const auto result = measure_perplexity(demo(), nullptr, tokens, options, nullptr);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->n_windows, 2);
  EXPECT_EQ(result->n_predicted, 78);
  double nll = 0;
  for (size_t begin : {0U, 40U}) {
    const std::span window = std::span(tokens).subspan(begin, 40);
    const std::lock_guard lock(demo().mutex());
    engine::LogitsReader reader(demo(), window);
    for (auto rows = reader.next(); rows.ok() && rows->n_rows > 0; rows = reader.next()) {
      for (int64_t i = 0; i < rows->n_rows && rows->begin + i + 1 < 40; ++i) {
        long double sum = 0;
        for (const float logit : rows->row(i)) sum += std::exp(static_cast<long double>(logit));
        const auto target = static_cast<size_t>(window[static_cast<size_t>(rows->begin + i + 1)]);
        nll += static_cast<double>(std::log(sum)) - static_cast<double>(rows->row(i)[target]);
      }
    }
  }
  EXPECT_NEAR(result->nll.mean, nll / 78, 1e-9);
}

TEST(Perplexity, AgainstItselfNothingDiffers) {
  auto base = engine::LoadedModel::load(OCTAVO_SOURCE_DIR "/models/demo", {.n_threads = 1});
  ASSERT_TRUE(base.ok());
  PerplexityOptions options;
  options.window_tokens = 16;
  const auto result = measure_perplexity(demo(), base->get(), tokens_of(64), options, nullptr);
  ASSERT_TRUE(result.ok()) << result.status().message();
  ASSERT_TRUE(result->against);
  EXPECT_EQ(result->against->nll_difference.mean, 0);
  EXPECT_EQ(result->against->nll_difference.half_width, 0);
  EXPECT_EQ(result->against->max_kl, 0);
  EXPECT_EQ(result->against->top1_agreement, 1);
  EXPECT_EQ(result->against->base_nll, result->nll.mean);
}

TEST(Perplexity, RefusesWhatHasNoPerplexity) {
  PerplexityOptions options;
  EXPECT_EQ(measure_perplexity(demo(), nullptr, tokens_of(1), options, nullptr).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(measure_perplexity(demo(), nullptr, {}, options, nullptr).status().code(),
            StatusCode::kInvalidArgument);
  options.max_windows = 0;
  EXPECT_EQ(measure_perplexity(demo(), nullptr, tokens_of(9), options, nullptr).status().code(),
            StatusCode::kInvalidArgument);
  options.max_windows.reset();
  options.window_tokens = 1;
  EXPECT_EQ(measure_perplexity(demo(), nullptr, tokens_of(9), options, nullptr).status().code(),
            StatusCode::kInvalidArgument);
}

class CancelAfterOne : public Progress {
 public:
  void update(std::string_view, int64_t, int64_t) override { ++n_updates; }
  bool cancelled() const override { return n_updates > 1; }
  int n_updates = 0;
};

TEST(Perplexity, CanBeCancelled) {
  PerplexityOptions options;
  options.window_tokens = 16;
  CancelAfterOne progress;
  EXPECT_EQ(measure_perplexity(demo(), nullptr, tokens_of(64), options, &progress).status().code(),
            StatusCode::kCancelled);
  EXPECT_EQ(progress.n_updates, 2);
}

}  // namespace
}  // namespace octavo::eval
