// Finds a decoder's tensors in a checkpoint by the names of its ArchSpec, checks type and shape against the
// config and the quantization manifest, and reads them with their values checked. Finding (headers alone) and
// reading are two steps of one path, so that check_tensors() accepts exactly what read_layer() and
// read_outer() will. Called by Model::load and by the quantizing pipeline.
#include "model/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/text_format.h"
#include "format/quant_manifest/quant_manifest.h"
#include "model/arch/arch_spec.h"
#include "model/config.h"

namespace octavo::model {

namespace {

using format::TensorInfo;
using tensor::DType;

// A shape in numbers for the check and in the config's words for the message.
struct Shape {
  std::vector<int64_t> sizes;
  const char* words;  // "[vocab_size, hidden_size]"
};

// The tensors of one linear layer; those it does not have are null.
struct LinearTensors {
  int64_t n = 0, k = 0;
  const TensorInfo* weight = nullptr;
  const TensorInfo* scale = nullptr;
  const TensorInfo* bias = nullptr;
};

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
  LinearTensors lm_head;                  // empty when tied
  const TensorInfo* tied_copy = nullptr;  // lm_head.weight stored beside the embedding that it is tied to
};

bool is_float(DType dtype) { return dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF32; }

// "[12, 7]" of element `index` in a row-major tensor.
std::string place(const TensorInfo& info, int64_t index) {
  std::vector<int64_t> at(info.shape.size());
  for (size_t i = at.size(); i-- > 0;) {
    at[i] = index % info.shape[i];
    index /= info.shape[i];
  }
  return format::shape_text(at);
}

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

// A checkpoint seen through a config.
class Tensors {
 public:
  static Result<Tensors> open(const format::Checkpoint& checkpoint, const ModelConfig& config) {
    OCTAVO_ASSIGN_OR_RETURN(
        format::QuantManifest manifest,
        format::QuantManifest::parse(checkpoint.config(), checkpoint.folder() + "/config.json"));
    return Tensors(checkpoint, config, std::move(manifest));
  }

  Result<LayerTensors> find_layer(int64_t layer);
  Result<OuterTensors> find_outer();
  Result<LinearTensors> find_embedding(OuterTensors& outer);
  Status check_no_others() const;

  Result<LinearWeight> read_linear(const LinearTensors& tensors) const;
  Result<std::vector<float>> read_floats(const TensorInfo* info) const;
  Result<std::vector<float>> read_scale(const TensorInfo& info, int64_t n) const;
  Status check_same_bytes(const TensorInfo& a, const TensorInfo& b) const;

 private:
  Tensors(const format::Checkpoint& checkpoint, const ModelConfig& config, format::QuantManifest manifest)
      : checkpoint_(&checkpoint), config_(&config), manifest_(std::move(manifest)) {}

  Result<const TensorInfo*> find(const std::string& name, const Shape& shape, const char* purpose = "");
  Result<const TensorInfo*> find_float(const std::string& name, const Shape& shape);
  Result<LinearTensors> find_linear(const std::string& module, const Shape& shape, bool has_bias);
  Result<const TensorInfo*> find_scale(const std::string& module, int64_t n);
  // "FILE: tensor 'NAME'"
  std::string quote(const TensorInfo& info) const {
    return checkpoint_->file_of(info).path() + ": tensor " + base::quoted(info.name);
  }
  Result<tensor::Buffer> read_bytes(const TensorInfo& info) const;

