#pragma once
// What generation_config.json says about sampling, as vLLM takes it from there: temperature, top_p, top_k,
// min_p, repetition_penalty, max_new_tokens and the end-of-text tokens.
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/engine.h"
#include "octavo/status.h"

#include "base/json.h"
#include "engine/sampler.h"

namespace octavo::api {

struct GenerationDefaults {
  SamplingParams sampling;       // set where the file sets it; do_sample is ignored, as vLLM ignores it
  std::vector<int32_t> eos_ids;  // "eos_token_id": one or several
};

// generation_config: an object or null (no file); `path` begins errors. A value that no request could set (a
// top_p of 2) is an error: it would make every request fail; so is an end token past the n_vocab of the
// model, as in config.json.
Result<GenerationDefaults> read_generation_defaults(const base::Json& generation_config,
                                                    const std::string& path, int64_t n_vocab);

// The request's values over the model's over vLLM's. No seed: a new one from the operating system.
engine::SamplingConfig resolve_sampling(const SamplingParams& request, const SamplingParams& defaults);

}  // namespace octavo::api
