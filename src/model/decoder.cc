// The forward pass, one for all decoder models: a layer's two blocks, and the model around the layers. Each
// block normalizes its input once per form that its linears read (f32, bf16, or int8 codes with a scale per
// row or the static ones of calibration). Called by engine/ (through Model) and by quant/ (single layers).
// Llama's layer: arXiv 2307.09288, section 2.
#include "model/decoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "base/memory.h"
#include "base/text_format.h"
#include "kernels/elementwise/elementwise.h"
#include "model/arch/arch_spec.h"
#include "model/linear_packing.h"
#include "model/workspace.h"

namespace octavo::model {

namespace {

using kernels::RowForm;

// Rows that several linears read: `produce(RowOut)` makes a form when it is first asked for, once; int8 codes
// again where the next linear wants others.
template <class Produce>
class SharedRows {
 public:
  SharedRows(Workspace& workspace, int64_t m, int64_t k, Produce produce)
      : workspace_(workspace), m_(m), k_(k), produce_(std::move(produce)) {}

  // As `linear` reads them, until the next call; `linear` outlives the rows.
  const Rows& for_linear(const Linear& linear) { return in(linear.input_form(), linear.static_input()); }

  // Every linear's product; those that read one form run side by side.
  void multiply(base::ThreadPool& pool, std::initializer_list<LinearCall> linears) {
    const std::span<const LinearCall> calls(linears.begin(), linears.size());
    for (size_t begin = 0, end = 0; begin < calls.size(); begin = end) {
      const Linear& first = *calls[begin].linear;
      do ++end;
      while (end < calls.size() && calls[end].linear->reads_rows_of(first));
      Linear::forward_all(pool, for_linear(first), calls.subspan(begin, end - begin));
    }
  }

  void show(Tap* tap, int64_t layer, TapSite site) {
    if (tap == nullptr) return;
    tap->on_rows(layer, site, static_cast<const float*>(in(RowForm::kF32, nullptr).data), m_, k_);
  }

 private:
  const Rows& in(RowForm form, const StaticInput* input) {
    Rows& rows = made_[static_cast<size_t>(form)];
    if (rows.data != nullptr && (form != RowForm::kS8 || are_equal(input, coded_for_))) return rows;
    kernels::RowOut out = workspace_.rows(form, k_);
    kernels::StaticCodes codes;
    if (input != nullptr) {
      codes = static_codes(*input);
      out.static_codes = &codes;
    }
    produce_(out);
    if (form == RowForm::kS8) coded_for_ = input;
    rows = {form, out.data, out.scale, m_, k_};
    return rows;
  }
  static bool are_equal(const StaticInput* a, const StaticInput* b) {
    return a == b || (a != nullptr && b != nullptr && *a == *b);
  }