  const format::Checkpoint* checkpoint_;
  const ModelConfig* config_;
  format::QuantManifest manifest_;
  std::set<const TensorInfo*> used_;
};

Result<const TensorInfo*> Tensors::find(const std::string& name, const Shape& shape, const char* purpose) {
  const TensorInfo* info = checkpoint_->find(name);
  if (info == nullptr) {
    return not_found(checkpoint_->folder() + ": tensor " + base::quoted(name) + " is missing" + purpose +
                     "; expected shape " + format::shape_text(shape.sizes) + ", " + shape.words);
  }
  if (info->shape != shape.sizes) {
    return corrupt(quote(*info) + ": expected shape " + format::shape_text(shape.sizes) + ", " + shape.words +
                   " of config.json, found " + format::shape_text(info->shape));
  }
  used_.insert(info);
  return info;
}

Result<const TensorInfo*> Tensors::find_float(const std::string& name, const Shape& shape) {
  OCTAVO_ASSIGN_OR_RETURN(const TensorInfo* info, find(name, shape));
  if (!is_float(info->dtype)) {
    const char* hint =
        info->dtype == DType::kI8 ? "; config.json's quantization_config does not cover it" : "";
    return unsupported(quote(*info) + ": expected BF16, F16 or F32, found " +
                       tensor::dtype_name(info->dtype) + hint);
  }
  return info;
}

Result<const TensorInfo*> Tensors::find_scale(const std::string& module, int64_t n) {
  const std::string name = module + ".weight_scale";
  const TensorInfo* info = checkpoint_->find(name);
  const Shape shape = {{n, 1}, "one scale per output"};
  if (info == nullptr) return find(name, shape, " (the weight is int8)");
  const bool is_tensor_wide = info->n_elements() == 1 && info->shape.size() <= 1;
  if (info->shape != std::vector<int64_t>{n} && !is_tensor_wide) {
    OCTAVO_ASSIGN_OR_RETURN(info, find(name, shape));
  }
  if (!is_float(info->dtype)) {
    return unsupported(quote(*info) + ": expected BF16, F16 or F32, found " +
                       tensor::dtype_name(info->dtype));
  }
  used_.insert(info);
  return info;
}

Result<LinearTensors> Tensors::find_linear(const std::string& module, const Shape& shape, bool has_bias) {
  LinearTensors out;
  out.n = shape.sizes[0];
  out.k = shape.sizes[1];
  OCTAVO_ASSIGN_OR_RETURN(const std::optional<format::LinearQuant> quant, manifest_.find(module));
  if (!quant) {
    OCTAVO_ASSIGN_OR_RETURN(out.weight, find_float(module + ".weight", shape));
  } else {
    if (quant->input == format::InputQuant::kStaticTensor) {
      return unsupported(checkpoint_->folder() + ": " + base::quoted(module) + " has static input scales");
    }
    OCTAVO_ASSIGN_OR_RETURN(out.weight, find(module + ".weight", shape));
    if (out.weight->dtype != DType::kI8) {
      return corrupt(quote(*out.weight) + ": expected I8, as config.json's quantization_config says, found " +
                     tensor::dtype_name(out.weight->dtype));
    }
    OCTAVO_ASSIGN_OR_RETURN(out.scale, find_scale(module, out.n));
  }
  if (has_bias) {
    OCTAVO_ASSIGN_OR_RETURN(out.bias, find_float(module + ".bias", {{out.n}, "one bias per output"}));
  }
  return out;
}

Result<LayerTensors> Tensors::find_layer(int64_t layer) {
  const ModelConfig& c = *config_;
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
    OCTAVO_ASSIGN_OR_RETURN(out.linear[i], find_linear(module, shapes[i], has_bias));
  }
  const std::string prefix = std::string(arch.layers) + "." + std::to_string(layer) + ".";
  const Shape wide = {{c.d_model}, "[hidden_size]"};
  const Shape head = {{c.head_dim}, "[head_dim]"};
  OCTAVO_ASSIGN_OR_RETURN(out.input_norm, find_float(prefix + arch.input_norm + ".weight", wide));
  OCTAVO_ASSIGN_OR_RETURN(out.post_attention_norm,
                          find_float(prefix + arch.post_attention_norm + ".weight", wide));
  if (arch.qk_norm) {
    OCTAVO_ASSIGN_OR_RETURN(out.q_norm, find_float(prefix + arch.q_norm + ".weight", head));
    OCTAVO_ASSIGN_OR_RETURN(out.k_norm, find_float(prefix + arch.k_norm + ".weight", head));
  }
  return out;
}

