// Requests of any length arrive in any order, share beginnings, run out of pages, are preempted and
// cancelled, guess and branch: each gets the tokens and the bits of the log-probabilities that it gets alone.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <random>
#include <thread>

#include "octavo/engine.h"
#include "octavo/quantize.h"

#include "base/test_environment.h"

namespace octavo {
namespace {

const std::string kDemo = OCTAVO_SOURCE_DIR "/models/demo";
constexpr int64_t kDemoPageBytes =
    64 * 2 * 2 * 5;  // tokens, keys and values, bf16, layers; times the KV width

class Dice {
 public:
  explicit Dice(uint32_t seed) : random_(seed) {}
  int roll(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool one_in(int n) { return roll(1, n) == 1; }

 private:
  std::mt19937 random_;
};

std::vector<Request> make_requests(int n, int32_t n_vocab, Dice& dice) {
  std::vector<Request> requests;
  for (int i = 0; i < n; ++i) {
    Request request;
    const int n_shared = dice.roll(0, 2) * 70;  // one of three beginnings
    for (int k = 0; k < n_shared; ++k) request.token_ids.push_back((300 + k * 37) % n_vocab);
    const int n_own = dice.one_in(5) ? dice.roll(100, 200) : dice.roll(1, 30);
    for (int k = 0; k < n_own; ++k) request.token_ids.push_back(dice.roll(0, n_vocab - 1));
    SamplingParams& sampling = request.sampling;
    sampling.max_tokens = dice.roll(1, 90);
    sampling.seed = static_cast<uint64_t>(i);
    sampling.temperature = dice.one_in(2) ? 0.0F : 0.9F;
    if (*sampling.temperature > 0 && dice.one_in(6)) sampling.n = dice.roll(2, 4);
    if (dice.one_in(2)) sampling.top_p = 0.8F;
    if (dice.one_in(4)) sampling.frequency_penalty = 0.5F;
    if (dice.one_in(20)) sampling.prompt_logprobs = 0;
    if (dice.one_in(4)) sampling.stop = {"e", " the"};
    sampling.logprobs = 0;
    sampling.ignore_eos = dice.one_in(2);
    request.priority = dice.roll(0, 2);
    requests.push_back(std::move(request));
  }
  return requests;
}

struct Answer {
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::vector<uint32_t>> bits;  // of log-probabilities, each of which sums up its row's logits
  std::vector<std::string> texts;
  bool operator==(const Answer&) const = default;
};

Answer read(Stream& stream, int32_t n) {
  Answer answer{.ids = std::vector<std::vector<int32_t>>(static_cast<size_t>(n)),
                .bits = std::vector<std::vector<uint32_t>>(static_cast<size_t>(n) + 1),
                .texts = std::vector<std::string>(static_cast<size_t>(n))};
  for (;;) {
    const auto delta = stream.next();
    EXPECT_TRUE(delta.ok()) << delta.status().message();
    if (!delta.ok() || !delta->has_value()) return answer;
    const auto i = static_cast<size_t>((*delta)->index);
    answer.ids[i].insert(answer.ids[i].end(), (*delta)->token_ids.begin(), (*delta)->token_ids.end());
    answer.texts[i] += (*delta)->text;
    for (const TokenScore& score : (*delta)->logprobs) {
      answer.bits[i].push_back(std::bit_cast<uint32_t>(score.token.logprob));
    }
    for (const TokenScore& score : (*delta)->prompt_logprobs) {
      answer.bits.back().push_back(std::bit_cast<uint32_t>(score.token.logprob));
    }
  }
}

Engine open(const std::string& model, EngineOptions options) {
  options.echo = model.empty();
  options.max_context = 512;
  auto engine = Engine::open(model, options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return std::move(engine).value();
}

// Submits all, cancels some, reads some at once and the others at the end.
void check_together(Engine& engine, const std::vector<Request>& requests, const std::vector<Answer>& alone,
                    Dice& dice) {
  std::vector<std::optional<Stream>> under_way;
  const auto check = [&](size_t i) {
    EXPECT_TRUE(read(*under_way[i], requests[i].sampling.n) == alone[i]) << "request " << i;
    under_way[i].reset();
  };
  for (size_t i = 0; i < requests.size(); ++i) {
    auto stream = engine.submit(requests[i]);
    ASSERT_TRUE(stream.ok()) << stream.status().message();
    under_way.emplace_back(std::move(*stream));
    if (!dice.one_in(8)) continue;
    under_way[static_cast<size_t>(dice.roll(0, static_cast<int>(i)))].reset();  // cancels, if it is there
    const auto awaited = static_cast<size_t>(dice.roll(0, static_cast<int>(i)));
    if (under_way[awaited] && dice.one_in(2)) check(awaited);
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    if (under_way[i]) check(i);
  }
}

void show_and_check(const std::string& what, const EngineStats& stats, int64_t n_at_least) {
  std::printf(
      "%s: %lld steps of %.1f rows, %lld mixed, %lld chunked; %lld prefix hits, %lld pages copied, %lld "
      "outputs preempted, %lld cancelled; %lld of %lld guesses right\n",
      what.c_str(), static_cast<long long>(stats.n_steps),
      static_cast<double>(stats.n_rows) / static_cast<double>(stats.n_steps),
      static_cast<long long>(stats.n_mixed_steps), static_cast<long long>(stats.n_chunked_steps),
      static_cast<long long>(stats.n_prefix_hits), static_cast<long long>(stats.n_copied_pages),
      static_cast<long long>(stats.n_preempted), static_cast<long long>(stats.n_cancelled),
      static_cast<long long>(stats.n_accepted_tokens), static_cast<long long>(stats.n_drafted_tokens));
  EXPECT_GE(stats.n_rows, 8 * stats.n_steps);
  EXPECT_GE(stats.n_mixed_steps, n_at_least);
  EXPECT_GE(stats.n_chunked_steps, n_at_least);
  EXPECT_GE(stats.n_prefix_hits, n_at_least);
  EXPECT_GE(stats.n_preempted, n_at_least);
  EXPECT_GE(stats.n_accepted_tokens, n_at_least);
}

void compare(const std::string& what, const std::string& model, int n_requests, uint64_t kv_cache_bytes,
             int n_threads, int64_t n_at_least, const std::string& kv_cache_dtype = "auto") {
  Dice dice(7);
  std::vector<Request> requests;
  std::vector<Answer> alone;
  {
    Engine engine = open(model, {.n_threads = 2,
                                 .max_num_seqs = 1,
                                 .max_num_batched_tokens = 512,
                                 .kv_cache_dtype = kv_cache_dtype,
                                 .enable_prefix_caching = false,
                                 .speculation = "off"});
    requests = make_requests(n_requests, static_cast<int32_t>(engine.model().n_vocab), dice);
    for (Request& request : requests) {
      auto stream = engine.submit(request);
      ASSERT_TRUE(stream.ok()) << stream.status().message();
      alone.push_back(read(*stream, request.sampling.n));
    }
  }
  Engine engine = open(model, {.n_threads = n_threads,
                               .max_num_seqs = 24,
                               .max_num_batched_tokens = 96,
                               .kv_cache_bytes = kv_cache_bytes,
                               .kv_cache_dtype = kv_cache_dtype,
                               .speculation = "always"});
  check_together(engine, requests, alone, dice);
  show_and_check(what, engine.stats(), n_at_least);
  // What met a stop text, or was cancelled, is dropped before the engine's next step.
  const auto n_left = [&] { return engine.stats().n_running + engine.stats().n_waiting; };
  for (int i = 0; i < 3000 && n_left() > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(n_left(), 0);
}

uint64_t bytes_of_demo_pages(int64_t n) {
  constexpr int64_t kKvWidth = 2 * 64;  // models/demo/config.json: num_key_value_heads * head_dim
  return static_cast<uint64_t>(n * kDemoPageBytes * kKvWidth);
}

constexpr int kFewRequests = 30;

TEST(EngineUnderLoad, FloatModel) {
  const int n = base::kSanitized ? kFewRequests : 280;
  compare("float", kDemo, n, bytes_of_demo_pages(13), 2, base::kSanitized ? 1 : 100);
}

TEST(EngineUnderLoad, Int8ModelOnAnotherNumberOfThreads) {
  const std::string folder = ::testing::TempDir() + "octavo_under_load_" + std::to_string(getpid());
  QuantizeOptions options;
  options.source = kDemo;
  options.target = folder;
  options.recipe = "rtn-w8a8";
  const auto quantized = quantize(options);
  ASSERT_TRUE(quantized.ok()) << quantized.status().message();
  const int n = base::kSanitized ? kFewRequests : 280;
  compare("int8", folder, n, bytes_of_demo_pages(13), 3, base::kSanitized ? 1 : 100);
  std::filesystem::remove_all(folder);
}

TEST(EngineUnderLoad, Int8KeysAndValues) {
  const int n = base::kSanitized ? kFewRequests : 280;
  compare("int8 keys and values", kDemo, n, bytes_of_demo_pages(7), 2, base::kSanitized ? 1 : 100, "int8");
}

TEST(EngineUnderLoad, ThousandsOfRequestsToTheEcho) {
  compare("echo", "", base::kSanitized ? 500 : 4000, 16 * 64 * 4, 2, 100);
}

}  // namespace
}  // namespace octavo
