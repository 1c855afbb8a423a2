#pragma once
// The forward pass of every decoder model: tokens -> logits. An ArchSpec tells what differs between
// architectures.
//   h = embed(tokens);  per layer: h += o(attention(rope(qk_norm(q,k)), v)) on input_norm(h);
//                                  h += down(silu(gate) * up) on post_attention_norm(h);  logits =
//                                  lm_head(norm(h))
// h is fp32 throughout. Bits of a row do not depend on the other rows, chunking, threads or ISA
// (docs/NUMERICS.md).
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/threads.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/linear.h"
#include "model/tap.h"
#include "model/weights.h"

namespace octavo::model {

// cos and sin of position * inv_freq, [n_positions, head_dim / 2] each; grown on demand, same bits however it
// grows.
class RopeTable {
 public:
  explicit RopeTable(const ModelConfig& config);
  void reserve(int64_t n_positions);  // not thread-safe
  const float* cosine(int64_t position) const;
  const float* sine(int64_t position) const;

 private:
  std::vector<float> inv_freq_;  // [head_dim / 2]
  std::vector<float> cosine_, sine_;
};

// One sequence's part of a batch.
struct BatchSequence {
  std::span<const int32_t> tokens;  // checked: 0 <= id < n_vocab
  int64_t position_begin = 0;       // of tokens[0]; the KV of all before it is in the cache
  std::span<const int32_t> blocks;  // block table, covers position_begin + tokens.size()
};

// Activations of a forward pass, allocated once per capacity and reused.
class Workspace;

// One layer's packed weights, and its two blocks apart, so that quantizing can run a layer (or a changed
// copy) alone.
class DecoderLayer {
 public:
  DecoderLayer(const ModelConfig& config, LayerWeights weights, kernels::Isa isa);

  // y[m, d_model] = o_proj(attention(input_norm(h))): h is not changed, no residual added. `layer` indexes
  // the cache.
  void attention_block(Workspace& workspace, const float* h, std::span<const BatchSequence> batch,
                       int64_t layer, KvCache& cache, float* y, Tap* tap = nullptr) const;
  // y[m, d_model] = down(silu(gate) * up) on post_attention_norm(h).
  void mlp_block(Workspace& workspace, const float* h, int64_t m, int64_t layer, float* y,
                 Tap* tap = nullptr) const;
  uint64_t packed_bytes() const;

 private:
  friend class Model;
  const ModelConfig* config_;
  kernels::Isa isa_;
  std::vector<float> input_norm_, post_attention_norm_, q_norm_, k_norm_;
  Linear q_, k_, v_, o_, gate_, up_, down_;
};

struct ModelOptions {
  kernels::Isa isa = kernels::Isa::kRef;
  base::ThreadPool* pool = nullptr;  // outlives the model
};

class Model {
 public:
  // Layer by layer: read, check, pack, free.
  static Result<std::unique_ptr<Model>> load(const format::Checkpoint& checkpoint,
                                             const ModelOptions& options);
  ~Model();

  const ModelConfig& config() const;
  uint64_t packed_bytes() const;
  // F32 checkpoints keep F32 keys and values, all others bf16.
  kernels::KvShape kv_shape() const;
  KvCache make_cache(int64_t n_tokens) const;

  // Runs the batch; afterwards hidden() holds final_norm's input rows for all tokens, in batch order.
  // Errors: a token id out of range, a position past max_positions, a block table too short.
  Status forward(std::span<const BatchSequence> batch, KvCache& cache, Tap* tap = nullptr);
  // logits[rows.size(), n_vocab] of the given rows of the last forward's batch.
  void logits(std::span<const int64_t> rows, float* logits);

 private:
  struct State;
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace octavo::model
