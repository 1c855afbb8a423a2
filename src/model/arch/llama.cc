// Llama 2 and 3: pre-norm decoder with RMSNorm, half-split RoPE, grouped-query attention and a SiLU-gated
// MLP. arXiv 2307.09288, section 2; 3.1 and later scale RoPE's frequencies ("llama3", model/rope_table.cc).
// Read through model/registry.cc.
#include "model/arch/llama.h"

#include "model/arch/arch_spec.h"

namespace octavo::model {

const ArchSpec kLlama = {
    .architecture = "LlamaForCausalLM",
    .model_type = "llama",
    .qk_norm = false,
    .attention_bias = false,
    .linear = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"},
    .input_norm = "input_layernorm",
    .post_attention_norm = "post_attention_layernorm",
    .q_norm = nullptr,
    .k_norm = nullptr,
    .embedding = "model.embed_tokens",
    .final_norm = "model.norm",
    .lm_head = "lm_head",
    .layers = "model.layers",
};

}  // namespace octavo::model