// A tied embedding may be stored under either name, or under both.
Result<LinearTensors> Tensors::find_embedding(OuterTensors& outer) {
  const ModelConfig& c = *config_;
  const Shape shape = {{c.n_vocab, c.d_model}, "[vocab_size, hidden_size]"};
  const std::string embedding = std::string(c.arch->embedding) + ".weight";
  const std::string lm_head = std::string(c.arch->lm_head) + ".weight";
  OCTAVO_ASSIGN_OR_RETURN(const auto quant, manifest_.find(c.arch->embedding, "Embedding"));
  if (quant) return unsupported(checkpoint_->folder() + ": a quantized embedding is not supported");
  const bool has_embedding = checkpoint_->find(embedding) != nullptr;
  const bool has_lm_head = checkpoint_->find(lm_head) != nullptr;
  const bool use_lm_head = c.tied_embeddings && !has_embedding && has_lm_head;
  LinearTensors out{c.n_vocab, c.d_model};
  OCTAVO_ASSIGN_OR_RETURN(out.weight, find_float(use_lm_head ? lm_head : embedding, shape));
  if (c.tied_embeddings && has_embedding && has_lm_head) {
    OCTAVO_ASSIGN_OR_RETURN(outer.tied_copy, find_float(lm_head, shape));
    if (outer.tied_copy->dtype != out.weight->dtype) {
      return corrupt(quote(*outer.tied_copy) + ": expected " + tensor::dtype_name(out.weight->dtype) +
                     ", as " + base::quoted(out.weight->name) + " that it is tied to, found " +
                     tensor::dtype_name(outer.tied_copy->dtype));
    }
  }
  return out;
}

Result<OuterTensors> Tensors::find_outer() {
  const ModelConfig& c = *config_;
  OuterTensors out;
  OCTAVO_ASSIGN_OR_RETURN(out.embedding, find_embedding(out));
  OCTAVO_ASSIGN_OR_RETURN(out.final_norm, find_float(std::string(c.arch->final_norm) + ".weight",
                                                     {{c.d_model}, "[hidden_size]"}));
  if (!c.tied_embeddings) {
    OCTAVO_ASSIGN_OR_RETURN(
        out.lm_head,
        find_linear(c.arch->lm_head, {{c.n_vocab, c.d_model}, "[vocab_size, hidden_size]"}, false));
  }
  return out;
}

Status Tensors::check_no_others() const {
  constexpr std::string_view kOldBuffer =
      ".rotary_emb.inv_freq";  // written by transformers up to 4.30, never read
  for (const TensorInfo* info : checkpoint_->tensors()) {
    const bool is_old_buffer = info->name.ends_with(kOldBuffer);
    if (used_.contains(info) || is_old_buffer) continue;
    return corrupt(quote(*info) + " is not part of a " + config_->arch->architecture +
                   " with num_hidden_layers = " + std::to_string(config_->n_layers) +
                   " and the biases and quantization of its config.json");
  }
  return {};
}

Result<tensor::Buffer> Tensors::read_bytes(const TensorInfo& info) const {
  OCTAVO_ASSIGN_OR_RETURN(tensor::Buffer bytes, checkpoint_->read(info.name));
  if (!is_float(info.dtype)) return bytes;
  if (const auto index = find_non_finite(info.dtype, bytes.data(), info.n_elements())) {
    return corrupt(quote(info) + ": expected finite values, found NaN or infinity at " + place(info, *index));
  }
  return bytes;
}

// `info` may be null: no values.
Result<std::vector<float>> Tensors::read_floats(const TensorInfo* info) const {
  std::vector<float> values;
  if (info == nullptr) return values;
  OCTAVO_ASSIGN_OR_RETURN(const tensor::Buffer bytes, read_bytes(*info));
  values.resize(static_cast<size_t>(info->n_elements()));
  tensor::convert_to_f32(info->dtype, bytes.data(), values.data(), info->n_elements());
  return values;
}

// One scale per output, or one for all of them.
Result<std::vector<float>> Tensors::read_scale(const TensorInfo& info, int64_t n) const {
  OCTAVO_ASSIGN_OR_RETURN(std::vector<float> scale, read_floats(&info));
  for (size_t i = 0; i < scale.size(); ++i) {
    if (scale[i] > 0 && std::isnormal(scale[i])) continue;
    return corrupt(quote(info) + ": expected positive scales, found " + std::to_string(scale[i]) + " at " +
                   place(info, static_cast<int64_t>(i)));
  }
  scale.resize(static_cast<size_t>(n), scale[0]);
  return scale;
}

Result<LinearWeight> Tensors::read_linear(const LinearTensors& tensors) const {
  LinearWeight out;
  out.n = tensors.n;
  out.k = tensors.k;
  out.dtype = tensors.weight->dtype;
  OCTAVO_ASSIGN_OR_RETURN(out.data, read_bytes(*tensors.weight));
  if (out.dtype == DType::kF16) {
    tensor::Buffer floats(2 * out.data.size_bytes());
    tensor::convert_to_f32(DType::kF16, out.data.data(), floats.as<float>(), out.n * out.k);
    out.data = std::move(floats);
    out.dtype = DType::kF32;
  }
  if (tensors.scale != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(out.scale, read_scale(*tensors.scale, out.n));
  }
  OCTAVO_ASSIGN_OR_RETURN(out.bias, read_floats(tensors.bias));
  return out;
}

