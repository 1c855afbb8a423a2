// The map of names is part of the format (docs/FORMATS.md); the scales' names become those of Golden Stick's
// second layout, which has Hugging Face's names. Called by checkpoint.cc when it opens such files.
#include "format/mindformers_names.h"

#include <algorithm>
#include <utility>

#include "base/text_format.h"

namespace octavo::format {

namespace {

using base::quoted;

using Names = std::pair<std::string_view, std::string_view>;

constexpr Names kOuter[] = {{"model.tok_embeddings.embedding_weight", "model.embed_tokens.weight"},
                            {"model.norm_out.weight", "model.norm.weight"}};
// Of a layer: "attention.wq.…". The fused ones keep their names and are cut apart.
constexpr Names kModules[] = {{"attention_norm", "input_layernorm"},
                              {"ffn_norm", "post_attention_layernorm"},
                              {"attention.q_norm", "self_attn.q_norm"},
                              {"attention.k_norm", "self_attn.k_norm"},
                              {"attention.wq", "self_attn.q_proj"},
                              {"attention.wk", "self_attn.k_proj"},
                              {"attention.wv", "self_attn.v_proj"},
                              {"attention.wo", "self_attn.o_proj"},
                              {"attention.w_qkv", "attention.w_qkv"},
                              {"feed_forward.w1", "mlp.gate_proj"},
                              {"feed_forward.w3", "mlp.up_proj"},
                              {"feed_forward.w2", "mlp.down_proj"},
                              {"feed_forward.w_gate_hidden", "feed_forward.w_gate_hidden"}};
// Of a linear, without "_layer." in front.
constexpr Names kLeaves[] = {{"matmul.dequant_scale", "deq_scale"},
                             {"matmul.quant_bias", "quant_bias"},
                             {"matmul.weight_scale", "weight_scale"},
                             {"matmul.weight_zp", "weight_offset"},
                             {"quant_op.input_scale", "input_scale"},
                             {"quant_op.input_zp", "input_offset"},
                             {"quant_op.beta", "beta"}};
constexpr std::string_view kNotWeights[] = {"key_cache", "value_cache", "float_weight"};

bool starts_with_word(std::string_view name, std::string_view word) {
  return name.starts_with(word) && name.size() > word.size() && name[word.size()] == '.';
}

// A tensor's rows [begin, begin + n) under another name.
TensorInfo rows_of(const TensorInfo& info, std::string name, int64_t begin, int64_t n) {
  TensorInfo part = info;
  const auto row_bytes = info.n_bytes / static_cast<uint64_t>(info.shape[0]);
  part.name = std::move(name);
  part.shape[0] = n;
  part.offset += static_cast<uint64_t>(begin) * row_bytes;
  part.n_bytes = static_cast<uint64_t>(n) * row_bytes;
  return part;
}

// The layers that a fused one holds, and of how many equal parts each takes.
struct Fused {
  std::string_view name;
  std::vector<std::pair<std::string_view, int64_t>> parts;
};

Result<std::vector<Fused>> fused_layers(const base::Json& config) {
  OCTAVO_ASSIGN_OR_RETURN(const int64_t n_heads, base::get_int(config, "num_attention_heads", 1));
  OCTAVO_ASSIGN_OR_RETURN(const int64_t n_kv_heads, base::get_int(config, "num_key_value_heads", n_heads));
  constexpr int64_t kMaxHeads = 1 << 20;
  if (std::min(n_heads, n_kv_heads) < 1 || std::max(n_heads, n_kv_heads) > kMaxHeads) {
    return corrupt("config.json: expected positive num_attention_heads and num_key_value_heads");
  }
  return std::vector<Fused>{
      {"attention.w_qkv",
       {{"self_attn.q_proj", n_heads}, {"self_attn.k_proj", n_kv_heads}, {"self_attn.v_proj", n_kv_heads}}},
      {"feed_forward.w_gate_hidden", {{"mlp.gate_proj", 1}, {"mlp.up_proj", 1}}}};
}

// Appends the parts of `info`, whose renamed name holds a fused layer's.
Status append_parts(const TensorInfo& info, const std::string& name, const Fused& fused,
                    std::vector<TensorInfo>& out) {
  const size_t at = name.find(fused.name);
  const std::string leaf = name.substr(at + fused.name.size());
  const bool is_per_input =
      leaf == ".input_scale" || leaf == ".input_offset" || leaf == ".beta" || leaf.ends_with("smooth_scale");
  int64_t n_parts = 0, begin = 0;
  for (const auto& [module, n] : fused.parts) n_parts += n;
  const int64_t n_rows = info.shape.empty() ? 0 : info.shape[0];
  if (!is_per_input && (n_rows == 0 || n_rows % n_parts != 0)) {
    return corrupt("tensor " + quoted(info.name) + ": expected rows in " + std::to_string(n_parts) +
                   " equal parts, as config.json's heads say, found shape " + shape_text(info.shape));
  }
  for (const auto& [module, n] : fused.parts) {
    std::string part = name.substr(0, at) + std::string(module) + leaf;
    const int64_t n_part_rows = n_rows / n_parts * n;
    if (is_per_input) {
      out.push_back(info);
      out.back().name = std::move(part);
    } else {
      out.push_back(rows_of(info, std::move(part), begin, n_part_rows));
    }
    begin += n_part_rows;
  }
  return {};
}

}  // namespace

std::optional<std::string> hugging_face_name(std::string_view name) {
  for (const auto& [from, to] : kOuter) {
    if (name == from) return std::string(to);
  }
  constexpr std::string_view kLayers = "model.layers.";
  if (!name.starts_with(kLayers)) return std::nullopt;
  const size_t dot = name.find('.', kLayers.size());
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view layer = name.substr(0, dot + 1);
  std::string_view rest = name.substr(dot + 1);
  for (const auto& [from, to] : kModules) {
    if (!starts_with_word(rest, from)) continue;
    std::string_view leaf = rest.substr(from.size() + 1);
    constexpr std::string_view kWrapped = "_layer.";
    if (leaf.starts_with(kWrapped)) leaf.remove_prefix(kWrapped.size());
    for (const auto& [leaf_from, leaf_to] : kLeaves) {
      if (leaf == leaf_from) leaf = leaf_to;
    }
    return std::string(layer) + std::string(to) + "." + std::string(leaf);
  }
  return std::nullopt;
}

// Names of layers alone do not tell: InternLM2 on Hugging Face has attention.wo and feed_forward.w1 too.
bool has_mindformers_names(std::span<const TensorInfo> tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const TensorInfo& info) {
    const bool is_wrapped = info.name.find("._layer.") != std::string::npos;
    return info.name == kOuter[0].first || (is_wrapped && hugging_face_name(info.name));
  });
}

Result<std::vector<TensorInfo>> with_hugging_face_names(std::span<const TensorInfo> tensors,
                                                        const base::Json& config) {
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<Fused> fused, fused_layers(config));
  std::vector<TensorInfo> out;
  for (const TensorInfo& info : tensors) {
    const bool is_weight = std::none_of(std::begin(kNotWeights), std::end(kNotWeights),
                                        [&](std::string_view leaf) { return info.name.ends_with(leaf); });
    if (!is_weight) continue;
    const std::string name = hugging_face_name(info.name).value_or(info.name);
    const auto whole = std::find_if(fused.begin(), fused.end(), [&](const Fused& layers) {
      return name.find("." + std::string(layers.name) + ".") != std::string::npos;
    });
    if (whole != fused.end()) {
      OCTAVO_RETURN_IF_ERROR(append_parts(info, name, *whole, out));
    } else {
      out.push_back(info);
      out.back().name = name;
    }
  }
  return out;
}

}  // namespace octavo::format
