#pragma once
// quant_report.json: what was done to each layer and what it cost, for programs and for whoever asks later.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "quant/layer_candidate.h"
#include "quant/preflight.h"
#include "quant/strength_search.h"

namespace octavo::quant {

inline constexpr int kReportSchemaVersion = 1;

// A pass and all the time it took, over all layers if it runs once in each.
struct PassSeconds {
  std::string name;
  double seconds = 0;
  bool per_layer = false;
};

struct LayerRecord {
  LayerPolicy policy;
  LayerChoice choice;
  std::array<RoundingError, model::kNLinearSlots> rounding;  // of the int8 linears
  std::array<std::optional<model::StaticInput>, model::kNLinearSlots> input;
};

struct RunRecord {
  std::vector<LayerRecord> layers;
  size_t n_fit_samples = 0, n_held_out_samples = 0;  // of the search; one sample alone is both
  std::vector<PassSeconds> passes;
  std::string isa;
  int n_threads = 0;
  double seconds = 0;
  uint64_t peak_resident_bytes = 0;
};

base::Json make_report(const Job& job, const Preflight& flight, const RunRecord& run);

}  // namespace octavo::quant
