// One token from one row of logits, in the order of vLLM's sampler: penalties, (greedy ends here),
// temperature, min_p, top_k, top_p, draw. Called by engine/generation.cc.
//   repetition  of a token seen before: l > 0 ? l / penalty : l * penalty       (arXiv 1909.05858)
//   frequency, presence  of a token n times in the output: l - frequency * n - presence * [n > 0]
//   min_p    keeps p >= min_p * p_max                                           (arXiv 2407.01082)
//   top_k    keeps every logit not below the k-th largest, its equals too
//   top_p    keeps a token while the mass of the likelier ones is below top_p   (arXiv 1904.09751)
// The draw walks the kept weights to uniform(seed, step) * their sum. Sums run in double over an order that
// is fixed by (weight, id), never by a library's partial sort.
#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"

namespace octavo::engine {

namespace {

constexpr float kMinRepetitionPenalty = 1e-6F;  // logits divided by less could become infinite

void count(std::span<const int32_t> ids, std::vector<int32_t>& counts) {
  for (const int32_t id : ids) {
    OCTAVO_CHECK(static_cast<size_t>(id) < counts.size());
    ++counts[static_cast<size_t>(id)];
  }
}

void apply_repetition_penalty(std::span<float> logits, float penalty, const History& history,
                              std::vector<int32_t>& counts) {
  counts.assign(logits.size(), 0);
  count(history.prompt, counts);
  count(history.output, counts);
  for (size_t i = 0; i < logits.size(); ++i) {
    if (counts[i] > 0) logits[i] = logits[i] > 0 ? logits[i] / penalty : logits[i] * penalty;
  }
}

void apply_output_penalties(std::span<float> logits, const SamplingConfig& config, const History& history,
                            std::vector<int32_t>& counts) {
  counts.assign(logits.size(), 0);
  count(history.output, counts);
  for (size_t i = 0; i < logits.size(); ++i) {
    if (counts[i] == 0) continue;
    logits[i] -= config.frequency_penalty * static_cast<float>(counts[i]);
    logits[i] -= config.presence_penalty;
  }
}

// Index of the largest logit, the lowest among equals.
Result<size_t> find_largest(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] < std::numeric_limits<float>::infinity())) {
      return internal_error(
          "the model's logit of token " + std::to_string(i) + " is " + std::to_string(logits[i]) +
          ": its weights or this build's arithmetic are broken; run 'octavo inspect' on the model");
    }
    if (logits[i] > logits[best]) best = i;
  }
  if (std::isinf(logits[best])) {
    return invalid_argument(
        "no token is left that may come next: allowed_token_ids, bad_words, logit_bias and min_tokens "
        "together forbid all");
  }
  return best;
}

// exp of x <= 0 by additions and multiplications alone, so that no C library's last bit moves a draw:
// n = round(x / ln 2), r = x - n ln 2 in two steps (the first exact), Taylor to r^13 (2^-53 at |r| = ln 2 /
// 2), * 2^n.
double exp_below_zero(double x) {
  if (!(x > -700)) return 0;  // 1e-304 of the likeliest token is never drawn
  constexpr double kInverseLn2 = 0x1.71547652b82fep+0, kLn2High = 0x1.62e42feep-1,
                   kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kInverseFactorials[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
      1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       1.0 / 2,      1.0,         1.0};
  const double n = std::floor(x * kInverseLn2 + 0.5);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 0;
  for (const double coefficient : kInverseFactorials) sum = sum * r + coefficient;
  constexpr int64_t kBias = 1023;
  return sum * std::bit_cast<double>((kBias + static_cast<int64_t>(n)) << 52);
}

bool likelier(const Candidate& a, const Candidate& b) {
  return a.weight > b.weight || (a.weight == b.weight && a.id < b.id);
}

// The k-th largest logit.
float find_kth_largest(std::span<const float> logits, size_t k, std::vector<float>& sorted) {
  sorted.assign(logits.begin(), logits.end());
  const auto kth = sorted.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(sorted.begin(), kth, sorted.end(), std::greater<>());
  return *kth;
}

