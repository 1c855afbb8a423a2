// Finds a decoder's tensors in a checkpoint by the names of its ArchSpec, checks type and shape against the
// config and the quantization manifest, and reads them with their values checked. Finding (headers alone) and
// reading are two steps of one path, so that check_tensors() accepts exactly what read_layer() and
// read_outer() will. Called by Model::load and by the quantizing pipeline.
#include "model/weights.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "base/text_format.h"
#include "format/quant_manifest/quant_manifest.h"
#include "model/arch/arch_spec.h"
#include "model/checkpoint_tensors.h"
#include "model/config.h"
#include "model/input_readers.h"
#include "model/linear_tensors.h"

namespace octavo::model {

namespace {

using format::TensorInfo;
using tensor::DType;

// First element whose exponent bits are all ones (infinity or NaN), of the float types a checkpoint may hold.
template <class Word>
std::optional<int64_t> find_exponent(const void* data, int64_t n, Word exponent) {
  const auto* words = static_cast<const Word*>(data);
  constexpr int64_t kBlock = 4096;  // whole blocks without an early exit, so that they vectorize
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    Word found = 0;
    for (int64_t i = begin; i < end; ++i)
      found |= static_cast<Word>((words[i] & exponent) == exponent ? 1 : 0);
    if (found == 0) continue;
    for (int64_t i = begin; i < end; ++i) {
      if ((words[i] & exponent) == exponent) return i;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> find_non_finite(DType dtype, const void* data, int64_t n) {
  if (dtype == DType::kBF16) return find_exponent<uint16_t>(data, n, 0x7f80);
  if (dtype == DType::kF16) return find_exponent<uint16_t>(data, n, 0x7c00);
  return find_exponent<uint32_t>(data, n, 0x7f800000);
}

namespace {

struct LayerTensors {
  const TensorInfo* input_norm = nullptr;
  const TensorInfo* post_attention_norm = nullptr;
  const TensorInfo* q_norm = nullptr;
  const TensorInfo* k_norm = nullptr;
  std::array<LinearTensors, kNLinearSlots> linear;
};

struct OuterTensors {
  LinearTensors embedding;
  const TensorInfo* final_norm = nullptr;
  LinearTensors lm_head;  // empty when tied
};

// Linears that read one input, both int8: whether `same(a, b)`, that they can read the same codes.
// compressed-tensors' runtimes fuse them, so there they share one scale.
template <class Same>
Status check_shared_inputs(const CheckpointTensors& tensors, const ModelConfig& config, int64_t layer,
                           const Same& same) {
  if (tensors.manifest().layout() != format::QuantLayout::kCompressedTensors) return {};
  for (int site = 0; site < kNTapSites; ++site) {
    const std::span<const LinearSlot> readers = readers_of(static_cast<TapSite>(site));
    for (const LinearSlot slot : readers) {
      for (const LinearSlot other : readers) {
        if (same(slot, other)) continue;
        return unsupported(tensors.checkpoint().folder() + ": " +
                           base::quoted(linear_name(*config.arch, layer, slot)) + " and " +
                           base::quoted(linear_name(*config.arch, layer, other)) +
                           " differ in their input's quantization; expected one input scale and zero point "
                           "for both, which read the same input");
      }
    }
  }
  return {};
}

Result<LayerTensors> find_layer(CheckpointTensors& tensors, const ModelConfig& c, int64_t layer) {
  const ArchSpec& arch = *c.arch;
  const std::array<Shape, kNLinearSlots> shapes = {{
      {{c.q_width(), c.d_model}, "[num_attention_heads * head_dim, hidden_size]"},
      {{c.kv_width(), c.d_model}, "[num_key_value_heads * head_dim, hidden_size]"},
      {{c.kv_width(), c.d_model}, "[num_key_value_heads * head_dim, hidden_size]"},
      {{c.d_model, c.q_width()}, "[hidden_size, num_attention_heads * head_dim]"},
      {{c.d_ff, c.d_model}, "[intermediate_size, hidden_size]"},
      {{c.d_ff, c.d_model}, "[intermediate_size, hidden_size]"},
      {{c.d_model, c.d_ff}, "[hidden_size, intermediate_size]"},
  }};
  LayerTensors out;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const bool has_bias = i <= static_cast<size_t>(LinearSlot::kO) ? c.attention_bias : c.mlp_bias;
    const std::string module = linear_name(arch, layer, static_cast<LinearSlot>(i));
    OCTAVO_ASSIGN_OR_RETURN(out.linear[i], find_linear(tensors, module, shapes[i], has_bias));
  }
  OCTAVO_RETURN_IF_ERROR(check_shared_inputs(tensors, c, layer, [&](LinearSlot a, LinearSlot b) {
    const LinearTensors& first = out.linear[static_cast<size_t>(a)];
    const LinearTensors& second = out.linear[static_cast<size_t>(b)];
    const bool are_int8 = first.is_int8() && second.is_int8();
    return !are_int8 || (first.input_scale == nullptr) == (second.input_scale == nullptr);
  }));
  const std::string prefix = std::string(arch.layers) + "." + std::to_string(layer) + ".";
  const Shape wide = {{c.d_model}, "[hidden_size]"};
  const Shape head = {{c.head_dim}, "[head_dim]"};
  OCTAVO_ASSIGN_OR_RETURN(out.input_norm, tensors.find_float(prefix + arch.input_norm + ".weight", wide));
  OCTAVO_ASSIGN_OR_RETURN(out.post_attention_norm,
                          tensors.find_float(prefix + arch.post_attention_norm + ".weight", wide));
  if (arch.qk_norm) {
    OCTAVO_ASSIGN_OR_RETURN(out.q_norm, tensors.find_float(prefix + arch.q_norm + ".weight", head));
    OCTAVO_ASSIGN_OR_RETURN(out.k_norm, tensors.find_float(prefix + arch.k_norm + ".weight", head));
  }
  return out;
}

// A tied embedding may be stored under either name, or under both.
Result<LinearTensors> find_embedding(CheckpointTensors& tensors, const ModelConfig& c) {
  const format::Checkpoint& checkpoint = tensors.checkpoint();
  const Shape shape = {{c.n_vocab, c.d_model}, "[vocab_size, hidden_size]"};
  const std::string embedding = std::string(c.arch->embedding) + ".weight";
  const std::string lm_head = std::string(c.arch->lm_head) + ".weight";
  OCTAVO_ASSIGN_OR_RETURN(const auto quant, tensors.manifest().find(c.arch->embedding, "Embedding"));
  if (quant) return unsupported(checkpoint.folder() + ": a quantized embedding is not supported");
  const bool has_embedding = checkpoint.find(embedding) != nullptr;
  const bool has_lm_head = checkpoint.find(lm_head) != nullptr;
  const bool use_lm_head = c.tied_embeddings && !has_embedding && has_lm_head;
  LinearTensors out;
  out.n = c.n_vocab;
  out.k = c.d_model;
  OCTAVO_ASSIGN_OR_RETURN(out.weight, tensors.find_float(use_lm_head ? lm_head : embedding, shape));
  if (c.tied_embeddings && has_embedding && has_lm_head) {
    OCTAVO_ASSIGN_OR_RETURN(out.tied_copy, tensors.find_float(lm_head, shape));
    if (out.tied_copy->dtype != out.weight->dtype) {
      return corrupt(tensors.quote(*out.tied_copy) + ": expected " + tensor::dtype_name(out.weight->dtype) +
                     ", as " + base::quoted(out.weight->name) + " that it is tied to, found " +
                     tensor::dtype_name(out.tied_copy->dtype));
    }
  }
  return out;
}

Result<OuterTensors> find_outer(CheckpointTensors& tensors, const ModelConfig& c) {
  OuterTensors out;
  OCTAVO_ASSIGN_OR_RETURN(out.embedding, find_embedding(tensors, c));
  OCTAVO_ASSIGN_OR_RETURN(out.final_norm, tensors.find_float(std::string(c.arch->final_norm) + ".weight",
                                                             {{c.d_model}, "[hidden_size]"}));
  if (!c.tied_embeddings) {
    OCTAVO_ASSIGN_OR_RETURN(
        out.lm_head,
        find_linear(tensors, c.arch->lm_head, {{c.n_vocab, c.d_model}, "[vocab_size, hidden_size]"}, false));
  }
  return out;
}

Result<LayerWeights> load_layer(const format::Checkpoint& checkpoint, const ModelConfig& config,
                                int64_t layer, RowPlace place) {
  OCTAVO_ASSIGN_OR_RETURN(CheckpointTensors tensors, CheckpointTensors::open(checkpoint));
  OCTAVO_ASSIGN_OR_RETURN(const LayerTensors found, find_layer(tensors, config, layer));
  LayerWeights out;
  OCTAVO_ASSIGN_OR_RETURN(out.input_norm, tensors.read_floats(found.input_norm));
  OCTAVO_ASSIGN_OR_RETURN(out.post_attention_norm, tensors.read_floats(found.post_attention_norm));
  OCTAVO_ASSIGN_OR_RETURN(out.q_norm, tensors.read_floats(found.q_norm));
  OCTAVO_ASSIGN_OR_RETURN(out.k_norm, tensors.read_floats(found.k_norm));
  for (size_t i = 0; i < found.linear.size(); ++i) {
    OCTAVO_ASSIGN_OR_RETURN(out.linear[i], read_linear(tensors, found.linear[i], place));
  }
  OCTAVO_RETURN_IF_ERROR(check_shared_inputs(tensors, config, layer, [&](LinearSlot a, LinearSlot b) {
    return !out[a].input || !out[b].input || *out[a].input == *out[b].input;
  }));
  return out;
}

Result<OuterWeights> load_outer(const format::Checkpoint& checkpoint, const ModelConfig& config,
                                RowPlace place) {
  OCTAVO_ASSIGN_OR_RETURN(CheckpointTensors tensors, CheckpointTensors::open(checkpoint));
  OCTAVO_ASSIGN_OR_RETURN(const OuterTensors found, find_outer(tensors, config));
  OuterWeights out;
  OCTAVO_ASSIGN_OR_RETURN(out.embedding, read_linear(tensors, found.embedding, place));
  OCTAVO_ASSIGN_OR_RETURN(out.final_norm, tensors.read_floats(found.final_norm));
  if (found.lm_head.weight != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(out.lm_head, read_linear(tensors, found.lm_head, place));
  }
  return out;
}

}  // namespace

Status read_rows(LinearWeight& weight, base::ThreadPool& pool) {
  if (!weight.stored) return {};
  OCTAVO_ASSIGN_OR_RETURN(weight.data, weight.stored->read_all(&pool));
  weight.stored.reset();
  return {};
}

Result<LayerWeights> read_layer(const format::Checkpoint& checkpoint, const ModelConfig& config,
                                int64_t layer) {
  return load_layer(checkpoint, config, layer, RowPlace::kMemory);
}

Result<LayerWeights> open_layer(const format::Checkpoint& checkpoint, const ModelConfig& config,
                                int64_t layer) {
  return load_layer(checkpoint, config, layer, RowPlace::kFile);
}

Result<OuterWeights> read_outer(const format::Checkpoint& checkpoint, const ModelConfig& config) {
  return load_outer(checkpoint, config, RowPlace::kMemory);
}

Result<OuterWeights> open_outer(const format::Checkpoint& checkpoint, const ModelConfig& config) {
  return load_outer(checkpoint, config, RowPlace::kFile);
}

Result<LinearWeight> read_embedding(const format::Checkpoint& checkpoint, const ModelConfig& config) {
  OCTAVO_ASSIGN_OR_RETURN(CheckpointTensors tensors, CheckpointTensors::open(checkpoint));
  OCTAVO_ASSIGN_OR_RETURN(const LinearTensors embedding, find_embedding(tensors, config));
  return read_linear(tensors, embedding, RowPlace::kMemory);
}

Status check_tensors(const format::Checkpoint& checkpoint, const ModelConfig& config) {
  OCTAVO_ASSIGN_OR_RETURN(CheckpointTensors tensors, CheckpointTensors::open(checkpoint));
  OCTAVO_RETURN_IF_ERROR(find_outer(tensors, config).status());
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    OCTAVO_RETURN_IF_ERROR(find_layer(tensors, config, layer).status());
  }
  return tensors.check_no_others(std::string("a ") + config.arch->architecture +
                                 " with num_hidden_layers = " + std::to_string(config.n_layers) +
                                 " and the biases and quantization of its config.json");
}

}  // namespace octavo::model
