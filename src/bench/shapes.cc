// The numbers of arXiv 2505.09388, table 1, and of the published config.json files. Called by
// bench/session.cc and, through the facade, by bench/peers.
#include "bench/shapes.h"

#include <cstdint>

#include "base/text_format.h"

namespace octavo::bench {

namespace {

struct Shape {
  const char* name;
  int64_t n_layers, d_model, d_ff, n_heads, n_kv_heads;
  bool tied_embeddings;
};

constexpr Shape kShapes[] = {
    {"qwen3-0.6b", 28, 1024, 3072, 16, 8, true},  {"qwen3-1.7b", 28, 2048, 6144, 16, 8, true},
    {"qwen3-4b", 36, 2560, 9728, 32, 8, true},    {"qwen3-8b", 36, 4096, 12288, 32, 8, false},
    {"qwen3-14b", 40, 5120, 17408, 40, 8, false}, {"qwen3-32b", 64, 5120, 25600, 64, 8, false},
};

}  // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  return names;
}

Result<base::Json> shape_config(std::string_view name) {
  for (const Shape& shape : kShapes) {
    if (name != shape.name) continue;
    base::Json config;
    config.set("architectures", base::JsonArray{base::Json("Qwen3ForCausalLM")});
    config.set("model_type", "qwen3");
    config.set("num_hidden_layers", shape.n_layers);
    config.set("hidden_size", shape.d_model);
    config.set("intermediate_size", shape.d_ff);
    config.set("num_attention_heads", shape.n_heads);
    config.set("num_key_value_heads", shape.n_kv_heads);
    config.set("head_dim", int64_t{128});
    config.set("vocab_size", int64_t{151'936});
    config.set("max_position_embeddings", int64_t{40'960});
    config.set("rope_theta", 1e6);
    config.set("rms_norm_eps", 1e-6);
    config.set("hidden_act", "silu");
    config.set("attention_bias", false);
    config.set("tie_word_embeddings", shape.tied_embeddings);
    config.set("torch_dtype", "bfloat16");
    return config;
  }
  std::string names;
  for (const Shape& shape : kShapes) names += (names.empty() ? "" : ", ") + std::string(shape.name);
  return invalid_argument("no shape is called " + base::quoted(name) + "; there are " + names);
}

}  // namespace octavo::bench