  Workspace& workspace_;
  int64_t m_, k_;
  Produce produce_;
  std::array<Rows, 3> made_;
  const StaticInput* coded_for_ = nullptr;  // what the int8 codes are, once made
};

int64_t count_rows(std::span<const BatchSequence> batch) {
  int64_t n = 0;
  for (const BatchSequence& sequence : batch) n += static_cast<int64_t>(sequence.tokens.size());
  return n;
}

}  // namespace

DecoderLayer::DecoderLayer(const ModelConfig& config, LayerWeights weights, kernels::Isa isa,
                           base::ThreadPool* pool)
    : config_(&config), isa_(isa) {
  take(std::move(weights), pool);
}

DecoderLayer::DecoderLayer(const ModelConfig& config, const LayerWeights& weights,
                           std::vector<Linear> linears, kernels::Isa isa)
    : config_(&config), isa_(isa) {
  OCTAVO_CHECK(linears.size() == kNLinearSlots);
  take_norms(weights);
  for (size_t slot = 0; slot < linears.size(); ++slot) *this->linears()[slot] = std::move(linears[slot]);
}

void DecoderLayer::replace(const LayerWeights& weights, base::ThreadPool& pool) { take(weights, &pool); }
void DecoderLayer::replace(LayerWeights&& weights, base::ThreadPool& pool) {
  take(std::move(weights), &pool);
}

void DecoderLayer::take_norms(const LayerWeights& weights) {
  const auto take_norm = [](std::vector<float>& to, const std::vector<float>& from) {
    if (!from.empty()) to = from;
  };
  take_norm(input_norm_, weights.input_norm);
  take_norm(post_attention_norm_, weights.post_attention_norm);
  take_norm(q_norm_, weights.q_norm);
  take_norm(k_norm_, weights.k_norm);
}

template <class Weights>
void DecoderLayer::take(Weights&& weights, base::ThreadPool* pool) {
  take_norms(weights);
  const std::array<Linear*, kNLinearSlots> to = linears();
  for (size_t slot = 0; slot < to.size(); ++slot) {
    if (weights.linear[slot].n == 0) continue;
    *to[slot] = Linear();  // so that old and new are never held together
    if constexpr (std::is_lvalue_reference_v<Weights>) {
      *to[slot] = Linear(weights.linear[slot], isa_, pool);
    } else {
      *to[slot] = Linear(std::move(weights.linear[slot]), isa_, pool);
    }
  }
}

uint64_t DecoderLayer::packed_bytes() const {
  uint64_t n_bytes =
      sizeof(float) * (input_norm_.size() + post_attention_norm_.size() + q_norm_.size() + k_norm_.size());
  for (const Linear* linear : {&q_, &k_, &v_, &o_, &gate_, &up_, &down_}) n_bytes += linear->packed_bytes();
  return n_bytes;
}

void DecoderLayer::add_to(WeightTotals& totals) const {
  for (const Linear* linear : {&q_, &k_, &v_, &o_, &gate_, &up_, &down_}) {
    (linear->input_form() == RowForm::kS8 ? totals.n_s8 : totals.n_float) += linear->n() * linear->k();
  }
  totals.layer_bytes += packed_bytes();
}

void DecoderLayer::attention_block(Workspace& workspace, const float* h, std::span<const BatchSequence> batch,
                                   int64_t layer, KvCache& cache, float* y, Tap* tap) const {
  attend(workspace, h, batch, layer, cache, y, /*accumulate=*/false, tap);
}

void DecoderLayer::mlp_block(Workspace& workspace, const float* h, int64_t m, int64_t layer, float* y,
                             Tap* tap) const {
  feed_forward(workspace, h, m, layer, y, /*accumulate=*/false, tap);
}

void DecoderLayer::attend(Workspace& workspace, const float* h, std::span<const BatchSequence> batch,
                          int64_t layer, KvCache& cache, float* y, bool accumulate, Tap* tap) const {
  const base::FlushDenormals flush;
  const ModelConfig& c = *config_;
  base::ThreadPool& pool = workspace.pool();
  const kernels::ElementwiseKernels& rows = kernels::select_elementwise(isa_);
  const kernels::AttentionKernels& attention = kernels::select_attention(isa_);
  const int64_t m = count_rows(batch);
  workspace.reserve(m);
  float* q = workspace.q_.as<float>();
  float* k = workspace.k_.as<float>();
  float* v = workspace.v_.as<float>();
  float* attended = workspace.attended_.as<float>();

  SharedRows x(workspace, m, c.d_model, [&](kernels::RowOut out) {
    kernels::rms_norm(pool, rows, h, c.d_model, input_norm_.data(), c.rms_norm_eps, m, c.d_model, out);
    workspace.ended(Operation::kNorm);
  });
  x.show(tap, layer, TapSite::kAttentionInput);
  x.multiply(pool, {{&q_, q, c.q_width()}, {&k_, k, c.kv_width()}, {&v_, v, c.kv_width()}});
  workspace.ended(Operation::kQkv);

  const std::span<const kernels::AttentionSequence> sequences = workspace.sequences(batch, layer, cache);
  const Workspace::Angles angles = workspace.angles(batch);
  const kernels::HeadNorms norms = {q_norm_.empty() ? nullptr : q_norm_.data(),
                                    k_norm_.empty() ? nullptr : k_norm_.data(), c.rms_norm_eps};
  kernels::rope_kv_write(pool, rows, attention, cache.shape(), q, c.n_heads, k, v, norms, angles.cosine,
                         angles.sine, sequences);
  workspace.ended(Operation::kRopeKvWrite);
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)));
  kernels::attention(pool, attention, cache.shape(), q, c.q_width(), c.n_heads, scale, sequences, attended,
                     workspace.attention_scratch(cache.shape()));
  workspace.ended(Operation::kAttention);

  SharedRows a(workspace, m, c.q_width(), [&](kernels::RowOut out) {
    kernels::convert_rows(pool, rows, attended, c.q_width(), m, c.q_width(), out);
    workspace.ended(Operation::kAttentionRows);
  });
  a.show(tap, layer, TapSite::kOutputInput);
  o_.forward(pool, a.for_linear(o_), y, c.d_model, accumulate);
  workspace.ended(Operation::kOutput);
}

