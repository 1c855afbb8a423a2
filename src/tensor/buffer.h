#pragma once
// Memory that kernels read and write: aligned to 64 bytes (a cache line, a tile row), owned, movable, zeroed
// on request.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

namespace octavo::tensor {

inline constexpr size_t kAlignment = 64;

class Buffer {
 public:
  Buffer() = default;
  // n_bytes are not initialized unless `zeroed`.
  explicit Buffer(size_t n_bytes, bool zeroed = false);

  size_t size_bytes() const { return n_bytes_; }
  bool empty() const { return n_bytes_ == 0; }
  void* data() { return bytes_.get(); }
  const void* data() const { return bytes_.get(); }
  template <class T>
  T* as() {
    return static_cast<T*>(data());
  }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data());
  }

 private:
  struct Free {
    void operator()(void* bytes) const { ::operator delete (bytes, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<void, Free> bytes_;
  size_t n_bytes_ = 0;
};

}  // namespace octavo::tensor
