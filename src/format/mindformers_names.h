#pragma once
// MindFormers' tensor names as Golden Stick's first layout has them, in Hugging Face's words.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "format/safetensors.h"

namespace octavo::format {

// "model.layers.0.attention.wq.quant_op.input_zp" -> "model.layers.0.self_attn.q_proj.input_offset"; nothing
// where the name is none of MindFormers' own ("lm_head.weight" is the same in both).
std::optional<std::string> hugging_face_name(std::string_view name);

// Whether MindFormers or Golden Stick wrote them: its embedding, or a linear layer that Golden Stick wrapped.
bool has_mindformers_names(std::span<const TensorInfo> tensors);

// The tensors of a file renamed. Those of fused layers (w_qkv, w_gate_hidden) become parts of themselves, row
// for row; q, k and v by the head counts of `config`. Caches and float copies of weights are left out.
Result<std::vector<TensorInfo>> with_hugging_face_names(std::span<const TensorInfo> tensors,
                                                        const base::Json& config);

}  // namespace octavo::format
