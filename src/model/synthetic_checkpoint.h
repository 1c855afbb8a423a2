#pragma once
// A synthetic model as a checkpoint folder, for what is measured on files: quantizing and loading.
#include <cstdint>
#include <string>

#include "octavo/progress.h"
#include "octavo/status.h"

#include "base/json.h"

namespace octavo::model {

// Writes config.json (`config`, as Hugging Face has it) and the bf16 weights of SyntheticWeights with this
// seed into `folder`, which exists. Holds two layers, or one and what stands outside the layers, at a time.
// progress: asked before each layer whether to end with kCancelled.
Status write_synthetic_checkpoint(const base::Json& config, uint64_t seed, const std::string& folder,
                                  const Progress* progress = nullptr);

}  // namespace octavo::model