void keep_top_p(std::vector<Candidate>& candidates, double top_p) {
  double total = 0;
  for (const Candidate& c : candidates) total += c.weight;
  // A nucleus is rarely large, so only as much as it needs is sorted.
  constexpr size_t kFirstSorted = 256;
  double mass = 0;
  size_t n_kept = 0;
  for (size_t n_sorted = 0; n_kept == n_sorted && n_sorted < candidates.size();) {
    const size_t end = std::min(candidates.size(), std::max(kFirstSorted, n_sorted * 8));
    const auto at = [&](size_t i) { return candidates.begin() + static_cast<std::ptrdiff_t>(i); };
    std::nth_element(at(n_sorted), at(end - 1), candidates.end(), likelier);
    std::sort(at(n_sorted), at(end), likelier);
    n_sorted = end;
    while (n_kept < n_sorted && mass < top_p * total) mass += candidates[n_kept++].weight;
  }
  candidates.resize(std::max<size_t>(n_kept, 1));
}

int32_t draw(const std::vector<Candidate>& candidates, double u) {
  double total = 0;
  for (const Candidate& c : candidates) total += c.weight;
  double mass = 0;
  int32_t last = candidates.front().id;
  for (const Candidate& c : candidates) {
    if (c.weight == 0) continue;
    mass += c.weight;
    last = c.id;
    if (mass > u * total) return c.id;
  }
  return last;
}

Status out_of_range(const char* name, float value, const char* expected) {
  return invalid_argument(std::string(name) + ": expected " + expected + ", found " + std::to_string(value));
}

}  // namespace

Status check_sampling(const SamplingConfig& config) {
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!finite(config.temperature) || config.temperature < 0) {
    return out_of_range("temperature", config.temperature, "a number not below 0");
  }
  if (!(config.top_p > 0 && config.top_p <= 1))
    return out_of_range("top_p", config.top_p, "above 0 and at most 1");
  if (!(config.min_p >= 0 && config.min_p <= 1)) return out_of_range("min_p", config.min_p, "from 0 to 1");
  if (!(config.repetition_penalty >= kMinRepetitionPenalty && finite(config.repetition_penalty))) {
    return out_of_range("repetition_penalty", config.repetition_penalty, "above 0, at least 1e-6");
  }
  for (const auto& [name, value] : {std::pair("presence_penalty", config.presence_penalty),
                                    std::pair("frequency_penalty", config.frequency_penalty)}) {
    if (!(value >= -2 && value <= 2)) return out_of_range(name, value, "from -2 to 2");
  }
  if (config.top_k < -1) {
    return invalid_argument("top_k: expected -1 or 0 (all) or a positive integer, found " +
                            std::to_string(config.top_k));
  }
  return {};
}

double uniform(uint64_t seed, uint64_t step) {
  // SplitMix64's finalizer (Steele, Lea, Flood 2014), once over the seed and once over seed and step.
  const auto mix = [](uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  };
  constexpr uint64_t kGoldenGamma = 0x9e3779b97f4a7c15ULL;
  const uint64_t bits = mix(mix(seed + kGoldenGamma) + (step + 1) * kGoldenGamma);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

Result<int32_t> sample(std::span<float> logits, const SamplingConfig& config, const History& history,
                       SamplerScratch& scratch) {
  OCTAVO_CHECK(!logits.empty());
  if (config.repetition_penalty != 1.0F) {
    apply_repetition_penalty(logits, config.repetition_penalty, history, scratch.counts);
  }
  if (config.presence_penalty != 0 || config.frequency_penalty != 0) {
    apply_output_penalties(logits, config, history, scratch.counts);
  }
  OCTAVO_ASSIGN_OR_RETURN(const size_t best, find_largest(logits));
  if (config.temperature < kGreedyTemperature) return static_cast<int32_t>(best);

  // min_p and top_k both cut by rank, so either may come first; top_k spares the exponentials.
  const auto k = static_cast<size_t>(std::max(config.top_k, 0));
  const float threshold = k > 0 && k < logits.size() ? find_kth_largest(logits, k, scratch.sorted)
                                                     : -std::numeric_limits<float>::infinity();
  const double largest = logits[best];
  scratch.candidates.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] < threshold) continue;
    const double weight = exp_below_zero((logits[i] - largest) / config.temperature);
    if (weight >= config.min_p || i == best) scratch.candidates.push_back({weight, static_cast<int32_t>(i)});
  }
  if (config.top_p < 1) keep_top_p(scratch.candidates, config.top_p);
  return draw(scratch.candidates, uniform(config.seed, history.output.size()));
}

}  // namespace octavo::engine
