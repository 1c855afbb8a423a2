// The table of contents of `octavo bench`. Called by api/bench.cc.
#include "bench/session.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/memory.h"
#include "base/text_format.h"
#include "bench/kernel_rows.h"
#include "bench/model_rows.h"
#include "bench/prefix_row.h"
#include "bench/rule_rows.h"
#include "bench/scratch_folder.h"
#include "bench/shapes.h"
#include "format/checkpoint.h"
#include "model/decoder.h"
#include "model/synthetic.h"

namespace octavo::bench {

namespace {

// What stays open through a run.
class Session {
 public:
  Session(const Plan& plan, Progress* progress) : plan_(plan), progress_(progress), pool_(plan.n_threads) {}

  Result<Measured> run() {
    OCTAVO_ASSIGN_OR_RETURN(measured_.isa, kernels::active_isa());
    OCTAVO_RETURN_IF_ERROR(read_config());
    measured_.machine = measure_machine(pool_, progress_);
    if (wants("gemm") || wants("attention") || wants("rules")) OCTAVO_RETURN_IF_ERROR(run_kernels());
    if (wants("quantize") || (wants("load") && !checkpoint_)) OCTAVO_RETURN_IF_ERROR(make_files());
    if (wants("quantize")) OCTAVO_RETURN_IF_ERROR(run_quantize());
    OCTAVO_RETURN_IF_ERROR(run_model());
    return std::move(measured_);
  }

 private:
  bool wants(const char* work) const { return plan_.works.contains(work); }
  void show(const std::string& what) {
    if (progress_ != nullptr) progress_->update(what, n_done_++, n_rows());
  }
  int64_t n_rows() const;
  Status read_config();
  Status run_kernels();
  Status make_files();
  Status open_scratch();
  Status run_model();
  Status open_model();
  Status load_row();
  Status run_quantize();
  Status add_rules_of_steps();
  double shape_bytes_share() const;
  Subject subject();

