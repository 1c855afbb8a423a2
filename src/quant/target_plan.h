#pragma once
// The tensors of the quantized checkpoint, from headers alone: names, types, shapes and their order on disk.
// The names are the source's; `M.weight` of an int8 linear is followed by its scales (stored_linear.h).
#include <cstdint>
#include <vector>

#include "octavo/status.h"

#include "format/checkpoint.h"
#include "format/safetensors_writer.h"
#include "model/config.h"
#include "quant/policy.h"
#include "quant/stored_linear.h"

namespace octavo::quant {

struct TargetPlan {
  std::vector<format::TensorSpec> outer;                // embedding, final norm, lm_head: copied
  std::vector<std::vector<format::TensorSpec>> layers;  // [n_layers], in the order of writing
  uint64_t n_bytes = 0;

  std::vector<format::TensorSpec> in_order() const;  // outer, then layer by layer
};

// The checkpoint has passed model::check_tensors. A tied lm_head stored beside its embedding is left out.
TargetPlan plan_target(const format::Checkpoint& source, const model::ModelConfig& config,
                       const ModelPolicy& policy, QuantLayout layout);

}  // namespace octavo::quant
