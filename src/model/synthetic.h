#pragma once
// Random weights in a model's shapes, made layer by layer without files: what speeds are measured on. They
// keep the scale of activations near one, so that nothing overflows, and a seed gives the same model always.
#include <cstdint>

#include "model/config.h"
#include "model/weights.h"

namespace octavo::model {

struct SyntheticOptions {
  tensor::DType linears = tensor::DType::kI8;  // kI8 (a scale per output channel, dynamic inputs) or kBF16
  uint64_t seed = 1;
};

// One matrix, kI8 or kBF16, of a standard deviation near 1/sqrt(k).
LinearWeight synthetic_linear(int64_t n, int64_t k, tensor::DType dtype, uint64_t seed);

// Embedding and lm_head are bf16, norms one, biases small where the config has them.
class SyntheticWeights : public WeightSource {
 public:
  SyntheticWeights(const ModelConfig& config, const SyntheticOptions& options)  // `config` outlives it
      : config_(config), options_(options) {}
  Result<LayerWeights> layer(int64_t layer) const override;
  Result<OuterWeights> outer() const override;

 private:
  uint64_t matrix_seed(uint64_t which) const;

  const ModelConfig& config_;
  SyntheticOptions options_;
};

// Bytes of all weights, packed.
uint64_t synthetic_bytes(const ModelConfig& config, const SyntheticOptions& options);

}  // namespace octavo::model
