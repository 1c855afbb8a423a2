#pragma once
// The batching engine against the bare model loop at the same batch.
#include <cstdint>

#include "bench/model_rows.h"

namespace octavo::bench {

// Requests that arrive together: prompt tokens in, output tokens out, greedy.
struct Requests {
  int64_t n = 1, n_prompt = 128, n_output = 64;
};

// Output tokens per second of all requests, through the engine. The limit is the bare loop's rate for the
// same work and the same rows of a step; both run in turns.
Result<Row> engine_row(const Subject& subject, const Requests& requests, int64_t max_rows);

}  // namespace octavo::bench