void DecoderLayer::feed_forward(Workspace& workspace, const float* h, int64_t m, int64_t layer, float* y,
                                bool accumulate, Tap* tap) const {
  const base::FlushDenormals flush;
  const ModelConfig& c = *config_;
  base::ThreadPool& pool = workspace.pool();
  const kernels::ElementwiseKernels& rows = kernels::select_elementwise(isa_);
  workspace.reserve(m);
  float* gate = workspace.gate_.as<float>();
  float* up = workspace.up_.as<float>();

  SharedRows x(workspace, m, c.d_model, [&](kernels::RowOut out) {
    kernels::rms_norm(pool, rows, h, c.d_model, post_attention_norm_.data(), c.rms_norm_eps, m, c.d_model,
                      out);
    workspace.ended(Operation::kNorm);
  });
  x.show(tap, layer, TapSite::kMlpInput);
  const bool is_gated = Linear::can_gate(gate_, up_);
  if (is_gated && down_.static_input() != nullptr && tap == nullptr) {
    const kernels::StaticCodes codes = static_codes(*down_.static_input());
    // Not in workspace.rows(): x lies there.
    Linear::forward_gated(pool, x.for_linear(up_), gate_, up_, {RowForm::kS8, gate, up, &codes});
    workspace.ended(Operation::kGateUp);
    down_.forward(pool, {RowForm::kS8, gate, up, m, c.d_ff}, y, c.d_model, accumulate);
    workspace.ended(Operation::kDown);
    return;
  }
  if (is_gated) {
    Linear::forward_gated(pool, x.for_linear(up_), gate_, up_, {RowForm::kF32, up, nullptr});
  } else {
    x.multiply(pool, {{&gate_, gate, c.d_ff}, {&up_, up, c.d_ff}});
  }
  workspace.ended(Operation::kGateUp);

  SharedRows a(workspace, m, c.d_ff, [&](kernels::RowOut out) {
    if (is_gated) {
      kernels::convert_rows(pool, rows, up, c.d_ff, m, c.d_ff, out);
    } else {
      kernels::silu_mul(pool, rows, gate, up, c.d_ff, m, c.d_ff, out);
    }
    workspace.ended(Operation::kSilu);
  });
  a.show(tap, layer, TapSite::kDownInput);
  down_.forward(pool, a.for_linear(down_), y, c.d_model, accumulate);
  workspace.ended(Operation::kDown);
}

struct Model::State {
  State(const ModelConfig& the_config, const ModelOptions& options)
      : config(the_config),
        isa(options.isa),
        pool(*options.pool),
        rope(config),
        workspace(config, pool, rope) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Status take_head(OuterWeights outer, HeadType type);
  void embed(std::span<const BatchSequence> batch, float* h);
  uint64_t packed_bytes() const;

