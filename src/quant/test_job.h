#pragma once
// For tests: jobs on the golden models (which have no tokenizer) with random tokens for calibration, and the
// models they write run side by side with their source.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "model/test_checkpoint.h"
#include "model/test_model.h"
#include "quant/pipeline.h"
#include "quant/preflight.h"

namespace octavo::quant {

inline std::vector<int32_t> random_tokens(size_t n, int64_t n_vocab, uint32_t seed) {
  std::mt19937 bits(seed);
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(bits() % static_cast<uint32_t>(n_vocab));
  return tokens;
}

inline std::vector<data::TokenSample> random_samples(int64_t n_vocab, size_t n_samples = 8,
                                                     size_t n_tokens = 40) {
  std::vector<data::TokenSample> samples;
  for (size_t i = 0; i < n_samples; ++i) {
    samples.push_back({.ids = random_tokens(n_tokens + i % 3, n_vocab, static_cast<uint32_t>(i)),
                       .subject = i % 2 == 0 ? "even" : "odd"});
  }
  return samples;
}

inline Recipe recipe_from(const std::string& json) {
  const auto recipe = parse_recipe(base::parse_json(json).value(), "test.json");
  EXPECT_TRUE(recipe.ok()) << recipe.status().message();
  return *recipe;
}

inline Job make_job(const std::string& source, const std::string& target, const Recipe& recipe,
                    int n_threads = 1) {
  Job job;
  job.source = source;
  job.target = target;
  job.recipe = recipe;
  job.n_threads = n_threads;
  if (recipe.needs_calibration()) {
    const auto n_vocab = format::Checkpoint::open(source)->config().find("vocab_size")->as_int();
    job.load_samples = [n_vocab](int64_t) { return random_samples(n_vocab); };
  }
  return job;
}

inline Result<Outcome> run_job(const Job& job, Progress* progress = nullptr) {
  OCTAVO_ASSIGN_OR_RETURN(Preflight flight, preflight(job));
  return run_pipeline(job, std::move(flight), progress);
}

// Mean squared difference of two models' logits over mean square of the first's, on tokens that no
// calibration has seen.
inline double relative_logits_error(const std::string& source, const std::string& target) {
  base::ThreadPool pool(1);
  const auto a = model::load_model(source, pool), b = model::load_model(target, pool);
  const std::vector<int32_t> tokens = random_tokens(48, a->config().n_vocab, 999);
  const std::vector<float> x = model::run(*a, tokens, tokens.size()),
                           y = model::run(*b, tokens, tokens.size());
  double error = 0, signal = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += (static_cast<double>(y[i]) - x[i]) * (static_cast<double>(y[i]) - x[i]);
    signal += static_cast<double>(x[i]) * x[i];
  }
  return error / signal;
}

}  // namespace octavo::quant
