// One allocation, layer after layer: [n_layers, n_blocks, block_bytes]. Written and read by model/decoder.cc.
#include "model/kv_cache.h"

#include <string>

#include "base/check.h"

namespace octavo::model {

Result<KvType> kv_type_from_name(std::string_view name) {
  if (name == "auto") return KvType::kAuto;
  if (name == "int8") return KvType::kInt8;
  return invalid_argument("kv_cache_dtype: expected \"auto\" (the model's own type) or \"int8\", found \"" +
                          std::string(name) + "\"");
}

KvCache::KvCache(int64_t n_layers, const kernels::KvShape& shape, int64_t n_blocks)
    : shape_(shape),
      n_layers_(n_layers),
      n_blocks_(n_blocks),
      block_bytes_(kernels::kv_block_bytes(shape)),
      bytes_(static_cast<size_t>(n_layers) * static_cast<size_t>(n_blocks) * block_bytes_) {}

void* KvCache::block(int64_t layer, int32_t id) {
  OCTAVO_CHECK(layer >= 0 && layer < n_layers_ && id >= 0 && id < n_blocks_);
  return bytes_.as<std::byte>() + static_cast<size_t>(layer * n_blocks_ + id) * block_bytes_;
}

}  // namespace octavo::model
