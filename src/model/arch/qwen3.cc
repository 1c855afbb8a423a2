// Qwen3, the dense models: Llama's layer with an RMSNorm over head_dim on each head of q and k before RoPE,
// and a head_dim that config.json states by itself (0.6B: 16 heads of 128 on 1024). arXiv 2505.09388,
// section 2. Read through model/registry.cc.
#include "model/arch/qwen3.h"

#include "model/arch/arch_spec.h"

namespace octavo::model {

const ArchSpec kQwen3 = {
    .architecture = "Qwen3ForCausalLM",
    .model_type = "qwen3",
    .qk_norm = true,
    .attention_bias = false,
    .linear = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"},
    .input_norm = "input_layernorm",
    .post_attention_norm = "post_attention_layernorm",
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .embedding = "model.embed_tokens",
    .final_norm = "model.norm",
    .lm_head = "lm_head",
    .layers = "model.layers",
};

}  // namespace octavo::model