  ModelConfig config;  // the layers and the workspace point at it
  kernels::Isa isa;
  base::ThreadPool& pool;
  tensor::DType kv_dtype = tensor::DType::kBF16;
  LinearWeight embedding;  // empty where its rows are looked up in lm_head
  std::vector<DecoderLayer> layers;
  std::vector<float> final_norm;
  Linear lm_head;
  RopeTable rope;
  Workspace workspace;
  int64_t n_rows = 0;           // of the last batch, in workspace.hidden_
  std::vector<int32_t> tokens;  // of the batch, one after the other
};

Status Model::State::take_head(OuterWeights outer, HeadType type) {
  LinearWeight& head = config.tied_embeddings ? outer.embedding : outer.lm_head;
  const bool is_coded = type == HeadType::kInt8 && head.dtype != tensor::DType::kI8;
  if (is_coded) {
    OCTAVO_RETURN_IF_ERROR(read_rows(head, pool));
    lm_head = Linear(code_head(head, final_norm, isa, pool), isa, &pool);
    if (!config.tied_embeddings) head = {};
  } else {
    OCTAVO_ASSIGN_OR_RETURN(lm_head, pack_linear(head, isa, pool));
  }
  if (!is_coded && config.tied_embeddings) return {};
  OCTAVO_RETURN_IF_ERROR(read_rows(outer.embedding, pool));
  embedding = std::move(outer.embedding);
  return {};
}

void Model::State::embed(std::span<const BatchSequence> batch, float* h) {
  tokens.clear();
  for (const BatchSequence& sequence : batch) {
    tokens.insert(tokens.end(), sequence.tokens.begin(), sequence.tokens.end());
  }
  const auto row_bytes = static_cast<size_t>(config.d_model * tensor::dtype_bytes(embedding.dtype));
  pool.parallel_for(static_cast<int64_t>(tokens.size()), [&](int64_t i, int) {
    const int32_t token = tokens[static_cast<size_t>(i)];
    float* row = h + i * config.d_model;
    if (embedding.n == 0) {
      lm_head.weight_row(token, row);
    } else {
      const auto* from = embedding.data.as<std::byte>() + static_cast<size_t>(token) * row_bytes;
      tensor::convert_to_f32(embedding.dtype, from, row, config.d_model);
    }
  });
}

uint64_t Model::State::packed_bytes() const {
  uint64_t n_bytes = embedding.data.size_bytes() + sizeof(float) * final_norm.size() + lm_head.packed_bytes();
  for (const DecoderLayer& layer : layers) n_bytes += layer.packed_bytes();
  return n_bytes;
}

namespace {

// Packed weights take what the file's do, and F16 twice that; a model that does not fit is refused before an
// hour of swapping, or the kernel, ends the process. An int8 lm_head lies beside the embedding that it is
// tied to, and beside its plain codes while it is packed.
Status check_memory(const format::Checkpoint& checkpoint, const ModelConfig& config, HeadType head_type) {
  const bool adds_head = head_type == HeadType::kInt8 && config.tied_embeddings;
  uint64_t need = adds_head ? static_cast<uint64_t>(2 * config.n_vocab * config.d_model) : 0;
  for (const format::TensorInfo* info : checkpoint.tensors()) {
    need += info->n_bytes * (info->dtype == tensor::DType::kF16 ? 2 : 1);
  }
  const uint64_t available = base::available_memory_bytes();
  if (need <= available) return {};
  return resource_exhausted(checkpoint.folder() + ": the weights need " + base::format_bytes(need) +
                            " of memory, " + base::format_bytes(available) + " are available");
}

Status check_batch(std::span<const BatchSequence> batch, const ModelConfig& config) {
  if (batch.empty()) return invalid_argument("the batch has no sequence");
  for (size_t i = 0; i < batch.size(); ++i) {
    const BatchSequence& sequence = batch[i];
    const auto name = [i] { return "sequence " + std::to_string(i) + " of the batch: "; };
    const auto n_tokens = static_cast<int64_t>(sequence.tokens.size());
    if (n_tokens == 0) return invalid_argument(name() + "expected at least one token");
    for (size_t j = 0; j < sequence.tokens.size(); ++j) {
      if (sequence.tokens[j] >= 0 && sequence.tokens[j] < config.n_vocab) continue;
      return invalid_argument(name() + "token " + std::to_string(j) + " is " +
                              std::to_string(sequence.tokens[j]) + "; the vocabulary has ids from 0 to " +
                              std::to_string(config.n_vocab - 1));
    }
    if (sequence.position_begin < 0 || sequence.position_begin > config.max_positions - n_tokens) {
      return resource_exhausted(name() + std::to_string(n_tokens) + " tokens from position " +
                                std::to_string(sequence.position_begin) +
                                " on do not fit the model's context of " +
                                std::to_string(config.max_positions) + " tokens");
    }
    const int64_t n_blocks = KvCache::blocks_for(sequence.position_begin + n_tokens);
    if (static_cast<int64_t>(sequence.blocks.size()) < n_blocks) {
      return invalid_argument(name() + "its block table has " + std::to_string(sequence.blocks.size()) +
                              " of the " + std::to_string(n_blocks) + " blocks it needs");
    }
  }
  return {};
}

}  // namespace

