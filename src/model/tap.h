#pragma once
// Listening to activations: calibration (quant/collect.cc) implements this; the forward pass calls it.
#include <cstdint>

namespace octavo::model {

enum class TapSite {
  kAttentionInput,  // input_layernorm's output: what q, k and v read            [m, d_model]
  kOutputInput,     // attention's output: what o_proj reads                     [m, n_heads * head_dim]
  kMlpInput,        // post_attention_layernorm's output: what gate and up read  [m, d_model]
  kDownInput,       // silu(gate) * up: what down_proj reads                     [m, d_ff]
};
inline constexpr int kNTapSites = 4;

class Tap {
 public:
  virtual ~Tap() = default;
  // fp32 rows before they are rounded or quantized; every row is a real token (there is no padding).
  virtual void on_rows(int64_t layer, TapSite site, const float* x, int64_t m, int64_t k) = 0;
};

}  // namespace octavo::model
