// A list of keys behind a lock, and an eventfd that is raised from the first key until the list is taken: a
// step of the engine that makes tokens for many streams wakes their reader once. Called by engine.cc.
#include "ready_queue.h"

#include <nanobind/nanobind.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace octavo::python {

namespace {

constexpr auto kPollInterval =
    std::chrono::milliseconds(20);  // of progress.cancelled(): soon enough for people

}  // namespace

ReadyQueue::Inbox::Inbox() : descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (descriptor >= 0) return;
  PyErr_SetFromErrno(PyExc_OSError);
  throw nanobind::python_error();
}

ReadyQueue::Inbox::~Inbox() {
  if (descriptor >= 0) close(descriptor);
}

void ReadyQueue::Inbox::put(int64_t key) {
  const std::lock_guard lock(mutex);
  const bool was_empty = keys.empty();
  if (was_empty || keys.back() != key) keys.push_back(key);
  if (!was_empty) return;
  eventfd_write(descriptor, 1);  // fails only at 2^64 - 1, and empty() resets it
  came.notify_one();
}

std::vector<int64_t> ReadyQueue::Inbox::empty() {
  if (keys.empty()) return {};
  eventfd_t n_raised = 0;
  eventfd_read(descriptor, &n_raised);
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return std::exchange(keys, {});
}

ReadyQueue::ReadyQueue() : inbox_(std::make_shared<Inbox>()) {}

std::function<void()> ReadyQueue::teller(int64_t key) const {
  return [inbox = inbox_, key] { inbox->put(key); };
}

std::vector<int64_t> ReadyQueue::take() {
  const std::lock_guard lock(inbox_->mutex);
  return inbox_->empty();
}

std::vector<int64_t> ReadyQueue::wait(const Progress& progress) {
  std::unique_lock lock(inbox_->mutex);
  while (!inbox_->came.wait_for(lock, kPollInterval, [this] { return !inbox_->keys.empty(); })) {
    lock.unlock();  // the answer may take the GIL, which one who takes the lock may hold
    if (progress.cancelled()) return {};
    lock.lock();
  }
  return inbox_->empty();
}

int ReadyQueue::descriptor() const { return inbox_->descriptor; }

}  // namespace octavo::python