namespace {

class CheckpointWeights : public WeightSource {
 public:
  CheckpointWeights(const format::Checkpoint& checkpoint, const ModelConfig& config)
      : checkpoint_(checkpoint), config_(config) {}
  Result<LayerWeights> layer(int64_t layer) const override { return open_layer(checkpoint_, config_, layer); }
  Result<OuterWeights> outer() const override { return open_outer(checkpoint_, config_); }

 private:
  const format::Checkpoint& checkpoint_;
  const ModelConfig& config_;
};

}  // namespace

Result<std::unique_ptr<Model>> Model::load(const format::Checkpoint& checkpoint, const ModelOptions& options,
                                           Progress* progress) {
  OCTAVO_ASSIGN_OR_RETURN(const ModelConfig config,
                          parse_model_config(checkpoint.config(), checkpoint.folder() + "/config.json"));
  OCTAVO_RETURN_IF_ERROR(check_tensors(checkpoint, config));
  OCTAVO_RETURN_IF_ERROR(check_memory(checkpoint, config, options.head_type));
  return build(config, CheckpointWeights(checkpoint, config), checkpoint.folder(), options, progress);
}

Result<std::unique_ptr<Model>> Model::build(const ModelConfig& config, const WeightSource& source,
                                            const std::string& name, const ModelOptions& options,
                                            Progress* progress) {
  OCTAVO_CHECK(options.pool != nullptr);
  auto state = std::make_unique<State>(config, options);
  state->layers.reserve(static_cast<size_t>(config.n_layers));
  PieceMemories memories(static_cast<size_t>(state->pool.n_threads()));
  Result<LayerWeights> next = source.layer(0);
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    if (progress != nullptr) {
      progress->update("load", layer, config.n_layers);
      if (progress->cancelled()) return cancelled("loading " + name + " was interrupted");
    }
    OCTAVO_ASSIGN_OR_RETURN(LayerWeights weights, std::move(next));
    LinearPackings packings(weights.linear, options.isa, memories);
    const int64_t n_others = layer + 1 < config.n_layers ? 1 : 0;  // tasks before the pieces: the next layer
    state->pool.parallel_for(n_others + packings.n_pieces(), [&](int64_t task, int thread) {
      if (task < n_others) {
        next = source.layer(layer + 1);
      } else {
        packings.pack(task - n_others, thread);
      }
    });
    OCTAVO_ASSIGN_OR_RETURN(std::vector<Linear> linears, packings.take());
    state->layers.emplace_back(state->config, weights, std::move(linears), options.isa);
  }
  OCTAVO_ASSIGN_OR_RETURN(OuterWeights outer, source.outer());
  state->kv_dtype = outer.embedding.dtype;
  state->final_norm = std::move(outer.final_norm);
  OCTAVO_RETURN_IF_ERROR(state->take_head(std::move(outer), options.head_type));
  if (progress != nullptr) progress->update("load", config.n_layers, config.n_layers);
  return std::unique_ptr<Model>(new Model(std::move(state)));
}

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::~Model() = default;

