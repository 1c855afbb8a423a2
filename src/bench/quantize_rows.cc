// Runs quant/pipeline.cc as `octavo quantize` does. Called by bench/session.cc.
#include "bench/quantize_rows.h"

#include <utility>

#include "base/memory.h"
#include "quant/pipeline.h"
#include "quant/preflight.h"

namespace octavo::bench {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

std::vector<data::TokenSample> random_samples(const CalibrationSize& size, int64_t n_vocab) {
  std::vector<data::TokenSample> samples;
  for (int64_t i = 0; i < size.n_samples; ++i) {
    samples.push_back({random_tokens(size.n_tokens, n_vocab, static_cast<uint64_t>(i)), ""});
  }
  return samples;
}

// Multiplications and additions of the linears of all the shape's layers.
double linear_ops(const model::ModelConfig& c, int64_t n_layers, int64_t n_tokens) {
  const int64_t per_layer = c.d_model * (2 * c.q_width() + 2 * c.kv_width() + 3 * c.d_ff);
  return 2.0 * static_cast<double>(per_layer) * static_cast<double>(n_layers) * static_cast<double>(n_tokens);
}

}  // namespace

Result<QuantizeRows> quantize_rows(const QuantizeSubject& s, Progress* progress) {
  quant::Job job;
  job.source = s.source;
  job.target = s.target;
  job.overwrite = true;
  job.n_threads = s.n_threads;
  OCTAVO_ASSIGN_OR_RETURN(job.recipe, quant::load_recipe("w8a8"));
  OCTAVO_ASSIGN_OR_RETURN(const format::Checkpoint source, format::Checkpoint::open(s.source));
  OCTAVO_ASSIGN_OR_RETURN(const model::ModelConfig config,
                          model::parse_model_config(source.config(), s.source + "/config.json"));
  job.load_samples = [&](int64_t) -> Result<std::vector<data::TokenSample>> {
    return random_samples(s.calibration, config.n_vocab);
  };
  const bool knows_peak = base::reset_peak_resident();
  OCTAVO_ASSIGN_OR_RETURN(quant::Preflight flight, quant::preflight(job));
  const auto estimated_bytes = static_cast<double>(flight.memory_bytes);
  OCTAVO_ASSIGN_OR_RETURN(const quant::Outcome outcome,
                          quant::run_pipeline(job, std::move(flight), progress));

  const int64_t n_tokens = s.calibration.n_samples * s.calibration.n_tokens;
  const double layers_share = static_cast<double>(s.n_layers) / static_cast<double>(config.n_layers);
  QuantizeRows out;
  out.passes = {
      .work = "quantize", .m = n_tokens, .batch = s.calibration.n_samples, .context = 0, .parts = {}};
  double seconds = 0;
  for (const quant::PassSeconds& pass : outcome.run.passes) {
    out.passes.parts.push_back({pass.name, pass.seconds * (pass.per_layer ? layers_share : 1)});
    seconds += out.passes.parts.back().seconds;
  }
  Row row;
  row.work = "quantize";
  row.shape = s.shape;
  row.dtype = "int8";
  row.isa = kernels::isa_name(s.isa);
  row.threads = outcome.run.n_threads;
  row.m = n_tokens;
  row.batch = s.calibration.n_samples;
  row.extrapolated_from = s.n_layers == config.n_layers ? 0 : config.n_layers;
  const double ops = linear_ops(config, s.n_layers, n_tokens);
  set_seconds(row, {seconds}, floor_seconds(s.machine, s.isa, {0, ops, 0}).seconds);
  row.limit_of = "one bf16 forward pass at its peak";
  out.rows.push_back(row);
  if (!knows_peak) return out;
  row.unit = "GiB";
  row.extrapolated_from = 0;
  row.value = row.min = row.max = static_cast<double>(outcome.run.peak_resident_bytes) / kGiB;
  row.limit = estimated_bytes / kGiB;
  row.limit_of = "pre-flight estimate";
  row.share = row.value / row.limit;
  out.rows.push_back(row);
  return out;
}

}  // namespace octavo::bench
