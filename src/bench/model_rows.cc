// Times the bare loop over a model and sets it against the floor of docs/BENCH.md. Called by
// bench/session.cc.
#include "bench/model_rows.h"

#include <algorithm>

#include "base/memory.h"
#include "model/step_profile.h"

namespace octavo::bench {

namespace {

constexpr int64_t kDecodeSteps = 16;  // of a run

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Keys and values of one token, all layers that the shape has.
double kv_token_bytes(const Subject& s) {
  return static_cast<double>(kernels::kv_block_bytes(s.model.kv_shape(s.kv_type))) /
         static_cast<double>(kernels::kKvBlockTokens) * static_cast<double>(s.n_layers);
}

}  // namespace

double Subject::layers_share() const {
  return static_cast<double>(n_layers) / static_cast<double>(model.config().n_layers);
}

Row Subject::row(const char* work) const {
  const model::WeightTotals totals = model.totals();
  Row row;
  row.work = work;
  row.shape = shape;
  row.dtype = totals.n_s8 > 0 ? "int8" : "bf16";
  row.isa = kernels::isa_name(isa);
  row.kernel = totals.layer_kernel;
  row.threads = pool.n_threads();
  row.extrapolated_from = n_layers == model.config().n_layers ? 0 : model.config().n_layers;
  return row;
}

Result<Row> prefill_row(const Subject& s, int64_t m, int64_t max_rows) {
  Row row = s.row("prefill");
  row.m = m;
  row.batch = 1;
  row.unit = "tok/s";
  Loop loop(s.model, 1, m, s.kv_type);
  const std::vector<int32_t> tokens = random_tokens(m, s.model.config().n_vocab, 1);
  const auto once = [&]() -> Result<double> {
    loop.clear();
    OCTAVO_ASSIGN_OR_RETURN(const LoopSeconds seconds, loop.prefill(tokens, max_rows));
    return seconds.total(s.n_layers, s.model.config().n_layers);
  };
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<double> seconds,
                          repeat(s.repetitions, /*warm_up=*/m <= 512, s.progress, once));
  const model::WeightTotals totals = s.model.totals();
  const double ops_per_weight = 2 * s.layers_share();
  const FloorSeconds floor = floor_seconds(s.machine, s.isa,
                                           {static_cast<double>(totals.n_s8) * ops_per_weight,
                                            static_cast<double>(totals.n_float) * ops_per_weight, 0});
  set_rate(row, static_cast<double>(m), seconds, floor.seconds > 0 ? 1 / floor.seconds : 0);
  row.limit_of = floor.limit_of;
  return row;
}

namespace {

// Runs `once`, which makes n_steps steps, as often as rows are repeated.
Result<Profile> profile(const Subject& s, int64_t n_steps, const std::function<Status()>& prepare,
                        const std::function<Status()>& once) {
  model::StepProfile times;
  const Repetitions few = {std::min(s.repetitions.n, 3), s.repetitions.seconds};
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<double> runs,
                          repeat(few, false, s.progress, [&]() -> Result<double> {
                            OCTAVO_RETURN_IF_ERROR(prepare());
                            s.model.set_profile(&times);
                            const Status status = once();
                            s.model.set_profile(nullptr);
                            OCTAVO_RETURN_IF_ERROR(status);
                            return 0.0;
                          }));
  const auto n_all = static_cast<double>(n_steps * std::ssize(runs));
  Profile out;
  for (size_t i = 0; i < model::kOperationNames.size(); ++i) {
    const auto operation = static_cast<model::Operation>(i);
    const bool is_outside = operation == model::Operation::kEmbed || operation == model::Operation::kHead;
    out.parts.push_back(
        {model::kOperationNames[i], times.seconds()[i] / n_all * (is_outside ? 1 : s.layers_share())});
  }
  return out;
}

}  // namespace

Result<Profile> prefill_profile(const Subject& s, int64_t m, int64_t max_rows) {
  Loop loop(s.model, 1, m, s.kv_type);
  const std::vector<int32_t> tokens = random_tokens(m, s.model.config().n_vocab, 1);
  const auto prepare = [&]() -> Status {
    loop.clear();
    return {};
  };
  OCTAVO_ASSIGN_OR_RETURN(Profile out,
                          profile(s, 1, prepare, [&] { return loop.prefill(tokens, max_rows).status(); }));
  out.work = "prefill";
  out.m = m;
  out.batch = 1;
  return out;
}

Result<Profile> decode_profile(const Subject& s, int64_t batch, int64_t context) {
  const int64_t start = round_up(context, kernels::kKvBlockTokens);
  Loop loop(s.model, batch, start + kDecodeSteps, s.kv_type);
  OCTAVO_ASSIGN_OR_RETURN(Profile out, profile(
                                           s, kDecodeSteps, [&] { return loop.pretend(start); },
                                           [&] { return loop.decode(kDecodeSteps).status(); }));
  out.work = "decode";
  out.m = out.batch = batch;
  out.context = context;
  return out;
}

Floor decode_floor(const Subject& s, int64_t batch, int64_t context) {
  const model::WeightTotals totals = s.model.totals();
  const auto rows = static_cast<double>(batch);
  Floor floor;
  floor.s8_ops = 2 * rows * static_cast<double>(totals.n_s8) * s.layers_share();
  floor.float_ops = 2 * rows * static_cast<double>(totals.n_float) * s.layers_share();
  (totals.head_is_s8 ? floor.s8_ops : floor.float_ops) += 2 * rows * static_cast<double>(totals.n_head);
  floor.bytes = static_cast<double>(totals.layer_bytes) * s.layers_share() +
                static_cast<double>(totals.head_bytes) +
                rows * static_cast<double>(context) * kv_token_bytes(s);
  return floor;
}

Result<Row> decode_row(const Subject& s, int64_t batch, int64_t context) {
  Row row = s.row("decode");
  row.m = batch;
  row.batch = batch;
  row.context = context;
  row.unit = "tok/s";
  const int64_t start = round_up(context, kernels::kKvBlockTokens);
  Loop loop(s.model, batch, start + kDecodeSteps, s.kv_type);
  ReadsInTurns reads;
  const auto once = [&]() -> Result<double> {
    reads.measure(s.pool);
    OCTAVO_RETURN_IF_ERROR(loop.pretend(start));
    OCTAVO_ASSIGN_OR_RETURN(const LoopSeconds seconds, loop.decode(kDecodeSteps));
    return seconds.total(s.n_layers, s.model.config().n_layers);
  };
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<double> seconds, repeat(s.repetitions, true, s.progress, once));
  const FloorSeconds floor = floor_seconds(reads.in(s.machine), s.isa, decode_floor(s, batch, start));
  set_rate(row, static_cast<double>(batch * kDecodeSteps), seconds,
           floor.seconds > 0 ? static_cast<double>(batch) / floor.seconds : 0);
  row.limit_of = floor.limit_of;
  return row;
}

Row memory_row(const Subject& s) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  Row row = s.row("memory");
  row.unit = "GiB";
  row.extrapolated_from = 0;
  row.value = row.min = row.max = static_cast<double>(base::resident_bytes()) / kGiB;
  row.limit = static_cast<double>(s.model.packed_bytes()) / kGiB;
  row.limit_of = "packed weights";
  row.share = row.limit / row.value;
  row.n_runs = 1;
  return row;
}

}  // namespace octavo::bench
