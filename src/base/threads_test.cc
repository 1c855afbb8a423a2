#include "base/threads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

namespace octavo::base {
namespace {

// Half the smallest normal number, computed where the compiler cannot: zero under flush-to-zero.
float half_of_smallest_normal() {
  volatile float smallest = std::numeric_limits<float>::min();
  volatile float half = smallest * 0.5f;
  return half;
}

TEST(ThreadPoolTest, RunsEachTaskOnce) {
  for (const int n_threads : {1, 2, 3, 8}) {
    ThreadPool pool(n_threads);
    EXPECT_EQ(pool.n_threads(), n_threads);
    for (const int64_t n_tasks : {0, 1, 2, 7, 64, 1000}) {
      std::vector<int> counts(static_cast<size_t>(n_tasks));
      std::atomic<bool> thread_in_range{true};
      pool.parallel_for(n_tasks, [&](int64_t i, int thread) {
        ++counts[static_cast<size_t>(i)];
        if (thread < 0 || thread >= n_threads) thread_in_range = false;
      });
      EXPECT_TRUE(thread_in_range);
      EXPECT_EQ(std::count(counts.begin(), counts.end(), 1), n_tasks);
    }
  }
}

TEST(ThreadPoolTest, EachThreadBeginsWithNeighbours) {
  ThreadPool pool(2);
  std::array<std::atomic<int>, 100> thread_of{};
  std::atomic<int> n_here = 0;
  pool.parallel_for(100, [&](int64_t i, int thread) {
    if (i == 0 || i == 50) {  // until both threads have begun, none takes another's
      n_here.fetch_add(1);
      while (n_here.load() < 2) std::this_thread::yield();
    }
    thread_of[static_cast<size_t>(i)] = thread;
  });
  EXPECT_EQ(thread_of[0], 0);
  EXPECT_EQ(thread_of[50], 1);
}

TEST(ThreadPoolTest, NoTwoTasksShareAThreadNumber) {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> inside(4);
  std::atomic<bool> shared{false};
  for (int round = 0; round < 200; ++round) {
    pool.parallel_for(16, [&](int64_t, int thread) {
      if (inside[static_cast<size_t>(thread)].fetch_add(1) != 0) shared = true;
      std::this_thread::yield();
      inside[static_cast<size_t>(thread)].fetch_sub(1);
    });
  }
  EXPECT_FALSE(shared);
}

TEST(ThreadPoolTest, ManyShortLoopsSeeEachOthersWrites) {
  ThreadPool pool(4);
  std::vector<int64_t> values(64, 0);
  for (int round = 0; round < 5000; ++round) {
    pool.parallel_for(64, [&](int64_t i, int) { values[static_cast<size_t>(i)] += 1; });
    if (round % 1000 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(3));  // lets the workers park
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), 64 * (round + 1));
  }
}

TEST(ThreadPoolTest, WorkersTakePart) {
  ThreadPool pool(3);
  std::atomic<int> waiting{0};
  // Each task waits for the two others, so the loop ends only if three threads run it.
  pool.parallel_for(3, [&](int64_t, int) {
    waiting.fetch_add(1);
    while (waiting.load() < 3) std::this_thread::yield();
  });
  EXPECT_EQ(waiting.load(), 3);
}

TEST(ThreadPoolTest, DefaultsToTheCoresOfTheProcess) {
  EXPECT_GE(available_cores(), 1);
  EXPECT_EQ(ThreadPool(0).n_threads(), available_cores());
  EXPECT_EQ(ThreadPool(-3).n_threads(), available_cores());
}

TEST(ThreadPoolTest, StartsAndStopsWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(3);
}

TEST(ThreadPoolTest, EveryTaskFlushesDenormals) {
  ThreadPool pool(3);
  std::vector<float> results(300, 1.0f);
  pool.parallel_for(300,
                    [&](int64_t i, int) { results[static_cast<size_t>(i)] = half_of_smallest_normal(); });
  for (const float result : results) EXPECT_EQ(result, 0.0f);
  EXPECT_GT(half_of_smallest_normal(), 0.0f) << "the caller's own mode is put back";
}

TEST(ThreadPoolTest, AnExceptionOfATaskReachesTheCaller) {
  for (const int n_threads : {1, 3}) {
    ThreadPool pool(n_threads);
    for (const int64_t thrower : {int64_t{0}, int64_t{57}, int64_t{199}}) {
      EXPECT_THROW(pool.parallel_for(200,
                                     [&](int64_t i, int) {
                                       if (i == thrower) throw std::bad_alloc();
                                     }),
                   std::bad_alloc);
      std::atomic<int> n_run{0};  // and the pool works on
      pool.parallel_for(200, [&](int64_t, int) { n_run.fetch_add(1); });
      EXPECT_EQ(n_run.load(), 200);
    }
  }
}

TEST(FlushDenormalsTest, LastsAsLongAsTheObject) {
  EXPECT_GT(half_of_smallest_normal(), 0.0f);
  {
    const FlushDenormals outer;
    EXPECT_EQ(half_of_smallest_normal(), 0.0f);
    { const FlushDenormals inner; }
    EXPECT_EQ(half_of_smallest_normal(), 0.0f);
  }
  EXPECT_GT(half_of_smallest_normal(), 0.0f);
}

}  // namespace
}  // namespace octavo::base