Status Tensors::check_same_bytes(const TensorInfo& a, const TensorInfo& b) const {
  constexpr uint64_t kPartBytes = 1 << 20;
  tensor::Buffer part_a(kPartBytes), part_b(kPartBytes);
  for (uint64_t begin = 0; begin < a.n_bytes; begin += kPartBytes) {
    const uint64_t n_bytes = std::min(kPartBytes, a.n_bytes - begin);
    OCTAVO_RETURN_IF_ERROR(checkpoint_->read_part(a.name, begin, n_bytes, part_a.data()));
    OCTAVO_RETURN_IF_ERROR(checkpoint_->read_part(b.name, begin, n_bytes, part_b.data()));
    if (std::memcmp(part_a.data(), part_b.data(), n_bytes) != 0) {
      return corrupt(quote(b) + " differs from " + base::quoted(a.name) +
                     ", but config.json ties them: remove one, or set tie_word_embeddings to false");
    }
  }
  return {};
}

Result<LinearWeight> read_checked_embedding(const Tensors& tensors, const OuterTensors& outer) {
  if (outer.tied_copy != nullptr) {
    OCTAVO_RETURN_IF_ERROR(tensors.check_same_bytes(*outer.embedding.weight, *outer.tied_copy));
  }
  return tensors.read_linear(outer.embedding);
}

}  // namespace

Result<LayerWeights> read_layer(const format::Checkpoint& checkpoint, const ModelConfig& config,
                                int64_t layer) {
  OCTAVO_ASSIGN_OR_RETURN(Tensors tensors, Tensors::open(checkpoint, config));
  OCTAVO_ASSIGN_OR_RETURN(const LayerTensors found, tensors.find_layer(layer));
  LayerWeights out;
  OCTAVO_ASSIGN_OR_RETURN(out.input_norm, tensors.read_floats(found.input_norm));
  OCTAVO_ASSIGN_OR_RETURN(out.post_attention_norm, tensors.read_floats(found.post_attention_norm));
  OCTAVO_ASSIGN_OR_RETURN(out.q_norm, tensors.read_floats(found.q_norm));
  OCTAVO_ASSIGN_OR_RETURN(out.k_norm, tensors.read_floats(found.k_norm));
  for (size_t i = 0; i < found.linear.size(); ++i) {
    OCTAVO_ASSIGN_OR_RETURN(out.linear[i], tensors.read_linear(found.linear[i]));
  }
  return out;
}

Result<OuterWeights> read_outer(const format::Checkpoint& checkpoint, const ModelConfig& config) {
  OCTAVO_ASSIGN_OR_RETURN(Tensors tensors, Tensors::open(checkpoint, config));
  OCTAVO_ASSIGN_OR_RETURN(const OuterTensors found, tensors.find_outer());
  OuterWeights out;
  OCTAVO_ASSIGN_OR_RETURN(out.embedding, read_checked_embedding(tensors, found));
  OCTAVO_ASSIGN_OR_RETURN(out.final_norm, tensors.read_floats(found.final_norm));
  if (found.lm_head.weight != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(out.lm_head, tensors.read_linear(found.lm_head));
  }
  return out;
}

Result<LinearWeight> read_embedding(const format::Checkpoint& checkpoint, const ModelConfig& config) {
  OCTAVO_ASSIGN_OR_RETURN(Tensors tensors, Tensors::open(checkpoint, config));
  OuterTensors outer;
  OCTAVO_ASSIGN_OR_RETURN(outer.embedding, tensors.find_embedding(outer));
  return read_checked_embedding(tensors, outer);
}

Status check_tensors(const format::Checkpoint& checkpoint, const ModelConfig& config) {
  OCTAVO_ASSIGN_OR_RETURN(Tensors tensors, Tensors::open(checkpoint, config));
  OCTAVO_RETURN_IF_ERROR(tensors.find_outer().status());
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    OCTAVO_RETURN_IF_ERROR(tensors.find_layer(layer).status());
  }
  return tensors.check_no_others();
}

}  // namespace octavo::model
