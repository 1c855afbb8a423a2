#include "base/fair_mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace octavo::base {
namespace {

TEST(FairMutex, ALoopThatTakesItAgainAtOnceLetsTheOthersIn) {
  FairMutex mutex;
  std::atomic<bool> stop = false;
  std::thread greedy([&] {
    while (!stop) const std::lock_guard lock(mutex);
  });
  for (int i = 0; i < 100; ++i) const std::lock_guard lock(mutex);  // hangs where it is not fair
  stop = true;
  greedy.join();
}

TEST(FairMutex, OneAtATime) {
  FairMutex mutex;
  int n = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const std::lock_guard lock(mutex);
        ++n;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n, 2000);
}

TEST(FairMutex, TryingDoesNotWait) {
  FairMutex mutex;
  ASSERT_TRUE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

}  // namespace
}  // namespace octavo::base
