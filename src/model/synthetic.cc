// Weights from a SplitMix64 sequence of their own for each matrix: 8
// int8 codes or 4 bf16 values of one number. Called by bench/ and its tests.
// Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
#include "model/synthetic.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/arch/arch_spec.h"

namespace octavo::model {

namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15U;

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

// Numbers of one sequence, 8 bytes at a time; n_bytes a multiple of 2.
void fill_random(uint64_t seed, std::byte* to, size_t n_bytes) {
  for (size_t i = 0; i < n_bytes; i += sizeof(uint64_t)) {
    const uint64_t word = mix(seed += kGolden);
    std::memcpy(to + i, &word, std::min(sizeof(word), n_bytes - i));
  }
}

// Random bits to bf16: sign and mantissa stay, the exponent becomes that of [2^e, 2^(e+1)).
void to_bf16_range(uint16_t* values, int64_t n, int exponent) {
  const auto bits = static_cast<uint16_t>((exponent + 127) << 7);
  for (int64_t i = 0; i < n; ++i) values[i] = static_cast<uint16_t>((values[i] & 0x807fU) | bits);
}

constexpr double kCodeDeviation = 73.9;  // of a random byte, 256 / sqrt(12)

}  // namespace

LinearWeight synthetic_linear(int64_t n, int64_t k, tensor::DType dtype, uint64_t seed) {
  LinearWeight w;
  w.n = n;
  w.k = k;
  w.dtype = dtype;
  w.data = tensor::Buffer(static_cast<size_t>(n * k * tensor::dtype_bytes(dtype)));
  fill_random(mix(seed), w.data.as<std::byte>(), w.data.size_bytes());
  const double deviation = 1 / std::sqrt(static_cast<double>(k));
  if (dtype == tensor::DType::kI8) {
    w.scale.assign(static_cast<size_t>(n), static_cast<float>(deviation / kCodeDeviation));
  } else {
    to_bf16_range(w.data.as<uint16_t>(), n * k, static_cast<int>(std::floor(std::log2(deviation))));
  }
  return w;
}

// The embedding is matrix 0, lm_head 1, then the linears layer by layer.
uint64_t SyntheticWeights::matrix_seed(uint64_t which) const { return mix(options_.seed) + which; }

Result<LayerWeights> SyntheticWeights::layer(int64_t layer) const {
  const ModelConfig& c = config_;
  LayerWeights weights;
  weights.input_norm.assign(static_cast<size_t>(c.d_model), 1.0F);
  weights.post_attention_norm = weights.input_norm;
  if (c.arch->qk_norm) {
    weights.q_norm.assign(static_cast<size_t>(c.head_dim), 1.0F);
    weights.k_norm = weights.q_norm;
  }
  const auto make = [&](LinearSlot slot, int64_t n, int64_t k, bool has_bias) {
    const uint64_t which = 2 + static_cast<uint64_t>(layer * kNLinearSlots) + static_cast<uint64_t>(slot);
    weights[slot] = synthetic_linear(n, k, options_.linears, matrix_seed(which));
    if (has_bias) weights[slot].bias.assign(static_cast<size_t>(n), 0x1p-7F);
  };
  make(LinearSlot::kQ, c.q_width(), c.d_model, c.attention_bias);
  make(LinearSlot::kK, c.kv_width(), c.d_model, c.attention_bias);
  make(LinearSlot::kV, c.kv_width(), c.d_model, c.attention_bias);
  make(LinearSlot::kO, c.d_model, c.q_width(), c.attention_bias);
  make(LinearSlot::kGate, c.d_ff, c.d_model, c.mlp_bias);
  make(LinearSlot::kUp, c.d_ff, c.d_model, c.mlp_bias);
  make(LinearSlot::kDown, c.d_model, c.d_ff, c.mlp_bias);
  return weights;
}

Result<OuterWeights> SyntheticWeights::outer() const {
  OuterWeights weights;
  weights.embedding =
      synthetic_linear(config_.n_vocab, config_.d_model, tensor::DType::kBF16, matrix_seed(0));
  if (!config_.tied_embeddings) {
    weights.lm_head =
        synthetic_linear(config_.n_vocab, config_.d_model, tensor::DType::kBF16, matrix_seed(1));
  }
  weights.final_norm.assign(static_cast<size_t>(config_.d_model), 1.0F);
  return weights;
}

uint64_t synthetic_bytes(const ModelConfig& c, const SyntheticOptions& options) {
  const int64_t n_layer = c.d_model * (2 * c.q_width() + 2 * c.kv_width() + 3 * c.d_ff);
  const int64_t n_outer = c.n_vocab * c.d_model * (c.tied_embeddings ? 1 : 2);
  return static_cast<uint64_t>(c.n_layers * n_layer * tensor::dtype_bytes(options.linears) +
                               n_outer * tensor::dtype_bytes(tensor::DType::kBF16));
}

}  // namespace octavo::model
