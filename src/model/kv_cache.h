#pragma once
// The pages of keys and values: n_blocks blocks of kernels::kKvBlockTokens tokens, each for all layers. Who
// holds which block is the caller's business (a block table per sequence).
#include <cstdint>
#include <string_view>

#include "octavo/status.h"

#include "kernels/attention/attention.h"
#include "tensor/buffer.h"

namespace octavo::model {

// What keys and values are held as: the type of the model's own values, or int8 codes with one fp32 scale per
// token and kv head (half of bf16's memory and a little: head_dim + 4 bytes a head's row).
enum class KvType { kAuto, kInt8 };
// "auto" or "int8", as the option kv_cache_dtype spells them.
Result<KvType> kv_type_from_name(std::string_view name);

class KvCache {
 public:
  // Allocates block_bytes * n_layers * n_blocks, not initialized.
  KvCache(int64_t n_layers, const kernels::KvShape& shape, int64_t n_blocks);
  const kernels::KvShape& shape() const { return shape_; }
  int64_t n_blocks() const { return n_blocks_; }
  void* block(int64_t layer, int32_t id);  // kernels::kv_block_bytes(shape), 64-byte aligned
  static int64_t blocks_for(int64_t n_tokens) {
    return (n_tokens + kernels::kKvBlockTokens - 1) / kernels::kKvBlockTokens;
  }

 private:
  kernels::KvShape shape_;
  int64_t n_layers_, n_blocks_;
  size_t block_bytes_;
  tensor::Buffer bytes_;
};

}  // namespace octavo::model
