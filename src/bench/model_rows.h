#pragma once
// Rows of a whole model: prefill, decode, memory.
#include <cstdint>
#include <string>

#include "bench/loop.h"
#include "bench/machine.h"
#include "bench/row.h"
#include "model/decoder.h"

namespace octavo::bench {

// The model under measurement. Everything outlives the rows.
struct Subject {
  std::string shape;
  model::Model& model;
  base::ThreadPool& pool;
  kernels::Isa isa;
  const Machine& machine;
  int64_t n_layers = 0;  // that the shape has; the model may hold fewer, then figures are extrapolated
  model::KvType kv_type = model::KvType::kAuto;
  Repetitions repetitions;
  Progress* progress = nullptr;

  Row row(const char* work) const;  // with the subject's fields set
  double layers_share() const;      // n_layers over those that run
};

// Prompt of m tokens to its first output token, in chunks of max_rows. The limit is the arithmetic of the
// linears alone: attention, norms and lm_head are overhead.
Result<Row> prefill_row(const Subject& subject, int64_t m, int64_t max_rows);
// `batch` sequences that hold `context` tokens each; tokens per second of all together. The limit is what a
// step must read (weights and lm_head once, keys and values of each sequence) or multiply, whichever is
// slower.
Result<Row> decode_row(const Subject& subject, int64_t batch, int64_t context);
// The operations of one prefill of m tokens, or of a decode step; in the order of a layer.
Result<Profile> prefill_profile(const Subject& subject, int64_t m, int64_t max_rows);
Result<Profile> decode_profile(const Subject& subject, int64_t batch, int64_t context);
// Resident memory of the process; the limit is the packed weights.
Row memory_row(const Subject& subject);
// What a decode step has to do at least.
Floor decode_floor(const Subject& subject, int64_t batch, int64_t context);

}  // namespace octavo::bench
