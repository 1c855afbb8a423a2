// The engine against the bare loop on a cache that holds the prefix. Called by bench/session.cc.
#include "bench/prefix_row.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "base/fair_mutex.h"
#include "bench/loop.h"
#include "engine/batch_engine.h"
#include "engine/decoder_step_model.h"

namespace octavo::bench {

namespace {

constexpr double kDecodeSteps = 1.3;

engine::GenerationRequest one_token(std::vector<int32_t> prompt) {
  engine::GenerationRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = 1;
  request.sampling.temperature = 0;
  return request;
}

}  // namespace

Result<Row> prefix_row(const Subject& s, int64_t n, int64_t n_prefix, int64_t n_own, int64_t max_rows) {
  const int64_t n_cached = n_prefix / engine::kPageTokens * engine::kPageTokens;
  const int64_t n_prompt = n_prefix + n_own;
  const int64_t n_vocab = s.model.config().n_vocab;
  base::FairMutex mutex;
  engine::DecoderStepModel step_model(s.model, s.pool, mutex, n_prompt + 1, s.kv_type);
  engine::BatchOptions options;
  options.max_sequences = n;
  options.max_step_tokens = std::max(max_rows, n);
  OCTAVO_ASSIGN_OR_RETURN(const auto engine, engine::BatchEngine::start(step_model, options));
  Loop loop(s.model, n, n_prompt + 1, s.kv_type);

  uint64_t seed = 1;
  const std::vector<int32_t> prefix = random_tokens(n_prefix, n_vocab, seed);
  OCTAVO_ASSIGN_OR_RETURN(const auto first, engine->submit(one_token(prefix)));
  OCTAVO_RETURN_IF_ERROR(first->step(s.progress).status());

  std::vector<double> limits;
  const auto once = [&]() -> Result<double> {
    OCTAVO_RETURN_IF_ERROR(loop.pretend(n_cached));
    const Stopwatch watch;
    OCTAVO_RETURN_IF_ERROR(
        loop.prefill(random_tokens(n_prompt - n_cached, n_vocab, seed), max_rows).status());
    const double prefilled = watch.seconds();
    OCTAVO_RETURN_IF_ERROR(loop.decode(1).status());
    limits.push_back(prefilled + kDecodeSteps * (watch.seconds() - prefilled));

    std::vector<std::shared_ptr<engine::Generation>> running;
    double slowest = 0;
    std::vector<engine::GenerationRequest> requests;
    for (int64_t i = 0; i < n; ++i) {
      std::vector<int32_t> prompt = prefix;
      const std::vector<int32_t> own = random_tokens(n_own, n_vocab, ++seed);
      prompt.insert(prompt.end(), own.begin(), own.end());
      requests.push_back(one_token(std::move(prompt)));
    }
    for (engine::GenerationRequest& request : requests) {
      OCTAVO_ASSIGN_OR_RETURN(auto generation, engine->submit(std::move(request)));
      running.push_back(std::move(generation));
    }
    for (const auto& generation : running) {
      OCTAVO_RETURN_IF_ERROR(generation->step(s.progress).status());
      if (generation->n_cached_tokens() != n_cached) {
        return internal_error("expected " + std::to_string(n_cached) + " cached tokens, found " +
                              std::to_string(generation->n_cached_tokens()));
      }
      const engine::GenerationTimes times = generation->times();
      slowest = std::max(slowest, std::chrono::duration<double>(times.first_token - times.arrived).count());
    }
    return slowest;
  };
  Row row = s.row("prefix");
  row.m = n_prompt - n_cached;
  row.batch = n;
  row.context = n_prompt;
  row.limit_of = "bare loop, 1.3 decode steps";
  row.extrapolated_from = 0;
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<double> seconds, repeat(s.repetitions, true, s.progress, once));
  set_seconds(row, seconds, median(limits));
  return row;
}

}  // namespace octavo::bench
