// config.json to ModelConfig, strictly: every number is bounded, and what would change the arithmetic in a
// way the forward pass lacks is refused by name. Defaults of absent keys are those of transformers'
// configuration classes. Called by Model::load, the quantizing pipeline and the checks of a checkpoint.
#include "model/config.h"

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "base/text_format.h"
#include "kernels/attention/attention.h"
#include "model/arch/arch_spec.h"
#include "model/registry.h"

namespace octavo::model {

namespace {

using base::Json;

constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHeads = 1024;
constexpr int64_t kMaxHeadDim = 1024;
static_assert(kMaxHeadDim <= kernels::kS8KvMaxHeadDim);
constexpr int64_t kMaxWidth = 131'072;  // a product's k: int32 sums of int8 codes are exact up to 132,000
constexpr int64_t kMaxVocab = int64_t{1} << 22;      // 16 times the largest vocabulary in use
constexpr int64_t kMaxPositions = int64_t{1} << 24;  // RoPE multiplies the position in fp32, exact up to here

std::string number(double value) { return Json(value).dump(); }

Result<int64_t> get_count(const Json& config, std::string_view key, int64_t max,
                          std::optional<int64_t> fallback = std::nullopt) {
  OCTAVO_ASSIGN_OR_RETURN(const int64_t value,
                          fallback ? base::get_int(config, key, *fallback) : base::get_int(config, key));
  if (value < 1 || value > max) {
    return invalid_argument("key '" + std::string(key) + "': expected 1 to " + std::to_string(max) +
                            ", found " + std::to_string(value));
  }
  return value;
}

// A finite number from `min` to `max`.
Result<double> get_finite(const Json& object, std::string_view key, double min, double max,
                          std::optional<double> fallback = std::nullopt) {
  OCTAVO_ASSIGN_OR_RETURN(const double value, fallback ? base::get_double(object, key, *fallback)
                                                       : base::get_double(object, key));
  if (!(value >= min && value <= max)) {  // false for NaN too
    return invalid_argument("key '" + std::string(key) + "': expected a number from " + number(min) + " to " +
                            number(max) + ", found " +
                            (std::isfinite(value) ? number(value) : "no finite number"));
  }
  return value;
}

const Json* find_set(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value != nullptr && value->is_null() ? nullptr : value;
}

std::string supported_archs() {
  std::string names;
  for (const std::string& name : arch_names()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

Result<const ArchSpec*> parse_arch(const Json& config) {
  const Json* architectures = find_set(config, "architectures");
  OCTAVO_ASSIGN_OR_RETURN(const std::string model_type, base::get_string(config, "model_type", ""));
  if (architectures == nullptr) {
    if (model_type.empty()) {
      return invalid_argument(
          "neither 'architectures' nor 'model_type' says which model this is; Octavo runs " +
          supported_archs());
    }
    if (const ArchSpec* arch = find_arch_by_model_type(model_type)) return arch;
    return unsupported("model_type " + base::quoted(model_type) + " is not supported; Octavo runs " +
                       supported_archs());
  }
  if (!architectures->is_array() || architectures->as_array().size() != 1 ||
      !architectures->as_array()[0].is_string()) {
    return invalid_argument("key 'architectures': expected a list of one string, found " +
                            base::quoted(architectures->dump()));
  }
  const std::string& name = architectures->as_array()[0].as_string();
  const ArchSpec* arch = find_arch(name);
  if (arch == nullptr) {
    return unsupported("architecture " + base::quoted(name) + " is not supported; Octavo runs " +
                       supported_archs());
  }
  if (!model_type.empty() && model_type != arch->model_type) {
    return invalid_argument("model_type " + base::quoted(model_type) + " does not belong to architecture " +
                            name + ", whose model_type is '" + arch->model_type + "'");
  }
  return arch;
}

// Attention over a window, per-layer kinds of layers, rotations of a part of the head: arithmetic that
// decoder.cc does not do.
Status check_supported(const Json& config, int64_t n_layers) {
  OCTAVO_ASSIGN_OR_RETURN(const bool slides, base::get_bool(config, "use_sliding_window", false));
  if (slides) return unsupported("key 'use_sliding_window': sliding-window attention is not supported");
  if (const Json* layer_types = find_set(config, "layer_types")) {
    if (!layer_types->is_array() || layer_types->as_array().size() != static_cast<size_t>(n_layers)) {
      return invalid_argument("key 'layer_types': expected a list of num_hidden_layers = " +
                              std::to_string(n_layers) + " strings");
    }
    for (size_t i = 0; i < layer_types->as_array().size(); ++i) {
      const Json& type = layer_types->as_array()[i];
      if (type != Json("full_attention")) {
        return unsupported("key 'layer_types': layer " + std::to_string(i) + " is " +
                           base::quoted(type.dump()) + "; Octavo runs \"full_attention\" only");
      }
    }
  }
  OCTAVO_ASSIGN_OR_RETURN(const std::string act, base::get_string(config, "hidden_act", "silu"));
  if (act != "silu") {
    return unsupported("key 'hidden_act': " + base::quoted(act) + " is not supported; Octavo runs \"silu\"");
  }
  OCTAVO_ASSIGN_OR_RETURN(const double rotated, base::get_double(config, "partial_rotary_factor", 1.0));
  if (rotated != 1.0) {
    return unsupported("key 'partial_rotary_factor': " + number(rotated) + " is not supported, only 1");
  }
  constexpr std::array<std::string_view, 8> kForeign = {
      "attn_logit_softcapping", "final_logit_softcapping", "embedding_multiplier", "attention_multiplier",
      "residual_multiplier",    "logits_scaling",          "num_experts",          "num_local_experts"};
  for (std::string_view key : kForeign) {
    if (find_set(config, key) != nullptr) {
      return unsupported("key '" + std::string(key) + "' asks for arithmetic that this architecture lacks");
    }
  }
  return {};
}

Result<RopeConfig::Scaling> parse_rope_type(const Json& parameters) {
  const std::string_view key = find_set(parameters, "rope_type") != nullptr ? "rope_type" : "type";
  OCTAVO_ASSIGN_OR_RETURN(const std::string type, base::get_string(parameters, key, "default"));
  if (type == "default") return RopeConfig::Scaling::kNone;
  if (type == "linear") return RopeConfig::Scaling::kLinear;
  if (type == "llama3") return RopeConfig::Scaling::kLlama3;
  return unsupported("key '" + std::string(key) + "': " + base::quoted(type) +
                     " is not supported; Octavo runs \"default\", \"linear\" and \"llama3\"");
}

// `rope_scaling` or transformers 5's `rope_parameters`, an object; rope.theta holds the config's own
// rope_theta.
Status parse_rope_parameters(const Json& parameters, RopeConfig& rope) {
  constexpr double kMax = std::numeric_limits<float>::max();
  if (!parameters.is_object()) {
    return invalid_argument(std::string("expected an object, found ") + parameters.type_name());
  }
  OCTAVO_ASSIGN_OR_RETURN(rope.scaling, parse_rope_type(parameters));
  const bool scales = rope.scaling != RopeConfig::Scaling::kNone;
  const bool is_llama3 = rope.scaling == RopeConfig::Scaling::kLlama3;
  for (const auto& [key, value] : parameters.as_object()) {
    const bool known = key == "rope_type" || key == "type" || key == "rope_theta" ||
                       (key == "partial_rotary_factor" && value.is_number() && value.as_double() == 1.0) ||
                       (scales && (key == "factor" || key == "original_max_position_embeddings")) ||
                       (is_llama3 && (key == "low_freq_factor" || key == "high_freq_factor"));
    if (!known && !value.is_null()) {
      return unsupported("key " + base::quoted(key) + ": not supported with this rope_type");
    }
  }
  OCTAVO_ASSIGN_OR_RETURN(rope.theta, get_finite(parameters, "rope_theta", 1.0, kMax, rope.theta));
  if (scales) {
    OCTAVO_ASSIGN_OR_RETURN(rope.factor, get_finite(parameters, "factor", 1.0, 1e6));
  }
  if (is_llama3) {
    OCTAVO_ASSIGN_OR_RETURN(rope.low_freq_factor, get_finite(parameters, "low_freq_factor", 1e-6, 1e6));
    OCTAVO_ASSIGN_OR_RETURN(rope.high_freq_factor, get_finite(parameters, "high_freq_factor", 1e-6, 1e6));
    OCTAVO_ASSIGN_OR_RETURN(rope.original_max_positions,
                            get_finite(parameters, "original_max_position_embeddings", 1.0, 1e9));
    if (rope.high_freq_factor <= rope.low_freq_factor) {
      return invalid_argument("key 'high_freq_factor': expected more than low_freq_factor = " +
                              number(rope.low_freq_factor) + ", found " + number(rope.high_freq_factor));
    }
  }
  return {};
}

Result<RopeConfig> parse_rope(const Json& config) {
  RopeConfig rope;
  OCTAVO_ASSIGN_OR_RETURN(
      rope.theta, get_finite(config, "rope_theta", 1.0, std::numeric_limits<float>::max(), rope.theta));
  const Json* scaling = find_set(config, "rope_scaling");
  const Json* parameters = find_set(config, "rope_parameters");
  if (scaling != nullptr && parameters != nullptr && *scaling != *parameters) {
    return invalid_argument("keys 'rope_scaling' and 'rope_parameters' disagree: keep one of them");
  }
  if (parameters != nullptr) {
    OCTAVO_RETURN_IF_ERROR(parse_rope_parameters(*parameters, rope).with_context("rope_parameters"));
  } else if (scaling != nullptr) {
    OCTAVO_RETURN_IF_ERROR(parse_rope_parameters(*scaling, rope).with_context("rope_scaling"));
  }
  return rope;
}

// A token id, a list of them, or nothing.
Result<std::vector<int32_t>> parse_ids(const Json& config, std::string_view key, int64_t n_vocab) {
  std::vector<int32_t> ids;
  const auto refuse = [&](const Json& found) {
    return invalid_argument("key '" + std::string(key) + "': expected token ids from 0 to " +
                            std::to_string(n_vocab - 1) + ", found " + base::quoted(found.dump()));
  };
  const auto append = [&](const Json& id) {
    const bool fits = id.is_int() && id.as_int() >= 0 && id.as_int() < n_vocab;
    if (fits) ids.push_back(static_cast<int32_t>(id.as_int()));
    return fits;
  };
  const Json* value = find_set(config, key);
  if (value == nullptr) return ids;
  if (!value->is_array()) return append(*value) ? Result<std::vector<int32_t>>(ids) : refuse(*value);
  for (const Json& id : value->as_array()) {
    if (!append(id)) return refuse(id);
  }
  return ids;
}

// Widths of attention: head_dim is the config's own where it states one.
Status parse_heads(const Json& config, ModelConfig& out) {
  OCTAVO_ASSIGN_OR_RETURN(out.n_heads, get_count(config, "num_attention_heads", kMaxHeads));
  OCTAVO_ASSIGN_OR_RETURN(out.n_kv_heads, get_count(config, "num_key_value_heads", kMaxHeads, out.n_heads));
  if (out.n_heads % out.n_kv_heads != 0) {
    return invalid_argument("key 'num_key_value_heads': expected a divisor of num_attention_heads = " +
                            std::to_string(out.n_heads) + ", found " + std::to_string(out.n_kv_heads));
  }
  if (find_set(config, "head_dim") != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(out.head_dim, get_count(config, "head_dim", kMaxHeadDim));
  } else if (out.d_model % out.n_heads == 0 && out.d_model / out.n_heads <= kMaxHeadDim) {
    out.head_dim = out.d_model / out.n_heads;
  } else {
    return invalid_argument("key 'head_dim' is missing, and hidden_size = " + std::to_string(out.d_model) +
                            " over num_attention_heads = " + std::to_string(out.n_heads) +
                            " is not a whole number up to " + std::to_string(kMaxHeadDim));
  }
  if (out.head_dim % 2 != 0) {
    return invalid_argument("head_dim: expected an even number (RoPE rotates pairs), found " +
                            std::to_string(out.head_dim));
  }
  if (out.q_width() > kMaxWidth) {
    return invalid_argument("num_attention_heads * head_dim: expected at most " + std::to_string(kMaxWidth) +
                            ", found " + std::to_string(out.q_width()));
  }
  return {};
}

Result<ModelConfig> parse(const Json& config) {
  if (!config.is_object()) {
    return invalid_argument(std::string("expected an object, found ") + config.type_name());
  }
  ModelConfig out;
  OCTAVO_ASSIGN_OR_RETURN(out.arch, parse_arch(config));
  OCTAVO_ASSIGN_OR_RETURN(out.n_layers, get_count(config, "num_hidden_layers", kMaxLayers));
  OCTAVO_ASSIGN_OR_RETURN(out.d_model, get_count(config, "hidden_size", kMaxWidth));
  OCTAVO_ASSIGN_OR_RETURN(out.d_ff, get_count(config, "intermediate_size", kMaxWidth));
  OCTAVO_ASSIGN_OR_RETURN(out.n_vocab, get_count(config, "vocab_size", kMaxVocab));
  OCTAVO_ASSIGN_OR_RETURN(out.max_positions, get_count(config, "max_position_embeddings", kMaxPositions));
  OCTAVO_RETURN_IF_ERROR(parse_heads(config, out));
  OCTAVO_RETURN_IF_ERROR(check_supported(config, out.n_layers));
  OCTAVO_ASSIGN_OR_RETURN(const double eps, get_finite(config, "rms_norm_eps", 1e-30, 1.0, 1e-6));
  out.rms_norm_eps = static_cast<float>(eps);
  OCTAVO_ASSIGN_OR_RETURN(out.rope, parse_rope(config));
  OCTAVO_ASSIGN_OR_RETURN(out.tied_embeddings, base::get_bool(config, "tie_word_embeddings", false));
  OCTAVO_ASSIGN_OR_RETURN(out.attention_bias,
                          base::get_bool(config, "attention_bias", out.arch->attention_bias));
  OCTAVO_ASSIGN_OR_RETURN(out.mlp_bias, base::get_bool(config, "mlp_bias", false));
  OCTAVO_ASSIGN_OR_RETURN(out.eos_ids, parse_ids(config, "eos_token_id", out.n_vocab));
  OCTAVO_ASSIGN_OR_RETURN(out.bos_ids, parse_ids(config, "bos_token_id", out.n_vocab));
  return out;
}

}  // namespace

Result<ModelConfig> parse_model_config(const base::Json& config, const std::string& path) {
  Result<ModelConfig> parsed = parse(config);
  if (!parsed.ok()) return parsed.status().with_context(path);
  return parsed;
}

}  // namespace octavo::model
