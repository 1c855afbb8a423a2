// Doubling growth of one sequence's KV cache: amortized one copy of each block. Used by logits_reader.cc;
// requests share the pages of batch_engine.cc.
#include "engine/sequence_cache.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "kernels/attention/attention.h"

namespace octavo::engine {

SequenceCache::SequenceCache(LoadedModel& loaded, int64_t max_tokens)
    : loaded_(loaded), max_tokens_(max_tokens), cache_(loaded.model().make_cache(0, loaded.kv_type())) {}

void SequenceCache::reserve(int64_t n_tokens) {
  OCTAVO_CHECK(n_tokens <= max_tokens_);
  const int64_t n_needed = model::KvCache::blocks_for(n_tokens);
  const int64_t n_present = cache_.n_blocks();
  if (n_needed <= n_present) return;

  const int64_t n_tokens_grown = std::clamp(2 * n_present * kernels::kKvBlockTokens, n_tokens, max_tokens_);
  model::KvCache grown = loaded_.model().make_cache(n_tokens_grown, loaded_.kv_type());
  const size_t block_bytes = kernels::kv_block_bytes(cache_.shape());
  for (int64_t layer = 0; layer < loaded_.config().n_layers; ++layer) {
    for (int32_t id = 0; id < n_present; ++id) {
      std::memcpy(grown.block(layer, id), cache_.block(layer, id), block_bytes);
    }
  }
  cache_ = std::move(grown);
  blocks_.resize(static_cast<size_t>(cache_.n_blocks()));
  std::iota(blocks_.begin(), blocks_.end(), 0);
}

}  // namespace octavo::engine
