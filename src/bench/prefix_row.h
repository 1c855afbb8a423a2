#pragma once
// Time to first token where the beginning of every prompt is in the prefix cache.
#include <cstdint>

#include "bench/model_rows.h"

namespace octavo::bench {

// Seconds until the last of n requests that arrive together has its first token; each prompt begins with the
// same n_prefix tokens, in the cache, and has n_own more. The limit: what the bare loop takes for the tokens
// that are not cached, and 1.3 decode steps of n sequences. An error if a request found less than all of the
// prefix's full pages.
Result<Row> prefix_row(const Subject& subject, int64_t n, int64_t n_prefix, int64_t n_own, int64_t max_rows);

}  // namespace octavo::bench
