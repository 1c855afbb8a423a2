#pragma once
// All that can go wrong, asked before any work begins: source, recipe, target, calibration, disk, memory.
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "octavo/status.h"

#include "data/dataset.h"
#include "format/checkpoint.h"
#include "model/config.h"
#include "quant/policy.h"
#include "quant/recipe.h"
#include "quant/target_plan.h"

namespace octavo::quant {

// One quantization, as asked for.
struct Job {
  std::string source, target;  // folders
  Recipe recipe;
  // Gives the calibration samples for a model with this many positions; empty: none were named.
  std::function<Result<std::vector<data::TokenSample>>(int64_t max_positions)> load_samples;
  base::Json calibration;  // how they were asked for, for the report
  int n_threads = 0;       // 0: every core this process may use
  uint64_t max_shard_bytes = uint64_t{5} << 30;
  QuantLayout layout = QuantLayout::kCompressedTensors;
  bool overwrite = false;
};

struct Preflight {
  explicit Preflight(format::Checkpoint checkpoint) : source(std::move(checkpoint)) {}

  format::Checkpoint source;
  model::ModelConfig config;
  ModelPolicy policy;
  TargetPlan plan;
  std::vector<std::string> carried_files;
  std::vector<data::TokenSample> samples;
  uint64_t source_bytes = 0;  // of tensors
  uint64_t memory_bytes = 0;  // estimated peak
  std::vector<std::string> warnings;

  std::string text() const;  // for people, several lines
};

Result<Preflight> preflight(const Job& job);

}  // namespace octavo::quant
