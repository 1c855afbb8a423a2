#pragma once
// What makes one decoder architecture differ from another: a small file per architecture beside this one
// defines its ArchSpec; registry.cc lists them. The forward pass itself is model/decoder.cc for all.
#include <string>

#include "model/weights.h"

namespace octavo::model {

struct ArchSpec {
  const char* architecture;  // config.json "architectures": "Qwen3ForCausalLM"
  const char* model_type;    // "qwen3"
  bool qk_norm;              // RMSNorm over head_dim on q and k before RoPE
  bool attention_bias;       // when config.json has no attention_bias key
  // Names in the checkpoint. Layer modules stand under "model.layers.N.".
  const char* linear[kNLinearSlots];  // "self_attn.q_proj" …, in the order of LinearSlot
  const char* input_norm;             // "input_layernorm"
  const char* post_attention_norm;    // "post_attention_layernorm"
  const char* q_norm;                 // "self_attn.q_norm", nullptr without qk_norm
  const char* k_norm;
  const char* embedding;   // "model.embed_tokens"
  const char* final_norm;  // "model.norm"
  const char* lm_head;     // "lm_head"
  const char* layers;      // "model.layers"
};

// "model.layers.3.self_attn.q_proj"
std::string linear_name(const ArchSpec& arch, int64_t layer, LinearSlot slot);

}  // namespace octavo::model
