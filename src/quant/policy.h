#pragma once
// A recipe's word on each linear of one model: what its patterns come to, found before any work begins.
#include <array>
#include <string>
#include <vector>

#include "octavo/status.h"

#include "model/config.h"
#include "model/weights.h"
#include "quant/recipe.h"

namespace octavo::quant {

using LayerPolicy = std::array<LinearPolicy, model::kNLinearSlots>;  // by model::LinearSlot

struct ModelPolicy {
  std::vector<LayerPolicy> layers;        // [n_layers]
  std::vector<std::string> float_linear;  // modules that stay float, lm_head among them, in model order
  std::vector<std::string> warnings;      // patterns that match nothing
  int64_t n_quantized = 0;                // linears that become int8
  int64_t n_static = 0;                   // of these, with inputs fixed by calibration
};

// Errors: a module that two rules claim (both named), a broken pattern, lm_head asked to be int8, nothing
// left to quantize; linears that read one input (q, k, v; gate, up) asked for different kinds of activations
// or strengths; a static input too wide for exact sums.
Result<ModelPolicy> resolve_policy(const Recipe& recipe, const model::ModelConfig& config);

}  // namespace octavo::quant
