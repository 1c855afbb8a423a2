// Large buffers are mappings, of their own or with others: they go back to the system when they are freed.
// From the heap, one layer's matrices after another leave holes: quantizing 36 layers of 6 MiB then peaks at
// 90 MiB instead of 34.
#include "tensor/buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

namespace octavo::tensor {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kMappedFromBytes = SIZE_MAX;  // the heap's bounds are checked, a mapping's are not
#else
constexpr size_t kMappedFromBytes = size_t{1} << 20;  // below, page faults cost more than the holes
#endif

// 2 MiB pages, where the system has them for those who ask: of 4 KiB pages a page walk in a virtual machine
// takes longer than the read (Zen 4, one core: weights stream at 24 GB/s instead of 17, the int8 product of
// 18 rows gains 10 %). Without them all works as before, so madvise's answer does not matter.
constexpr size_t kHugePageBytes = size_t{2} << 20;
// Matrices of 1 to 12 MiB, as small models have, hold few or no whole 2 MiB pages of their own; neighbours in
// a large mapping do (Qwen3-0.6B in int8, decode with two threads: 37 tok/s instead of 34).
constexpr size_t kSharedMappingBytes = size_t{64} << 20;
constexpr size_t kSharesUpToBytes = size_t{16} << 20;

std::shared_ptr<void> map(size_t n_bytes) {
  void* bytes = ::mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) throw std::bad_alloc();
  if (n_bytes >= kHugePageBytes) ::madvise(bytes, n_bytes, MADV_HUGEPAGE);
  return {bytes, [n_bytes](void* mapped) { ::munmap(mapped, n_bytes); }};
}

// The whole 4 KiB pages of a place that is handed out once; its neighbours keep the mapping.
void give_back(void* bytes, size_t n_bytes) {
  constexpr uintptr_t kPageBytes = 4096;
  const auto begin = reinterpret_cast<uintptr_t>(bytes);
  const uintptr_t first = (begin + kPageBytes - 1) / kPageBytes * kPageBytes;
  const uintptr_t end = (begin + n_bytes) / kPageBytes * kPageBytes;
  ::madvise(static_cast<std::byte*>(bytes) + (first - begin), end - first, MADV_DONTNEED);
}

// Hands out the bytes of one mapping after another, each once. Each lives as long as a buffer in it.
class SharedMappings {
 public:
  struct Place {
    void* bytes;
    std::shared_ptr<void> mapping;
  };
  Place take(size_t n_bytes) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<void> mapping = current_.lock();
    if (mapping == nullptr || kSharedMappingBytes - n_used_ < n_bytes) {
      mapping = map(kSharedMappingBytes);
      current_ = mapping;
      n_used_ = 0;
    }
    void* bytes = static_cast<std::byte*>(mapping.get()) + n_used_;
    n_used_ += (n_bytes + kAlignment - 1) / kAlignment * kAlignment;
    return {bytes, std::move(mapping)};
  }

 private:
  std::mutex mutex_;
  std::weak_ptr<void> current_;
  size_t n_used_ = 0;
};

}  // namespace

Buffer::Buffer(size_t n_bytes, bool zeroed) : bytes_(nullptr, Free{n_bytes, nullptr, false}) {
  if (n_bytes == 0) return;
  if (n_bytes >= kMappedFromBytes) {
    std::shared_ptr<void> mapping = map(n_bytes);  // the system's pages are zero
    void* bytes = mapping.get();
    bytes_ = {bytes, Free{n_bytes, std::move(mapping), false}};
    return;
  }
  bytes_.reset(::operator new (n_bytes, std::align_val_t{kAlignment}));
  if (zeroed) std::memset(bytes_.get(), 0, n_bytes);
}

Buffer Buffer::for_weights(size_t n_bytes) {
  static SharedMappings mappings;
  if (n_bytes < kMappedFromBytes || n_bytes > kSharesUpToBytes) return Buffer(n_bytes);
  try {
    SharedMappings::Place place = mappings.take(n_bytes);
    Buffer buffer;
    buffer.bytes_ = {place.bytes, Free{n_bytes, std::move(place.mapping), /*is_shared=*/true}};
    return buffer;
  } catch (const std::bad_alloc&) {  // there may be room for this one alone
    return Buffer(n_bytes);
  }
}

void Buffer::Free::operator()(void* bytes) {
  if (mapping == nullptr) ::operator delete (bytes, std::align_val_t{kAlignment});
  if (is_shared) give_back(bytes, n_bytes);
  mapping = nullptr;
}

}  // namespace octavo::tensor