const ModelConfig& Model::config() const { return state_->config; }
uint64_t Model::packed_bytes() const { return state_->packed_bytes(); }

WeightTotals Model::totals() const {
  WeightTotals totals;
  for (const DecoderLayer& layer : state_->layers) layer.add_to(totals);
  totals.layer_kernel = state_->layers.front().gate_.kernel_name();
  totals.n_head = state_->lm_head.n() * state_->lm_head.k();
  totals.head_is_s8 = state_->lm_head.input_form() == RowForm::kS8;
  totals.head_bytes = state_->lm_head.packed_bytes();
  totals.head_kernel = state_->lm_head.kernel_name();
  return totals;
}

kernels::KvShape Model::kv_shape(KvType type) const {
  const tensor::DType dtype = type == KvType::kInt8 ? tensor::DType::kI8 : state_->kv_dtype;
  return {dtype, state_->config.n_kv_heads, state_->config.head_dim};
}

KvCache Model::make_cache(int64_t n_tokens, KvType type) const {
  return {state_->config.n_layers, kv_shape(type), KvCache::blocks_for(n_tokens)};
}

Status Model::forward(std::span<const BatchSequence> batch, KvCache& cache, Tap* tap,
                      const Progress* progress) {
  State& s = *state_;
  OCTAVO_RETURN_IF_ERROR(check_batch(batch, s.config));
  const base::FlushDenormals flush;
  s.workspace.begun();
  s.n_rows = count_rows(batch);
  s.workspace.reserve(s.n_rows);
  float* h = s.workspace.hidden_.as<float>();
  s.embed(batch, h);
  s.workspace.ended(Operation::kEmbed);
  for (size_t i = 0; i < s.layers.size(); ++i) {
    if (progress != nullptr && progress->cancelled()) return cancelled("the forward pass was interrupted");
    const auto layer = static_cast<int64_t>(i);
    s.layers[i].attend(s.workspace, h, batch, layer, cache, h, /*accumulate=*/true, tap);
    s.layers[i].feed_forward(s.workspace, h, s.n_rows, layer, h, /*accumulate=*/true, tap);
  }
  return {};
}

void Model::set_profile(StepProfile* profile) { state_->workspace.set_profile(profile); }

void Model::logits(std::span<const int64_t> rows, float* logits) {
  const base::FlushDenormals flush;
  State& s = *state_;
  const int64_t d_model = s.config.d_model;
  const kernels::ElementwiseKernels& elementwise = kernels::select_elementwise(s.isa);
  OCTAVO_CHECK(rows.empty() || s.n_rows > 0);
  s.workspace.begun();
  // The workspace has room for n_rows at a time; rows may repeat.
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(s.n_rows)) {
    const auto part = rows.subspan(begin, std::min(rows.size() - begin, static_cast<size_t>(s.n_rows)));
    const auto m = static_cast<int64_t>(part.size());
    auto* gathered = static_cast<float*>(s.workspace.rows(RowForm::kF32, d_model).data);
    for (int64_t i = 0; i < m; ++i) {
      const int64_t row = part[static_cast<size_t>(i)];
      OCTAVO_CHECK(row >= 0 && row < s.n_rows);
      std::copy_n(s.workspace.hidden_.as<float>() + row * d_model, d_model, gathered + i * d_model);
    }
    SharedRows normed(s.workspace, m, d_model, [&](kernels::RowOut out) {
      kernels::rms_norm(s.pool, elementwise, gathered, d_model, s.final_norm.data(), s.config.rms_norm_eps, m,
                        d_model, out);
    });
    s.lm_head.forward(s.pool, normed.for_linear(s.lm_head),
                      logits + static_cast<int64_t>(begin) * s.config.n_vocab, s.config.n_vocab);
    s.workspace.ended(Operation::kHead);
  }
}

}  // namespace octavo::model
