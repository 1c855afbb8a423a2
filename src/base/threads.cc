// The thread pool behind every parallel loop (kernels through model/, quant/). A loop is open for workers to
// join while tasks are left; the caller closes it and waits only for those inside, so a worker that the
// kernel runs late delays nobody. Waiting is a short spin, because a decode step has hundreds of loops some
// microseconds apart, then a park.
#include "base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/cgroup.h"
#include "base/check.h"

namespace octavo::base {

namespace {

constexpr int kMaxThreads = 1024;
// A pause takes 40 to 140 cycles, so this is 30 to 100 us: longer than the serial work between two loops of a
// decode step, shorter than anyone would see as a busy idle process.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

uint64_t float_control() {
#if defined(__x86_64__)
  return __builtin_ia32_stmxcsr();
#elif defined(__aarch64__)
  uint64_t fpcr;
  asm volatile("mrs %0, fpcr" : "=r"(fpcr));
  return fpcr;
#else
  return 0;
#endif
}

void set_float_control([[maybe_unused]] uint64_t value) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(static_cast<unsigned>(value));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" ::"r"(value));
#endif
}

#if defined(__x86_64__)
constexpr uint64_t kFlushBits = 0x8040;  // MXCSR: FTZ is bit 15, DAZ bit 6
#elif defined(__aarch64__)
constexpr uint64_t kFlushBits = uint64_t{1} << 24;  // FPCR.FZ does both
#else
constexpr uint64_t kFlushBits = 0;
#endif

int affinity_cores() {
  for (int n_bits = 1024; n_bits <= 1 << 20;
       n_bits *= 2) {  // EINVAL says that the machine has more CPUs than bits
    cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(n_bits));
    if (set == nullptr) break;
    const size_t size = CPU_ALLOC_SIZE(static_cast<size_t>(n_bits));
    CPU_ZERO_S(size, set);
    const bool known = sched_getaffinity(0, size, set) == 0;
    const int count = known ? CPU_COUNT_S(size, set) : 0;
    const bool too_small = !known && errno == EINVAL;
    CPU_FREE(set);
    if (known) return count;
    if (!too_small) break;
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

int available_cores() {
  const int cores = std::clamp(affinity_cores(), 1, kMaxThreads);
  const double quota = std::ceil(cgroup_limits().cores);
  return quota < cores ? std::max(1, static_cast<int>(quota)) : cores;
}

FlushDenormals::FlushDenormals() : saved_(float_control()) { set_float_control(saved_ | kFlushBits); }

FlushDenormals::~FlushDenormals() {
  // Only the two modes are put back; exception flags raised meanwhile stay.
  set_float_control((float_control() & ~kFlushBits) | (saved_ & kFlushBits));
}

struct ThreadPool::State {
  // `gate` says it all in one word, so that joining and closing cannot miss each other:
  // loop number << 32 | kOpen | workers inside.
  static constexpr uint64_t kOpen = uint64_t{1} << 31;
  static constexpr uint64_t kInsideMask = kOpen - 1;

  std::atomic<uint64_t> gate{0};
  std::atomic<int> n_parked{0};
  std::atomic<bool> caller_parked{false};
  std::atomic<bool> stopping{false};
  std::atomic<bool> busy{false};
  // Written before the gate opens, read only inside it.
  const TaskRef* task = nullptr;
  int64_t n_tasks = 0, n_shares = 1;
  uint64_t loop_number = 0;
  // Each thread begins with a share of its own, neighbouring tasks, and then helps with the others'. So it
  // reads a matrix's panels in sequence (Qwen3-0.6B in int8, decode with two threads: 41 tok/s instead of
  // 37).
  struct alignas(64) Share {
    std::atomic<uint64_t> taken{0};  // loop number << kCountBits | tasks handed out in that loop
  };
  static constexpr int kCountBits = 24;
  std::vector<Share> shares;
  std::atomic<bool> has_thrown{false};
  std::exception_ptr thrown;  // guarded by `mutex`

  std::mutex mutex;
  std::condition_variable work_came, work_done;
  std::vector<std::thread> workers;
  int n_spins = 0;

  static bool is_open_after(uint64_t gate_value, uint64_t last_loop) {
    return (gate_value & kOpen) != 0 && gate_value >> 32 != last_loop;
  }

  // The next task of a share, or -1. A share last used in another loop is whole: nobody has to reset it.
  int64_t take(int64_t share) {
    const int64_t begin = share * n_tasks / n_shares, end = (share + 1) * n_tasks / n_shares;
    std::atomic<uint64_t>& taken = shares[static_cast<size_t>(share)].taken;
    uint64_t seen = taken.load(std::memory_order_relaxed);
    while (true) {
      const uint64_t fresh = seen >> kCountBits == loop_number ? seen : loop_number << kCountBits;
      const int64_t i = begin + static_cast<int64_t>(fresh & ((uint64_t{1} << kCountBits) - 1));
      if (i >= end) return -1;
      if (taken.compare_exchange_weak(seen, fresh + 1, std::memory_order_relaxed)) return i;
    }
  }

  // A task that throws (std::bad_alloc is the only one expected) ends the loop; the first such exception
  // waits for the caller, who rethrows it when no worker is inside any more.
  void run_tasks(int thread) noexcept {
    try {
      for (int64_t turn = 0; turn < n_shares; ++turn) {
        const int64_t share = (thread + turn) % n_shares;
        for (int64_t i = take(share); i >= 0; i = take(share)) {
          if (has_thrown.load(std::memory_order_relaxed)) return;
          (*task)(i, thread);
        }
      }
    } catch (...) {
      has_thrown.store(true, std::memory_order_relaxed);
      const std::lock_guard lock(mutex);
      if (!thrown) thrown = std::current_exception();
    }
  }

  void wait_for_work(uint64_t last_loop) {
    const auto awaited = [&] { return stopping.load() || is_open_after(gate.load(), last_loop); };
    for (int i = 0; i < n_spins; ++i) {
      if (awaited()) return;
      pause();
    }
    std::unique_lock lock(mutex);
    n_parked.fetch_add(1);
    work_came.wait(lock, awaited);
    n_parked.fetch_sub(1);
  }

  void work(int thread) {
    const FlushDenormals flush;
    uint64_t last_loop = 0;
    while (true) {
      wait_for_work(last_loop);
      if (stopping.load()) return;
      uint64_t seen = gate.load();
      while (is_open_after(seen, last_loop) && !gate.compare_exchange_weak(seen, seen + 1)) {
      }
      if (!is_open_after(seen, last_loop)) continue;
      last_loop = seen >> 32;
      run_tasks(thread);
      const uint64_t left = gate.fetch_sub(1) - 1;
      if ((left & (kOpen | kInsideMask)) == 0 && caller_parked.load()) {
        const std::lock_guard lock(mutex);
        work_done.notify_one();
      }
    }
  }

  void end_loop() {
    std::exception_ptr raised;
    {
      const std::lock_guard lock(mutex);
      raised = std::exchange(thrown, nullptr);
    }
    has_thrown.store(false, std::memory_order_relaxed);
    busy.store(false);
    if (raised) std::rethrow_exception(raised);
  }

  void wait_for_workers() {
    const auto awaited = [&] { return (gate.load() & kInsideMask) == 0; };
    for (int i = 0; i < n_spins; ++i) {
      if (awaited()) return;
      pause();
    }
    std::unique_lock lock(mutex);
    caller_parked.store(true);
    work_done.wait(lock, awaited);
    caller_parked.store(false);
  }
};

ThreadPool::ThreadPool(int n_threads) : state_(std::make_unique<State>()) {
  const int cores = available_cores();
  const int wanted = n_threads <= 0 ? cores : std::min(n_threads, kMaxThreads);
  // With more threads than cores a spinning one only keeps a working one off its core.
  state_->n_spins = wanted <= cores ? kSpins : 0;
  state_->workers.reserve(static_cast<size_t>(wanted - 1));
  state_->shares = std::vector<State::Share>(static_cast<size_t>(wanted));
  for (int thread = 1; thread < wanted; ++thread) {
    try {
      state_->workers.emplace_back([state = state_.get(), thread] { state->work(thread); });
    } catch (const std::system_error&) {
      break;  // the system's thread limit: the pool works with those it got
    }
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping.store(true);
    state_->work_came.notify_all();
  }
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::n_threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::parallel_for(int64_t n_tasks, TaskRef task) {
  State& state = *state_;
  OCTAVO_CHECK(!state.busy.exchange(true));
  const FlushDenormals flush;  // the caller's share must come out as the workers' would
  state.task = &task;
  state.n_tasks = n_tasks;
  state.n_shares = std::clamp<int64_t>(n_tasks, 1, n_threads());
  OCTAVO_CHECK(n_tasks / state.n_shares + 1 < int64_t{1} << State::kCountBits);
  state.loop_number = (state.loop_number + 1) & ((uint64_t{1} << (64 - State::kCountBits)) - 1);
  if (n_tasks <= 1 || state.workers.empty()) {
    state.run_tasks(0);
    state.end_loop();
    return;
  }
  const uint64_t loop = ((state.gate.load() >> 32) + 1) & 0xFFFFFFFF;
  state.gate.store(loop << 32 | State::kOpen);
  // A worker counts itself parked before it looks at the gate for the last time: either it sees the loop or
  // we see it.
  if (const int n_parked = state.n_parked.load(); n_parked > 0) {
    const std::lock_guard lock(state.mutex);
    for (int64_t i = std::min<int64_t>(n_parked, n_tasks - 1); i > 0; --i) state.work_came.notify_one();
  }
  state.run_tasks(0);
  state.gate.fetch_and(~State::kOpen);
  state.wait_for_workers();
  state.end_loop();
}

}  // namespace octavo::base
