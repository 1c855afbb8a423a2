// Prompts differ, so that the prefix cache finds nothing, and nothing is guessed ahead: the engine does the
// work of the loop, and what it adds is scheduling, sampling and handing tokens over. Called by
// bench/session.cc.
#include "bench/engine_rows.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/fair_mutex.h"
#include "engine/batch_engine.h"
#include "engine/decoder_step_model.h"

namespace octavo::bench {

namespace {

int64_t n_tokens(const Requests& r) { return r.n_prompt + r.n_output; }

Result<double> loop_seconds(const Subject& s, const Requests& r, int64_t max_rows) {
  Loop loop(s.model, r.n, n_tokens(r), s.kv_type);
  const std::vector<int32_t> prompt = random_tokens(r.n_prompt, s.model.config().n_vocab, 1);
  const Stopwatch watch;
  OCTAVO_RETURN_IF_ERROR(loop.prefill(prompt, max_rows).status());
  if (r.n_output > 1) OCTAVO_RETURN_IF_ERROR(loop.decode(r.n_output - 1).status());
  return watch.seconds();
}

Result<double> engine_seconds(const Subject& s, const Requests& r, int64_t max_rows) {
  base::FairMutex mutex;
  engine::DecoderStepModel step_model(s.model, s.pool, mutex, n_tokens(r) + 1, s.kv_type);
  engine::BatchOptions options;
  options.max_sequences = r.n;
  options.max_step_tokens = std::max(max_rows, r.n);
  // A page more for each than its tokens need: what it is about to write.
  const int64_t n_pages = r.n * (model::KvCache::blocks_for(n_tokens(r) + 1) + 1);
  options.kv_bytes = static_cast<uint64_t>(n_pages) * step_model.page_bytes();
  options.speculation = engine::Speculation::kOff;
  OCTAVO_ASSIGN_OR_RETURN(const auto engine, engine::BatchEngine::start(step_model, options));
  std::vector<engine::GenerationRequest> waiting(static_cast<size_t>(r.n));
  for (size_t i = 0; i < waiting.size(); ++i) {
    waiting[i].prompt = random_tokens(r.n_prompt, s.model.config().n_vocab, i + 1);
    waiting[i].max_tokens = r.n_output;
    waiting[i].sampling.temperature = 0;
  }
  const Stopwatch watch;
  std::vector<std::shared_ptr<engine::Generation>> running;
  for (engine::GenerationRequest& request : waiting) {
    OCTAVO_ASSIGN_OR_RETURN(auto generation, engine->submit(std::move(request)));
    running.push_back(std::move(generation));
  }
  for (const auto& generation : running) {
    for (bool is_done = false; !is_done;) {
      OCTAVO_ASSIGN_OR_RETURN(const engine::GenerationStep step, generation->step(s.progress));
      is_done = step.finish != engine::Finish::kNone;
    }
  }
  return watch.seconds();
}

}  // namespace

Result<Row> engine_row(const Subject& s, const Requests& r, int64_t max_rows) {
  Row row = s.row("engine");
  row.m = r.n_prompt;
  row.batch = r.n;
  row.context = n_tokens(r);
  row.unit = "tok/s";
  row.limit_of = "bare loop";
  row.extrapolated_from = 0;
  std::vector<double> alone;
  const auto once = [&]() -> Result<double> {
    OCTAVO_ASSIGN_OR_RETURN(const double loop, loop_seconds(s, r, max_rows));
    alone.push_back(loop);
    return engine_seconds(s, r, max_rows);
  };
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<double> seconds, repeat(s.repetitions, false, s.progress, once));
  const auto work = static_cast<double>(r.n * r.n_output);
  set_rate(row, work, seconds, work / median(alone));
  return row;
}

}  // namespace octavo::bench
