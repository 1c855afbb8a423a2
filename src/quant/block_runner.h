#pragma once
// Runs one block of one layer over whole samples: what collecting, searching and verifying share. Owns the
// activations and the keys and values of a single layer.
#include <cstdint>
#include <span>
#include <vector>

#include "base/threads.h"
#include "kernels/isa.h"
#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/rope_table.h"
#include "model/workspace.h"

namespace octavo::quant {

class BlockRunner {
 public:
  // kv_dtype: that in which the model keeps keys and values. `config` and `pool` outlive the runner.
  BlockRunner(const model::ModelConfig& config, tensor::DType kv_dtype, kernels::Isa isa,
              base::ThreadPool& pool);

  kernels::Isa isa() const { return isa_; }
  base::ThreadPool& pool() { return workspace_.pool(); }

  // y[m, d_model] = the block's output on h[m, d_model]; the rows are those of `sequences`, end to end, each
  // from position 0.
  void attention(const model::DecoderLayer& layer, std::span<const std::span<const int32_t>> sequences,
                 const float* h, float* y, model::Tap* tap = nullptr);
  void mlp(const model::DecoderLayer& layer, const float* h, int64_t m, float* y, model::Tap* tap = nullptr);

 private:
  kernels::Isa isa_;
  kernels::KvShape kv_shape_;
  model::RopeTable rope_;
  model::Workspace workspace_;
  model::KvCache cache_;
};

}  // namespace octavo::quant
