// Mixed random requests with cancels for a while: memory stays flat, and every page comes back.
// OCTAVO_SOAK_SECONDS sets how long; a minute by default, less under sanitizers.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <vector>

#include "base/memory.h"
#include "base/test_environment.h"
#include "base/text_format.h"
#include "engine/batch_engine.h"
#include "engine/decoder_step_model.h"
#include "engine/test_model.h"

namespace octavo::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kUnderWay = 40;
constexpr int64_t kPages = 24;                            // so few that sequences are preempted
constexpr uint64_t kFlatWithinBytes = uint64_t{8} << 20;  // what an allocator's rounding may add

double soak_seconds() {
  const char* asked = std::getenv("OCTAVO_SOAK_SECONDS");
  return asked != nullptr ? std::atof(asked) : base::kSanitized ? 10 : 60;
}

GenerationRequest random_request(std::mt19937& random) {
  const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  GenerationRequest request;
  request.prompt = tokens_of(static_cast<size_t>(draw(0, 3) * 64));
  for (int i = draw(1, 60); i > 0; --i) request.prompt.push_back(draw(0, 9999));
  request.sampling.temperature = draw(0, 1) == 0 ? 0.0F : 0.9F;
  request.sampling.seed = random();
  request.max_tokens = draw(1, 120);
  request.n_outputs = request.sampling.temperature > 0 && draw(0, 5) == 0 ? draw(2, 4) : 1;
  if (draw(0, 3) == 0) request.n_logprobs = draw(0, 5);
  if (draw(0, 9) == 0) request.n_prompt_logprobs = draw(0, 5);
  request.priority = draw(0, 2);
  return request;
}

// Some tokens, or all until every output has finished.
void read(Generation& generation, int32_t n_outputs, int n_most) {
  for (int32_t n_finished = 0; n_finished < n_outputs && n_most > 0; --n_most) {
    const auto step = generation.step();
    ASSERT_TRUE(step.ok()) << step.status().message();
    n_finished += step->finish == Finish::kNone ? 0 : 1;
  }
}

TEST(Soak, MemoryIsFlatAndTheBooksBalance) {
  std::mt19937 random(11);
  DecoderStepModel model(demo());
  auto started = BatchEngine::start(model, {.max_sequences = 24,
                                            .max_step_tokens = 128,
                                            .kv_bytes = model.page_bytes() * kPages,
                                            .speculation = Speculation::kAlways});
  ASSERT_TRUE(started.ok()) << started.status().message();
  BatchEngine& engine = **started;

  struct Request {
    std::shared_ptr<Generation> generation;
    int32_t n_outputs;
  };
  std::deque<Request> under_way;
  const double seconds = soak_seconds();
  const Clock::time_point begin = Clock::now();
  uint64_t peaks[4] = {};  // resident bytes, of each quarter of the time
  int64_t n_requests = 0;
  // A slow machine under a sanitizer takes longer until pages run out.
  const auto goes_on = [&](double now) {
    return now < seconds || (now < 12 * seconds && engine.counters().n_preempted == 0);
  };
  for (double now = 0; goes_on(now); now = std::chrono::duration<double>(Clock::now() - begin).count()) {
    GenerationRequest request = random_request(random);
    const int32_t n_outputs = request.n_outputs;
    auto generation = engine.submit(std::move(request));
    ASSERT_TRUE(generation.ok()) << generation.status().message();
    under_way.push_back({*generation, n_outputs});
    ++n_requests;
    while (under_way.size() >= kUnderWay) {
      const bool cancels = random() % 5 == 0;
      const Request& oldest = under_way.front();
      read(*oldest.generation, oldest.n_outputs, cancels ? 3 : 1'000'000);
      if (cancels) oldest.generation->cancel();
      under_way.pop_front();
    }
    uint64_t& peak = peaks[std::min<size_t>(3, static_cast<size_t>(4 * now / seconds))];
    peak = std::max(peak, base::resident_bytes());
  }
  for (const Request& request : under_way) request.generation->cancel();
  engine.wait_until_idle();
  EXPECT_TRUE(engine.books_balance());
  const BatchCounters counters = engine.counters();
  std::printf(
      "%lld requests in %.0f s: %lld steps of %.1f rows, %lld preempted, %lld cancelled; resident %s, %s, "
      "%s, %s\n",
      static_cast<long long>(n_requests), seconds, static_cast<long long>(counters.n_steps),
      static_cast<double>(counters.n_rows) / static_cast<double>(counters.n_steps),
      static_cast<long long>(counters.n_preempted), static_cast<long long>(counters.n_cancelled),
      base::format_bytes(peaks[0]).c_str(), base::format_bytes(peaks[1]).c_str(),
      base::format_bytes(peaks[2]).c_str(), base::format_bytes(peaks[3]).c_str());
  EXPECT_GT(counters.n_preempted, 0);
  EXPECT_GT(counters.n_cancelled, 0);
  // Sanitizers keep freed memory for a while.
  const uint64_t allowed = base::kSanitized ? ~uint64_t{0} : peaks[0] + kFlatWithinBytes;
  EXPECT_LE(peaks[3], allowed);
}

}  // namespace
}  // namespace octavo::engine
