#pragma once
// For tests: an array that ends where unreadable memory begins, so that reading or writing one element too
// far ends the test program, and with marked bytes in front.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"

namespace octavo::kernels {

template <class T>
class GuardedArray {
 public:
  explicit GuardedArray(int64_t n) : n_(static_cast<size_t>(n)) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t readable = (n_ * sizeof(T) + kMarkBytes + page - 1) / page * page;
    n_mapped_ = readable + page;
    void* mapped = mmap(nullptr, n_mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OCTAVO_CHECK(mapped != MAP_FAILED);
    mapped_ = static_cast<std::byte*>(mapped);
    OCTAVO_CHECK(mprotect(mapped_ + readable, page, PROT_NONE) == 0);
    data_ = reinterpret_cast<T*>(mapped_ + readable - n_ * sizeof(T));
    std::ranges::fill(mark(), kMark);
  }
  ~GuardedArray() { munmap(mapped_, n_mapped_); }
  GuardedArray(const GuardedArray&) = delete;
  GuardedArray& operator=(const GuardedArray&) = delete;

  T* data() { return data_; }
  T& operator[](int64_t i) { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + n_; }
  size_t size() const { return n_; }
  bool front_is_intact() const {
    return std::ranges::all_of(mark(), [](std::byte byte) { return byte == kMark; });
  }

 private:
  static constexpr size_t kMarkBytes = 64;
  static constexpr std::byte kMark{0xa5};
  std::span<std::byte> mark() const { return {reinterpret_cast<std::byte*>(data_) - kMarkBytes, kMarkBytes}; }

  size_t n_, n_mapped_ = 0;
  std::byte* mapped_ = nullptr;
  T* data_ = nullptr;
};

}  // namespace octavo::kernels
