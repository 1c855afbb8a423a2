#pragma once
// Quantizing a checkpoint, set against the arithmetic of one forward pass over its calibration tokens.
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/progress.h"
#include "octavo/status.h"

#include "bench/loop.h"
#include "bench/machine.h"
#include "bench/row.h"

namespace octavo::bench {

// Samples of random tokens, all of one length.
struct CalibrationSize {
  int64_t n_samples = 64, n_tokens = 512;
};

struct QuantizeSubject {
  std::string shape;
  std::string source, target;  // a float checkpoint; a folder that is replaced
  int64_t n_layers = 0;  // that the shape has; the checkpoint may hold fewer, then seconds are extrapolated
  CalibrationSize calibration;
  int n_threads = 0;
  kernels::Isa isa = kernels::Isa::kRef;
  const Machine& machine;
};

struct QuantizeRows {
  std::vector<Row> rows;
  Profile passes;  // where the seconds go
};
// The recipe w8a8, strengths searched, once: its seconds, and the most memory that was resident. The limit of
// the seconds is the layers' linears in bf16 over all calibration tokens at the measured peak, that of memory
// what the pre-flight check said.
Result<QuantizeRows> quantize_rows(const QuantizeSubject& subject, Progress* progress);

}  // namespace octavo::bench
