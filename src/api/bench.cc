// Measurements for the surfaces: names become what bench/ takes, rows become public. Called by
// cli/cmd_bench.cc.
#include "octavo/bench.h"

#include <utility>

#include "base/text_format.h"
#include "bench/session.h"
#include "bench/shapes.h"

namespace octavo {

namespace {

Result<bench::Plan> to_plan(const BenchOptions& options) {
  bench::Plan plan;
  plan.folder = options.model;
  plan.synthetic = options.synthetic;
  if (options.dtype != "int8" && options.dtype != "bf16") {
    return invalid_argument("dtype: expected int8 or bf16, found " + base::quoted(options.dtype));
  }
  plan.linears = options.dtype == "int8" ? tensor::DType::kI8 : tensor::DType::kBF16;
  plan.n_layers = options.n_layers;
  const std::vector<std::string> works = options.rows.empty() ? bench::work_names() : options.rows;
  plan.works = {works.begin(), works.end()};
  if (options.rows.empty()) {
    for (const char* slow : {"engine", "prefix", "quantize", "rules"}) plan.works.erase(slow);
    if (!options.synthetic.empty()) plan.works.erase("load");
  }
  for (const auto& [n_prompt, n_output] : options.request_tokens) {
    for (const int64_t n : options.requests) plan.requests.push_back({n, n_prompt, n_output});
  }
  OCTAVO_ASSIGN_OR_RETURN(plan.kv_type, model::kv_type_from_name(options.kv_cache_dtype));
  OCTAVO_ASSIGN_OR_RETURN(plan.head_type, model::head_type_from_name(options.lm_head_dtype));
  plan.calibration = {options.calibration_samples, options.calibration_tokens};
  plan.prefills = options.prefills;
  plan.contexts = options.contexts;
  plan.batches = options.batches;
  if (options.max_step_tokens < 1) {
    return invalid_argument("max_step_tokens: expected at least 1, found " +
                            std::to_string(options.max_step_tokens));
  }
  plan.max_rows = options.max_step_tokens;
  plan.repetitions = {options.repetitions, options.seconds_per_row};
  plan.profile = options.profile;
  plan.n_threads = options.n_threads;
  return plan;
}

BenchMachine to_public(const bench::Machine& machine) {
  BenchMachine out;
  out.cpu = machine.cpu;
  out.threads = machine.threads;
  out.memory_bytes = machine.memory_bytes;
  out.read_gb_per_s = machine.read_bandwidth / 1e9;
  for (const bench::IsaPeaks& peaks : machine.isas) {
    out.peaks.push_back({kernels::isa_name(peaks.isa), peaks.s8 / 1e12, peaks.bf16 / 1e12, peaks.f32 / 1e12});
  }
  return out;
}

BenchRow to_public(bench::Row row) {
  BenchRow out;
  out.work = std::move(row.work);
  out.shape = std::move(row.shape);
  out.dtype = std::move(row.dtype);
  out.isa = std::move(row.isa);
  out.kernel = std::move(row.kernel);
  out.threads = row.threads;
  out.m = row.m;
  out.batch = row.batch;
  out.context = row.context;
  out.value = row.value;
  out.unit = std::move(row.unit);
  out.min = row.min;
  out.max = row.max;
  out.limit = row.limit;
  out.limit_of = std::move(row.limit_of);
  out.share = row.share;
  out.n_runs = row.n_runs;
  out.extrapolated_from = row.extrapolated_from;
  return out;
}

}  // namespace

std::vector<std::string> bench_row_names() { return bench::work_names(); }
std::vector<std::string> bench_shape_names() { return bench::shape_names(); }

Result<std::string> bench_shape_config(const std::string& shape) {
  OCTAVO_ASSIGN_OR_RETURN(const base::Json config, bench::shape_config(shape));
  return config.dump(2) + "\n";
}

SpeedLimits measure_speed_limits(const ModelInfo& model, double mean_context) {
  const Result<kernels::Isa> isa = kernels::active_isa();
  if (!isa.ok() || model.step_bytes == 0) return {};
  base::ThreadPool pool(model.n_threads);
  const bench::Machine machine = bench::measure_quickly(pool, *isa);
  const double prefill =
      bench::floor_seconds(machine, *isa, {model.token_s8_ops, model.token_float_ops, 0}).seconds;
  const double bytes =
      static_cast<double>(model.step_bytes) + mean_context * static_cast<double>(model.kv_token_bytes);
  const double decode = bench::floor_seconds(machine, *isa, {0, 0, bytes}).seconds;
  return {prefill > 0 ? 1 / prefill : 0, decode > 0 ? 1 / decode : 0};
}

Result<BenchReport> run_bench(const BenchOptions& options, Progress* progress) {
  OCTAVO_ASSIGN_OR_RETURN(const bench::Plan plan, to_plan(options));
  OCTAVO_ASSIGN_OR_RETURN(bench::Measured measured, bench::measure(plan, progress));
  BenchReport report;
  report.machine = to_public(measured.machine);
  report.isa = kernels::isa_name(measured.isa);
  for (bench::Row& row : measured.rows) report.rows.push_back(to_public(std::move(row)));
  for (const bench::Profile& profile : measured.profiles) {
    BenchProfile& out = report.profiles.emplace_back(
        BenchProfile{profile.work, profile.m, profile.batch, profile.context, {}});
    for (const auto& part : profile.parts) out.parts.push_back({part.operation, 1e3 * part.seconds});
  }
  return report;
}

}  // namespace octavo
