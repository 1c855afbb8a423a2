// Each sample gets blocks of its own in a cache of one layer; keys and values are written anew by every run.
// Called by collect.cc and strength_search.cc.
#include "quant/block_runner.h"

#include <algorithm>
#include <numeric>

namespace octavo::quant {

BlockRunner::BlockRunner(const model::ModelConfig& config, tensor::DType kv_dtype, kernels::Isa isa,
                         base::ThreadPool& pool)
    : isa_(isa),
      kv_shape_{kv_dtype, config.n_kv_heads, config.head_dim},
      rope_(config),
      workspace_(config, pool, rope_),
      cache_(1, kv_shape_, 0) {}

void BlockRunner::attention(const model::DecoderLayer& layer,
                            std::span<const std::span<const int32_t>> sequences, const float* h, float* y,
                            model::Tap* tap) {
  int64_t n_blocks = 0;
  for (const auto& tokens : sequences) {
    n_blocks += model::KvCache::blocks_for(static_cast<int64_t>(tokens.size()));
  }
  if (cache_.n_blocks() < n_blocks) cache_ = model::KvCache(1, kv_shape_, n_blocks);
  std::vector<int32_t> ids(static_cast<size_t>(n_blocks));
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<model::BatchSequence> batch;
  std::span<const int32_t> free = ids;
  for (const auto& tokens : sequences) {
    const auto n = static_cast<size_t>(model::KvCache::blocks_for(static_cast<int64_t>(tokens.size())));
    batch.push_back({.tokens = tokens, .position_begin = 0, .blocks = free.first(n)});
    free = free.subspan(n);
  }
  layer.attention_block(workspace_, h, batch, 0, cache_, y, tap);
}

void BlockRunner::mlp(const model::DecoderLayer& layer, const float* h, int64_t m, float* y,
                      model::Tap* tap) {
  layer.mlp_block(workspace_, h, m, 0, y, tap);
}

}  // namespace octavo::quant
