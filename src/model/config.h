#pragma once
// config.json of a decoder model, checked. What it asks for and Octavo lacks (an unknown architecture,
// sliding-window attention, an unknown rope scaling, another activation …) is refused by name, never ignored.
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace octavo::model {

struct ArchSpec;

struct RopeConfig {
  enum class Scaling { kNone, kLinear, kLlama3 };
  double theta = 10000.0;
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;                                   // kLinear, kLlama3
  double low_freq_factor = 1.0, high_freq_factor = 1.0;  // kLlama3
  double original_max_positions = 0;                     // kLlama3
};

struct ModelConfig {
  const ArchSpec* arch = nullptr;  // static, from model/registry.h
  int64_t n_layers = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0;
  int64_t d_model = 0, d_ff = 0, n_vocab = 0, max_positions = 0;
  float rms_norm_eps = 1e-6F;
  RopeConfig rope;
  bool tied_embeddings = false;  // lm_head is the embedding
  bool attention_bias = false;   // q, k, v, o have a bias
  bool mlp_bias = false;
  std::vector<int32_t> eos_ids;  // of config.json; generation_config.json may add more
  std::vector<int32_t> bos_ids;

  int64_t q_width() const { return n_heads * head_dim; }      // rows of q_proj, columns of o_proj
  int64_t kv_width() const { return n_kv_heads * head_dim; }  // rows of k_proj and v_proj
};

// `path` names the file in errors. Accepts rope_theta beside rope_scaling and transformers 5's
// rope_parameters.
Result<ModelConfig> parse_model_config(const base::Json& config, const std::string& path);

}  // namespace octavo::model
