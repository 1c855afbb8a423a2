#pragma once
// Which of many streams have something to read. The engine's thread tells without touching Python; Python
// waits without the GIL, or lets an event loop watch the file descriptor.
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "octavo/progress.h"

namespace octavo::python {

class ReadyQueue {
 public:
  // Throws nanobind::python_error (OSError) where the process has no descriptor left.
  ReadyQueue();

  // For Request::on_ready: tells `key`. It outlives the queue.
  std::function<void()> teller(int64_t key) const;

  // The keys told since the last call, each once, in rising order.
  std::vector<int64_t> take();
  // The same, at least one; none when progress says that the wait was cancelled.
  std::vector<int64_t> wait(const Progress& progress);

  // Readable while take() has something.
  int descriptor() const;

 private:
  struct Inbox {
    Inbox();
    ~Inbox();
    Inbox(const Inbox&) = delete;
    Inbox& operator=(const Inbox&) = delete;
    void put(int64_t key);
    std::vector<int64_t> empty();  // with the lock

    int descriptor = -1;  // an eventfd
    std::mutex mutex;     // guards keys
    std::condition_variable came;
    std::vector<int64_t> keys;
  };
  std::shared_ptr<Inbox> inbox_;
};

}  // namespace octavo::python
