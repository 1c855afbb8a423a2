#pragma once
// Attention alone, on pages that are laid out as a model's.
#include <cstdint>
#include <span>
#include <vector>

#include "base/threads.h"
#include "kernels/attention/attention.h"
#include "kernels/isa.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "tensor/buffer.h"

namespace octavo::bench {

inline constexpr int64_t kMemoryBytes = int64_t{256} << 20;  // more than a last-level cache holds

// Queries of n_rows positions and the bf16 keys and values of `context` tokens, in as many copies as come
// from memory when calls go round them (one copy where they are read often: from_memory false).
class AttentionWork {
 public:
  AttentionWork(const model::ModelConfig& config, kernels::Isa isa, base::ThreadPool& pool, int64_t n_rows,
                int64_t context, bool from_memory);  // all outlive it

  double layer_bytes() const { return static_cast<double>(layer_bytes_); }  // keys and values
  // The pages of the copy that the i-th call meets.
  std::span<void* const> blocks(int64_t i) const { return blocks_[static_cast<size_t>(i) % blocks_.size()]; }
  void run(std::span<const kernels::AttentionSequence> sequences);
  float* out() { return out_.data(); }  // [n_rows, n_heads * head_dim]

 private:
  const model::ModelConfig& config_;
  base::ThreadPool& pool_;
  kernels::KvShape shape_;
  const kernels::AttentionKernels& kernels_;
  int64_t layer_bytes_, n_copies_;
  model::KvCache cache_;
  std::vector<float> q_, out_;
  std::vector<std::vector<void*>> blocks_;  // by copy
  tensor::Buffer scratch_;
};

}  // namespace octavo::bench
