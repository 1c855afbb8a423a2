#include "tensor/buffer.h"

#include <cstring>

namespace octavo::tensor {

Buffer::Buffer(size_t n_bytes, bool zeroed) : n_bytes_(n_bytes) {
  if (n_bytes == 0) return;
  bytes_.reset(::operator new (n_bytes, std::align_val_t{kAlignment}));
  if (zeroed) std::memset(bytes_.get(), 0, n_bytes);
}

}  // namespace octavo::tensor
