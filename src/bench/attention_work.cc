// Called by bench/kernel_rows.cc and bench/rule_rows.cc.
#include "bench/attention_work.h"

#include <cmath>

namespace octavo::bench {
namespace {

std::vector<float> pattern(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    values[static_cast<size_t>(i)] = static_cast<float>((i * 167) % 255 - 127) / 64;
  }
  return values;
}

}  // namespace

AttentionWork::AttentionWork(const model::ModelConfig& config, kernels::Isa isa, base::ThreadPool& pool,
                             int64_t n_rows, int64_t context, bool from_memory)
    : config_(config),
      pool_(pool),
      shape_{tensor::DType::kBF16, config.n_kv_heads, config.head_dim},
      kernels_(kernels::select_attention(isa)),
      layer_bytes_(static_cast<int64_t>(kernels::kv_block_bytes(shape_)) *
                   model::KvCache::blocks_for(context)),
      n_copies_(from_memory ? (kMemoryBytes + layer_bytes_ - 1) / layer_bytes_ : 1),
      cache_(n_copies_, shape_, model::KvCache::blocks_for(context)),
      q_(pattern(n_rows * config.q_width())),
      out_(q_.size()),
      blocks_(static_cast<size_t>(n_copies_)),
      scratch_(kernels::attention_scratch_bytes(shape_, config.n_heads, pool.n_threads())) {
  const std::vector<float> kv = pattern(context * config.kv_width());
  for (int64_t copy = 0; copy < n_copies_; ++copy) {
    auto& table = blocks_[static_cast<size_t>(copy)];
    for (int32_t id = 0; id < cache_.n_blocks(); ++id) table.push_back(cache_.block(copy, id));
    const kernels::AttentionSequence whole = {0, context, 0, table};
    kernels::kv_write(pool, kernels_, shape_, kv.data(), config.kv_width(), kv.data(), config.kv_width(),
                      {&whole, 1});
  }
}

void AttentionWork::run(std::span<const kernels::AttentionSequence> sequences) {
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(config_.head_dim)));
  kernels::attention(pool_, kernels_, shape_, q_.data(), config_.q_width(), config_.n_heads, scale, sequences,
                     out_.data(), scratch_.data());
}

}  // namespace octavo::bench
