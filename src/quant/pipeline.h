#pragma once
// A float checkpoint in, a quantized one out: the passes in their order.
#include <string>

#include "octavo/progress.h"
#include "octavo/status.h"

#include "quant/preflight.h"
#include "quant/report.h"

namespace octavo::quant {

struct Outcome {
  RunRecord run;
  std::string report;  // quant_report.json's text
};

// Carries out a job whose pre-flight check has passed. The target appears whole or not at all, also when
// `progress` (may be null) says that the work was cancelled. Same bytes for any number of threads.
Result<Outcome> run_pipeline(const Job& job, Preflight flight, Progress* progress);

}  // namespace octavo::quant
