// After warm-up the steps of the engine allocate nothing: counted by a hook on the allocator, of all threads.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <thread>

#include "base/test_environment.h"
#include "engine/batch_engine.h"
#include "engine/decoder_step_model.h"
#include "engine/test_model.h"

namespace {
std::atomic<int64_t> n_allocations = 0;
}

// Sanitizers bring their own allocator.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void* operator new(size_t n) {
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* bytes = std::malloc(n == 0 ? 1 : n)) return bytes;
  throw std::bad_alloc();
}
void* operator new(size_t n, std::align_val_t alignment) {
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  const auto a = static_cast<size_t>(alignment);
  if (void* bytes = std::aligned_alloc(a, (n + a - 1) / a * a)) return bytes;
  throw std::bad_alloc();
}
void operator delete(void* bytes) noexcept { std::free(bytes); }
void operator delete(void* bytes, size_t) noexcept { std::free(bytes); }
void operator delete(void* bytes, std::align_val_t) noexcept { std::free(bytes); }
void operator delete(void* bytes, size_t, std::align_val_t) noexcept { std::free(bytes); }
#endif

namespace octavo::engine {
namespace {

constexpr int64_t kPromptTokens = 40, kOutputTokens = 400;
constexpr int32_t kRequests = 6;

GenerationRequest request_of(int32_t i) {
  GenerationRequest request;
  request.prompt = tokens_of(static_cast<size_t>(kPromptTokens + i));
  request.sampling.temperature = i % 2 == 0 ? 0.0F : 0.8F;
  request.sampling.top_p = 0.9F;
  request.sampling.top_k = i % 3 == 0 ? 50 : 0;
  request.sampling.frequency_penalty = i == 1 ? 0.5F : 0.0F;
  request.sampling.repetition_penalty = i == 2 ? 1.1F : 1.0F;
  request.max_tokens = kOutputTokens;
  return request;
}

// Steps of the engine from the time that every request decodes until the first may end.
struct Counted {
  int64_t n_steps = 0, n_allocations = 0;
};

Counted run(BatchEngine& engine) {
  std::vector<std::shared_ptr<Generation>> generations;
  for (int32_t i = 0; i < kRequests; ++i) generations.push_back(*engine.submit(request_of(i)));
  for (const auto& generation : generations) EXPECT_TRUE(generation->step().ok());
  const int64_t n_steps = engine.counters().n_steps, n_before = n_allocations;
  while (engine.counters().n_steps < n_steps + kOutputTokens / 8) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const Counted counted{engine.counters().n_steps - n_steps, n_allocations - n_before};
  for (const auto& generation : generations) generation->cancel();
  engine.wait_until_idle();
  return counted;
}

void expect_none(Speculation speculation) {
  if (base::kSanitized) GTEST_SKIP() << "a sanitizer's allocator cannot be hooked";
  DecoderStepModel model(demo());
  auto engine = BatchEngine::start(model, {.speculation = speculation});
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  run(**engine);
  const Counted counted = run(**engine);
  EXPECT_GE(counted.n_steps, kOutputTokens / 8);
  EXPECT_EQ(counted.n_allocations, 0) << "in " << counted.n_steps << " steps";
  const int64_t n_before = n_allocations;
  (**engine).submit(request_of(0)).value()->cancel();
  EXPECT_GT(n_allocations, n_before) << "the hook counts";
}

TEST(StepAllocation, NoneForSingleTokens) { expect_none(Speculation::kOff); }
TEST(StepAllocation, NoneForGuessedTokens) { expect_none(Speculation::kAlways); }

}  // namespace
}  // namespace octavo::engine
