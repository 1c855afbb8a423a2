#pragma once
// Logits to one token. Pure: the same logits, config, history and step give the same token on every machine.
#include <cstdint>
#include <span>
#include <vector>

#include "octavo/status.h"

namespace octavo::engine {

// Names, ranges and meaning are vLLM's. A temperature below kGreedyTemperature is greedy: the largest logit
// after the repetition penalty, the lowest id among equals; top_k, top_p, min_p and seed then have no effect.
inline constexpr float kGreedyTemperature = 1e-5F;

struct SamplingConfig {
  float temperature = 1.0F;         // >= 0
  float top_p = 1.0F;               // (0, 1]
  int32_t top_k = 0;                // 0 or -1: all
  float min_p = 0.0F;               // [0, 1]
  float repetition_penalty = 1.0F;  // > 0
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
  std::vector<bool> penalized;
};

// logits[n_vocab] are changed in place. history: prompt and output so far, ids below n_vocab. step: number of
// tokens generated before this one. Error: a logit that is NaN or +infinity.
Result<int32_t> sample(std::span<float> logits, const SamplingConfig& config,
                       std::span<const int32_t> history, uint64_t step, SamplerScratch& scratch);

}  // namespace octavo::engine
