#pragma once
// Memory that kernels read and write: aligned to 64 bytes (a cache line, a tile row), owned, movable, zeroed
// on request.
#include <cstddef>
#include <memory>

namespace octavo::tensor {

inline constexpr size_t kAlignment = 64;

class Buffer {
 public:
  Buffer() = default;
  // n_bytes are not initialized unless `zeroed`.
  explicit Buffer(size_t n_bytes, bool zeroed = false);
  // For what lives as long as a model and is streamed in each step: many such buffers lie side by side on 2
  // MiB pages.
  static Buffer for_weights(size_t n_bytes);

  size_t size_bytes() const { return empty() ? 0 : bytes_.get_deleter().n_bytes; }
  bool empty() const { return bytes_ == nullptr; }
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
    size_t n_bytes = 0;
    std::shared_ptr<void> mapping;  // where the bytes lie, or null: on the heap
    bool is_shared = false;         // the mapping has other buffers' bytes too
    void operator()(void* bytes);
  };
  std::unique_ptr<void, Free> bytes_{nullptr, Free()};
};

}  // namespace octavo::tensor
