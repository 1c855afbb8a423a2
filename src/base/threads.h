#pragma once
// The thread pool. Whoever calls it cuts work so that no result depends on the cut, by shape alone but in
// attention of few sequences, and no two tasks add into the same number; so results do not depend on the
// number of threads (docs/NUMERICS.md).
#include <cstdint>
#include <memory>
#include <type_traits>

namespace octavo::base {

// Cores this process may use: affinity and cgroup quota respected; at least 1.
int available_cores();

// Flush-to-zero and denormals-are-zero for the calling thread, until the object goes. Every pool worker has
// it on; whoever calls kernels on a thread of its own holds one (Model::forward does).
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  uint64_t saved_;
};

// A task that the caller keeps: std::function would allocate for each loop of a step.
class TaskRef {
 public:
  template <class Task>
  requires std::is_invocable_v<const Task&, int64_t, int> &&(!std::is_same_v<Task, TaskRef>)
      TaskRef(const Task& task)  // NOLINT(google-explicit-constructor): lambdas are passed as they are
      : task_(&task),
        call_([](const void* kept, int64_t i, int thread) { (*static_cast<const Task*>(kept))(i, thread); }) {
  }
  void operator()(int64_t i, int thread) const { call_(task_, i, thread); }

 private:
  const void* task_;
  void (*call_)(const void* task, int64_t i, int thread);
};

class ThreadPool {
 public:
  explicit ThreadPool(int n_threads);  // includes the calling thread; <= 0: available_cores()
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const;
  // Calls task(i, thread) for i in [0, n_tasks), n_tasks < 2^24, each once, in any order, on the workers and
  // the caller, with thread in [0, n_threads()); returns when all are done. Not reentrant; one caller at a
  // time. When a task throws, no new one begins and the first exception comes out here.
  void parallel_for(int64_t n_tasks, TaskRef task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace octavo::base
