#pragma once
// What tells readers how a folder is quantized: config.json and, in Golden Stick's layout, its description.
#include <string>
#include <vector>

#include "octavo/status.h"

#include "format/quant_manifest/quant_manifest.h"
#include "model/config.h"
#include "quant/policy.h"
#include "quant/preflight.h"

namespace octavo::quant {

// The groups of compressed-tensors for the int8 linears: one for static inputs, one for dynamic ones. With
// both, each linear is named by itself or by a pattern over its layers, never by the class "Linear": vLLM
// would take that for its fused q, k, v before it looks at their names.
std::vector<format::QuantGroup> quant_groups(const model::ModelConfig& config, const ModelPolicy& policy);

Status write_manifest(QuantLayout layout, const Preflight& flight, const std::string& folder);

}  // namespace octavo::quant
