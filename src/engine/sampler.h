#pragma once
// Logits to one token. Pure: the same logits, config, history and step give the same token on every machine.
#include <cstdint>
#include <span>
#include <vector>

#include "octavo/status.h"

namespace octavo::engine {

// Names, ranges and meaning are vLLM's. A temperature below kGreedyTemperature is greedy: the largest logit
// after the penalties, the lowest id among equals; top_k, top_p, min_p and seed then have no effect.
inline constexpr float kGreedyTemperature = 1e-5F;

struct SamplingConfig {
  float temperature = 1.0F;         // >= 0
  float top_p = 1.0F;               // (0, 1]
  int32_t top_k = 0;                // 0 or -1: all
  float min_p = 0.0F;               // [0, 1]
  float repetition_penalty = 1.0F;  // > 0; of every token in prompt or output
  float presence_penalty = 0.0F;    // [-2, 2]; of every token in the output
  float frequency_penalty = 0.0F;   // [-2, 2]; of every token in the output, as often as it is there
  uint64_t seed = 0;
};

// Refuses what is out of range, by name.
Status check_sampling(const SamplingConfig& config);

// Uniform in [0, 1), a function of seed and step alone: draw `step` of a request can be repeated, skipped or
// made out of order.
double uniform(uint64_t seed, uint64_t step);

struct Candidate {
  double weight = 0;  // exp((logit - largest logit) / temperature)
  int32_t id = 0;
};

// Memory that calls reuse; holds nothing between them.
struct SamplerScratch {
  std::vector<Candidate> candidates;
  std::vector<float> sorted;
  std::vector<int32_t> counts;
};

// The tokens so far, ids below n_vocab.
struct History {
  std::span<const int32_t> prompt, output;
};

// logits[n_vocab] are changed in place; those of tokens that must not come are -infinity. The draw is that of
// step history.output.size(). Errors: a logit that is NaN or +infinity, none that is finite.
Result<int32_t> sample(std::span<float> logits, const SamplingConfig& config, const History& history,
                       SamplerScratch& scratch);

}  // namespace octavo::engine
