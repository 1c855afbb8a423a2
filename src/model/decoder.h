#pragma once
// The forward pass of every decoder model: tokens -> logits. An ArchSpec tells what differs between
// architectures.
//   h = embed(tokens);  per layer: h += o(attention(rope(qk_norm(q,k)), v)) on input_norm(h);
//                                  h += down(silu(gate) * up) on post_attention_norm(h);  logits =
//                                  lm_head(norm(h))
// h is fp32 throughout. Bits of a row do not depend on the other rows, chunking, threads or ISA
// (docs/NUMERICS.md).
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "octavo/progress.h"

#include "base/threads.h"
#include "model/config.h"
#include "model/head_type.h"
#include "model/kv_cache.h"
#include "model/linear.h"
#include "model/rope_table.h"
#include "model/tap.h"
#include "model/weights.h"

namespace octavo::model {

// One sequence's part of a batch.
struct BatchSequence {
  std::span<const int32_t> tokens;  // 0 <= id < n_vocab, at least one
  int64_t position_begin = 0;       // of tokens[0]; the KV of all before it is in the cache
  std::span<const int32_t> blocks;  // block table, covers position_begin + tokens.size()
};

class StepProfile;  // model/step_profile.h
class Workspace;    // model/workspace.h

// What a step has to multiply by and to read, at least: the floor that speeds are compared with.
struct WeightTotals {
  int64_t n_s8 = 0, n_float = 0;  // weights of the layers' linears
  uint64_t layer_bytes = 0;       // packed, norms included
  int64_t n_head = 0;             // weights of lm_head
  bool head_is_s8 = false;
  uint64_t head_bytes = 0;
  const char* layer_kernel = "";  // of the first layer's gate_proj
  const char* head_kernel = "";
};

// One layer's packed weights, and its two blocks apart, so that quantizing can run a layer (or a changed
// copy) alone.
class DecoderLayer {
 public:
  // `config` outlives it. Packed on the threads of `pool` where there is one.
  DecoderLayer(const ModelConfig& config, LayerWeights weights, kernels::Isa isa,
               base::ThreadPool* pool = nullptr);
  // The norms of `weights`, and its linears already packed, in the order of their slots.
  DecoderLayer(const ModelConfig& config, const LayerWeights& weights, std::vector<Linear> linears,
               kernels::Isa isa);
  // The norms and linears that `weights` has (the others may be empty, and stay) instead of its own.
  void replace(const LayerWeights& weights, base::ThreadPool& pool);
  void replace(LayerWeights&& weights, base::ThreadPool& pool);

  // y[m, d_model] = o_proj(attention(input_norm(h))): h is not changed, no residual added. `layer` indexes
  // the cache. Positions and blocks are the caller's promise: Model::forward checks them.
  void attention_block(Workspace& workspace, const float* h, std::span<const BatchSequence> batch,
                       int64_t layer, KvCache& cache, float* y, Tap* tap = nullptr) const;
  // y[m, d_model] = down(silu(gate) * up) on post_attention_norm(h).
  void mlp_block(Workspace& workspace, const float* h, int64_t m, int64_t layer, float* y,
                 Tap* tap = nullptr) const;
  uint64_t packed_bytes() const;
  void add_to(WeightTotals& totals) const;

 private:
  friend class Model;
  void take_norms(const LayerWeights& weights);
  template <class Weights>
  void take(Weights&& weights, base::ThreadPool* pool);
  std::array<Linear*, kNLinearSlots> linears() { return {&q_, &k_, &v_, &o_, &gate_, &up_, &down_}; }
  // The same blocks; y += when accumulating, and then y may be h.
  void attend(Workspace& workspace, const float* h, std::span<const BatchSequence> batch, int64_t layer,
              KvCache& cache, float* y, bool accumulate, Tap* tap) const;
  void feed_forward(Workspace& workspace, const float* h, int64_t m, int64_t layer, float* y, bool accumulate,
                    Tap* tap) const;

  const ModelConfig* config_;
  kernels::Isa isa_;
  std::vector<float> input_norm_, post_attention_norm_, q_norm_, k_norm_;
  Linear q_, k_, v_, o_, gate_, up_, down_;
};

struct ModelOptions {
  kernels::Isa isa = kernels::Isa::kRef;
  base::ThreadPool* pool = nullptr;  // outlives the model
  HeadType head_type = HeadType::kAuto;
};

class Model {
 public:
  // Layer by layer: matrices are read and checked in pieces as they are packed, none is held plain but an
  // embedding whose packed lm_head cannot stand in for it (an untied one, an int8 one). progress: told of
  // each layer; may cancel between two.
  static Result<std::unique_ptr<Model>> load(const format::Checkpoint& checkpoint,
                                             const ModelOptions& options, Progress* progress = nullptr);
  // The same from any source, which makes a layer while the one before is packed; no more than these two are
  // held plain. `name` is what errors and the interrupt call it.
  static Result<std::unique_ptr<Model>> build(const ModelConfig& config, const WeightSource& source,
                                              const std::string& name, const ModelOptions& options,
                                              Progress* progress = nullptr);
  ~Model();

  const ModelConfig& config() const;
  uint64_t packed_bytes() const;
  WeightTotals totals() const;
  // kAuto: checkpoints whose embedding is F32 (or F16, which becomes F32) keep F32 keys and values, all
  // others bf16. forward() takes caches of every type.
  kernels::KvShape kv_shape(KvType type = KvType::kAuto) const;
  KvCache make_cache(int64_t n_tokens, KvType type = KvType::kAuto) const;

  // Runs the batch; the final rows stay until the next call. Errors: no token, a token id out of range, a
  // position past max_positions, a block table too short. After an error nothing has changed
  // but the final rows, and keys and values from position_begin on. progress: asked between layers whether to
  // end with kCancelled.
  Status forward(std::span<const BatchSequence> batch, KvCache& cache, Tap* tap = nullptr,
                 const Progress* progress = nullptr);
  // Times of the operations of forward() and logits() are added to it until it is taken away (nullptr).
  void set_profile(StepProfile* profile);
  // logits[rows.size(), n_vocab] of the given rows (counted through the batch) of the last forward().
  void logits(std::span<const int64_t> rows, float* logits);

 private:
  struct State;
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace octavo::model