  const Plan& plan_;
  Progress* progress_;
  base::ThreadPool pool_;
  std::optional<ScratchFolder> scratch_;
  std::optional<format::Checkpoint> checkpoint_;
  model::ModelConfig config_;  // of as many layers as run
  int64_t n_shape_layers_ = 0;
  std::string shape_;
  std::unique_ptr<model::Model> model_;
  Measured measured_;
  RuleCosts rule_costs_;
  int64_t n_done_ = 0;
};

// A system prompt that 32 requests share, with a question of their own.
constexpr int64_t kPrefixRequests = 32, kPrefixTokens = 1000, kOwnTokens = 24;
constexpr int64_t kGemmRows[] = {1, 16, 512};
// The rows of attention: the last m positions of a context.
constexpr std::pair<int64_t, int64_t> kAttention[] = {{1, 2048}, {1, 8192}, {512, 2048}, {512, 8192}};

int64_t Session::n_rows() const {
  const auto n_isas = static_cast<int64_t>(measured_.machine.isas.size());
  int64_t n = 0;
  if (wants("gemm")) n += n_isas;
  if (wants("attention")) n += n_isas * std::ssize(kAttention);
  if (wants("prefill")) n += std::ssize(plan_.prefills);
  if (wants("decode")) n += std::ssize(plan_.contexts) + std::ssize(plan_.batches);
  if (wants("engine")) n += std::ssize(plan_.requests);
  if (wants("prefix")) ++n;
  if (wants("load")) n += 2;
  if (wants("quantize")) ++n;
  if (wants("rules")) n += 2;
  return n;
}

Status Session::read_config() {
  base::Json json;
  if (!plan_.synthetic.empty()) {
    OCTAVO_ASSIGN_OR_RETURN(json, shape_config(plan_.synthetic));
    shape_ = plan_.synthetic;
  } else {
    OCTAVO_ASSIGN_OR_RETURN(checkpoint_, format::Checkpoint::open(plan_.folder));
    json = checkpoint_->config();
    shape_ = plan_.folder;
  }
  OCTAVO_ASSIGN_OR_RETURN(config_, model::parse_model_config(json, shape_ + "/config.json"));
  n_shape_layers_ = config_.n_layers;
  if (plan_.n_layers) {
    if (checkpoint_) return invalid_argument("layers: only a synthetic model can be made shorter");
    if (*plan_.n_layers < 1 || *plan_.n_layers > config_.n_layers) {
      return invalid_argument("layers: expected 1 to " + std::to_string(config_.n_layers) + ", found " +
                              std::to_string(*plan_.n_layers));
    }
    config_.n_layers = *plan_.n_layers;
  }
  if (checkpoint_) return {};
  const uint64_t need = model::synthetic_bytes(config_, {plan_.linears, 1});
  const uint64_t available = base::available_memory_bytes();
  if (need <= available) return {};
  return resource_exhausted(shape_ + ": the weights need " + base::format_bytes(need) + " of memory, " +
                            base::format_bytes(available) + " are available; run fewer layers");
}

Status Session::run_kernels() {
  const KernelSubject subject = {config_,           plan_.linears,     pool_,
                                 measured_.machine, plan_.repetitions, progress_};
  if (wants("rules")) {
    show("rules");
    OCTAVO_ASSIGN_OR_RETURN(RuleRows rules, rule_rows(subject, measured_.isa));
    std::move(rules.rows.begin(), rules.rows.end(), std::back_inserter(measured_.rows));
    rule_costs_ = rules.costs;
  }
  KernelsSeen seen;  // an ISA without a kernel of its own runs that of the one below
  for (const IsaPeaks& peaks : measured_.machine.isas) {
    const std::string name = kernels::isa_name(peaks.isa);
    if (wants("gemm")) {
      show("gemm " + name);
      OCTAVO_ASSIGN_OR_RETURN(
          std::vector<Row> rows,
          gemm_rows(subject, peaks.isa, {std::begin(kGemmRows), std::end(kGemmRows)}, seen));
      std::move(rows.begin(), rows.end(), std::back_inserter(measured_.rows));
    }
    if (!wants("attention") || !seen.attention.insert(&kernels::select_attention(peaks.isa)).second) continue;
    for (const auto& [m, context] : kAttention) {
      show("attention " + name + " " + std::to_string(m) + " at " + std::to_string(context));
      OCTAVO_ASSIGN_OR_RETURN(Row row, attention_row(subject, peaks.isa, m, context));
      measured_.rows.push_back(std::move(row));
    }
  }
  return {};
}

// Seconds of reading all the weights' bytes into memory that is already mapped, on all threads.
Result<double> read_seconds(base::ThreadPool& pool, const format::Checkpoint& checkpoint) {
  std::vector<tensor::Buffer> buffers;
  for (const format::TensorInfo* info : checkpoint.tensors()) {
    buffers.emplace_back(info->n_bytes);
    std::fill_n(buffers.back().as<std::byte>(), info->n_bytes, std::byte{1});
  }
  std::vector<Status> statuses(buffers.size());
  const Stopwatch watch;
  pool.parallel_for(static_cast<int64_t>(buffers.size()), [&](int64_t i, int) {
    const auto at = static_cast<size_t>(i);
    const format::TensorInfo& info = *checkpoint.tensors()[at];
    statuses[at] = checkpoint.read(info.name, buffers[at].data(), info.n_bytes);
  });
  const double seconds = watch.seconds();
  for (const Status& status : statuses) OCTAVO_RETURN_IF_ERROR(status);
  return seconds;
}

Status Session::make_files() {
  OCTAVO_ASSIGN_OR_RETURN(ScratchFolder scratch, ScratchFolder::create());
  scratch_.emplace(std::move(scratch));
  if (checkpoint_) return {};
  show("writing " + shape_);
  // What is loaded is made beside what quantizing has left, and then takes its place.
  const int n_int8 =
      (wants("quantize") ? 1 : 0) + (wants("load") && plan_.linears == tensor::DType::kI8 ? 1 : 0);
  return scratch_->write_float(plan_.synthetic, config_.n_layers, n_int8, progress_);
}

Status Session::run_quantize() {
  const QuantizeSubject subject = {.shape = shape_,
                                   .source = checkpoint_ ? plan_.folder : scratch_->float_model(),
                                   .target = scratch_->int8_model(),
                                   .n_layers = n_shape_layers_,
                                   .calibration = plan_.calibration,
                                   .n_threads = plan_.n_threads,
                                   .isa = measured_.isa,
                                   .machine = measured_.machine};
  OCTAVO_ASSIGN_OR_RETURN(QuantizeRows quantized, quantize_rows(subject, progress_));
  std::move(quantized.rows.begin(), quantized.rows.end(), std::back_inserter(measured_.rows));
  if (plan_.profile) measured_.profiles.push_back(std::move(quantized.passes));
  return {};
}

Status Session::open_scratch() {
  const bool is_s8 = plan_.linears == tensor::DType::kI8;
  if (is_s8) OCTAVO_RETURN_IF_ERROR(scratch_->round_to_int8(plan_.n_threads, progress_));
  OCTAVO_ASSIGN_OR_RETURN(checkpoint_,
                          format::Checkpoint::open(is_s8 ? scratch_->int8_model() : scratch_->float_model()));
  return {};
}

Status Session::load_row() {
  if (!checkpoint_) OCTAVO_RETURN_IF_ERROR(open_scratch());
  const Repetitions few = {std::min(plan_.repetitions.n, 3), plan_.repetitions.seconds};
  show("reading " + shape_);
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<double> floor,
                          repeat(few, true, progress_, [&] { return read_seconds(pool_, *checkpoint_); }));
  show("load");
  OCTAVO_ASSIGN_OR_RETURN(std::vector<double> seconds, repeat(few, false, progress_, [&]() -> Result<double> {
                            model_.reset();
                            const Stopwatch watch;
                            OCTAVO_RETURN_IF_ERROR(open_model());
                            return watch.seconds();
                          }));
  Row row = subject().row("load");
  const double bytes_share = shape_bytes_share();
  for (double& run : seconds) run *= bytes_share;
  set_seconds(row, seconds, median(floor) * bytes_share);
  row.limit_of = "parallel read of the files";
  measured_.rows.push_back(std::move(row));
  return {};
}

// What all of the shape's weights have more than those of the layers that run.
double Session::shape_bytes_share() const {
  model::ModelConfig whole = config_;
  whole.n_layers = n_shape_layers_;
  const model::SyntheticOptions options = {plan_.linears, 1};
  return static_cast<double>(model::synthetic_bytes(whole, options)) /
         static_cast<double>(model::synthetic_bytes(config_, options));
}

Subject Session::subject() {
  return {shape_,        *model_,           pool_,    measured_.isa, measured_.machine, n_shape_layers_,
          plan_.kv_type, plan_.repetitions, progress_};
}

Status Session::open_model() {
  const model::ModelOptions options = {measured_.isa, &pool_, plan_.head_type};
  if (checkpoint_) {
    OCTAVO_ASSIGN_OR_RETURN(model_, model::Model::load(*checkpoint_, options));
  } else {
    const model::SyntheticWeights weights(config_, {plan_.linears, 1});
    OCTAVO_ASSIGN_OR_RETURN(model_, model::Model::build(config_, weights, shape_, options));
  }
  return {};
}

// Steps as long as the rules' own rows, or as the model's context allows.
Status Session::add_rules_of_steps() {
  constexpr int64_t kPrompt = 512, kContext = 2048;
  const Subject subject = this->subject();
  const int64_t longest = config_.max_positions / 2 / kernels::kKvBlockTokens * kernels::kKvBlockTokens;
  OCTAVO_ASSIGN_OR_RETURN(const Profile prefill,
                          prefill_profile(subject, std::min(kPrompt, config_.max_positions), plan_.max_rows));
  OCTAVO_ASSIGN_OR_RETURN(const Profile decode, decode_profile(subject, 1, std::min(kContext, longest)));
  for (const Profile& step : {prefill, decode}) {
    measured_.rows.push_back(rules_of_step_row(subject, rule_costs_, step));
  }
  return {};
}

Status Session::run_model() {
  const bool wants_model = wants("prefill") || wants("decode") || wants("engine") || wants("prefix") ||
                           wants("memory") || wants("rules");
  if (wants("load")) {
    OCTAVO_RETURN_IF_ERROR(load_row());
  } else if (wants_model) {
    OCTAVO_RETURN_IF_ERROR(open_model());
  }
  if (!wants_model) return {};
  const Subject subject = this->subject();
  const auto add = [&](Result<Row> row) -> Status {
    if (row.ok()) measured_.rows.push_back(std::move(row).value());
    return row.status();
  };
  if (wants("memory")) OCTAVO_RETURN_IF_ERROR(add(memory_row(subject)));
  const auto add_profile = [&](Result<Profile> profile) -> Status {
    if (profile.ok()) measured_.profiles.push_back(std::move(profile).value());
    return profile.status();
  };
  const auto add_decode = [&](int64_t batch, int64_t context) -> Status {
    show("decode of " + std::to_string(batch) + " at " + std::to_string(context));
    OCTAVO_RETURN_IF_ERROR(add(decode_row(subject, batch, context)));
    return plan_.profile ? add_profile(decode_profile(subject, batch, context)) : Status();
  };
  if (wants("prefill")) {
    for (const int64_t m : plan_.prefills) {
      show("prefill " + std::to_string(m));
      OCTAVO_RETURN_IF_ERROR(add(prefill_row(subject, m, plan_.max_rows)));
      if (plan_.profile) OCTAVO_RETURN_IF_ERROR(add_profile(prefill_profile(subject, m, plan_.max_rows)));
    }
  }
  if (wants("decode")) {
    for (const int64_t context : plan_.contexts) OCTAVO_RETURN_IF_ERROR(add_decode(1, context));
    for (const int64_t batch : plan_.batches) OCTAVO_RETURN_IF_ERROR(add_decode(batch, 0));
  }
  if (wants("rules")) {
    show("rules of a step");
    OCTAVO_RETURN_IF_ERROR(add_rules_of_steps());
  }
  if (wants("prefix")) {
    show("prefix: " + std::to_string(kPrefixRequests) + " requests");
    OCTAVO_RETURN_IF_ERROR(
        add(prefix_row(subject, kPrefixRequests, kPrefixTokens, kOwnTokens, plan_.max_rows)));
  }
  if (!wants("engine")) return {};
  for (const Requests& requests : plan_.requests) {
    show("engine: " + std::to_string(requests.n) + " requests of " + std::to_string(requests.n_prompt) + "+" +
         std::to_string(requests.n_output));
    OCTAVO_RETURN_IF_ERROR(add(engine_row(subject, requests, plan_.max_rows)));
  }
  return {};
}

Status check_list(const char* name, const std::vector<int64_t>& values, int64_t least, int64_t most) {
  for (const int64_t value : values) {
    if (value >= least && value <= most) continue;
    return invalid_argument(std::string(name) + ": expected " + std::to_string(least) + " to " +
                            std::to_string(most) + ", found " + std::to_string(value));
  }
  return {};
}

Status check_plan(const Plan& plan) {
  if (plan.folder.empty() == plan.synthetic.empty()) {
    return invalid_argument("expected a model folder or the name of a synthetic shape, and not both");
  }
  const std::vector<std::string> known = work_names();
  for (const std::string& work : plan.works) {
    if (std::find(known.begin(), known.end(), work) != known.end()) continue;
    const std::string near = base::nearest(work, known);
    return invalid_argument("rows: " + base::quoted(work) + " is not known" +
                            (near.empty() ? "" : "; did you mean '" + near + "'?"));
  }
  constexpr int64_t kMost = 32'768;
  OCTAVO_RETURN_IF_ERROR(check_list("prefill", plan.prefills, 1, kMost));
  OCTAVO_RETURN_IF_ERROR(check_list("context", plan.contexts, 0, kMost));
  OCTAVO_RETURN_IF_ERROR(check_list("batch", plan.batches, 1, 1024));
  OCTAVO_RETURN_IF_ERROR(check_list("calibration samples", {plan.calibration.n_samples}, 1, 4096));
  OCTAVO_RETURN_IF_ERROR(check_list("calibration tokens", {plan.calibration.n_tokens}, 1, kMost));
  for (const Requests& r : plan.requests) {
    OCTAVO_RETURN_IF_ERROR(check_list("requests", {r.n}, 1, 1024));
    OCTAVO_RETURN_IF_ERROR(check_list("request tokens", {r.n_prompt, r.n_output}, 1, kMost));
  }
  OCTAVO_RETURN_IF_ERROR(check_list("repetitions", {plan.repetitions.n}, 1, 1000));
  return check_list("threads", {plan.n_threads}, 0, 1024);
}

}  // namespace

std::vector<std::string> work_names() {
  return {"gemm",   "attention", "prefill", "decode",   "load",
          "memory", "engine",    "prefix",  "quantize", "rules"};
}

Result<Measured> measure(const Plan& plan, Progress* progress) {
  OCTAVO_RETURN_IF_ERROR(check_plan(plan));
  return Session(plan, progress).run();
}

}  // namespace octavo::bench
