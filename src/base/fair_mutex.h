#pragma once
// A mutex that serves who came first: a thread that unlocks and locks again at once (an engine between two
// steps) does not keep the others out. For std::lock_guard, std::unique_lock and std::lock.
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace octavo::base {

class FairMutex {
 public:
  void lock() {
    std::unique_lock guard(mutex_);
    const uint64_t ticket = next_++;
    turned_.wait(guard, [&] { return ticket == serving_; });
  }
  bool try_lock() {
    const std::lock_guard guard(mutex_);
    if (next_ != serving_) return false;
    ++next_;
    return true;
  }
  void unlock() {
    {
      const std::lock_guard guard(mutex_);
      ++serving_;
    }
    turned_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable turned_;
  uint64_t next_ = 0, serving_ = 0;  // tickets: the next to give, the one whose turn it is
};

}  // namespace octavo::base
