#pragma once
// One run of measurements: opens or makes the model, measures the machine, then row after row.
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "octavo/progress.h"
#include "octavo/status.h"

#include "bench/engine_rows.h"
#include "bench/loop.h"
#include "bench/machine.h"
#include "bench/quantize_rows.h"
#include "bench/row.h"
#include "tensor/dtype.h"

namespace octavo::bench {

struct Plan {
  std::string folder;     // a checkpoint, or empty
  std::string synthetic;  // a name of shapes.h, or empty; exactly one of the two
  std::optional<int64_t> n_layers;
  tensor::DType linears = tensor::DType::kI8;  // of a synthetic model: kI8 or kBF16
  int n_threads = 0;
  std::set<std::string> works;  // of work_names()
  std::vector<int64_t> prefills, contexts, batches;
  std::vector<Requests> requests;
  CalibrationSize calibration;
  model::KvType kv_type = model::KvType::kAuto;
  model::HeadType head_type = model::HeadType::kAuto;
  int64_t max_rows = 512;  // of a step of prefill
  Repetitions repetitions;
  bool profile = false;  // where the time of each row of prefill, decode and quantize goes
};

std::vector<std::string> work_names();

struct Measured {
  Machine machine;
  kernels::Isa isa = kernels::Isa::kRef;  // that the model ran on
  std::vector<Row> rows;
  std::vector<Profile> profiles;
};

// Errors name the field of the plan; a model that does not fit into memory is refused before it is made.
Result<Measured> measure(const Plan& plan, Progress* progress);

}  // namespace octavo::bench
