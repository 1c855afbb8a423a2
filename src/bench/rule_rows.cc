// Each row runs the library's own kernel and one that breaks the rule, call after call. Called by
// bench/session.cc.
#include "bench/rule_rows.h"

#include <algorithm>
#include <functional>

#include "bench/attention_work.h"
#include "kernels/elementwise/free_order.h"
#include "kernels/gemm_f/gemm_f.h"
#include "model/step_profile.h"
#include "model/synthetic.h"

namespace octavo::bench {
namespace {

constexpr double kRunSeconds = 0.1;  // calls of one run together

struct Turns {
  std::vector<double> with_rule, without;  // seconds of a call, run by run
};

Result<Turns> take_turns(const KernelSubject& s, const std::function<void(int64_t)>& with_rule,
                         const std::function<void(int64_t)>& without) {
  int64_t n_made = 0;
  const auto time_calls = [&](const std::function<void(int64_t)>& call, int64_t n_calls) {
    const Stopwatch watch;
    for (int64_t i = 0; i < n_calls; ++i) call(n_made++);
    return watch.seconds() / static_cast<double>(n_calls);
  };
  const double once = time_calls(with_rule, 1);
  const auto n_calls = std::max<int64_t>(1, static_cast<int64_t>(kRunSeconds / std::max(once, 1e-7)));
  Turns turns;
  OCTAVO_ASSIGN_OR_RETURN(turns.with_rule, repeat(s.repetitions, false, s.progress, [&]() -> Result<double> {
                            turns.without.push_back(time_calls(without, n_calls));
                            return time_calls(with_rule, n_calls);
                          }));
  return turns;
}

double cost_of(const Turns& turns) {
  return std::max(0.0, 1 - median(turns.without) / median(turns.with_rule));
}

Row rule_row(const KernelSubject& s, kernels::Isa isa, const char* rule, int64_t m) {
  Row row;
  row.work = "rules";
  row.shape = rule;
  row.dtype = "bf16";
  row.isa = kernels::isa_name(isa);
  row.threads = s.pool.n_threads();
  row.m = m;
  return row;
}

constexpr int64_t kRows = 512;

// Of one row of x, the weights come from memory, as in a model.
Result<Row> order_of_sums(const KernelSubject& s, kernels::Isa isa, const kernels::GemmFKernel& free_order,
                          int64_t m, double& cost) {
  const model::ModelConfig& c = s.config;
  const std::pair<int64_t, int64_t> shapes[] = {{c.q_width(), c.d_model},  {c.kv_width(), c.d_model},
                                                {c.kv_width(), c.d_model}, {c.d_model, c.q_width()},
                                                {c.d_ff, c.d_model},       {c.d_ff, c.d_model},
                                                {c.d_model, c.d_ff}};
  int64_t n_weights = 0, widest = 0;
  for (const auto& [n, k] : shapes) {
    n_weights += n * k;
    widest = std::max({widest, n, k});
  }
  const int64_t layer_bytes = n_weights * tensor::dtype_bytes(tensor::DType::kBF16);
  const int64_t n_copies = m == 1 ? (kMemoryBytes + layer_bytes - 1) / layer_bytes : 1;
  const kernels::GemmFKernel& canonical = kernels::select_gemm_f(isa, tensor::DType::kBF16);
  std::vector<std::vector<kernels::GemmFWeights>> layers(static_cast<size_t>(n_copies));
  for (auto& layer : layers) {
    for (const auto& [n, k] : shapes) {
      const model::LinearWeight w = model::synthetic_linear(n, k, tensor::DType::kBF16, layer.size());
      layer.push_back(kernels::pack_gemm_f(canonical, w.data.data(), {}, n, k, &s.pool));
    }
  }
  const model::LinearWeight x = model::synthetic_linear(m, widest, tensor::DType::kBF16, 99);
  std::vector<float> y(static_cast<size_t>(m * widest));
  const auto run = [&](const kernels::GemmFKernel& kernel, int64_t i) {
    for (kernels::GemmFWeights& w : layers[static_cast<size_t>(i % n_copies)]) {
      w.kernel = &kernel;
      kernels::gemm_f(s.pool, x.data.data(), w, y.data(), m, w.n, false);
    }
  };
  OCTAVO_ASSIGN_OR_RETURN(const Turns turns, take_turns(
                                                 s, [&](int64_t i) { run(canonical, i); },
                                                 [&](int64_t i) { run(free_order, i); }));
  Row row = rule_row(s, isa, "order of sums", m);
  row.kernel = kernels::gemm_f_kernel_name(canonical);
  row.unit = m == 1 ? "GB/s" : "TOPS";
  row.limit_of = "the same products in free order";
  const double work = m == 1 ? static_cast<double>(layer_bytes) / 1e9
                             : 2 * static_cast<double>(n_weights) * static_cast<double>(m) / 1e12;
  set_rate(row, work, turns.with_rule, work / median(turns.without));
  cost = cost_of(turns);
  return row;
}

Result<Row> partial_sums(const KernelSubject& s, kernels::Isa isa,
                         const kernels::ElementwiseKernels& free_order, double& cost) {
  const int64_t k = s.config.d_model;
  std::vector<float> x(static_cast<size_t>(kRows * k)), weight(static_cast<size_t>(k), 1.0F);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 1009) / 1009 - 0.5F;
  std::vector<int8_t> codes(x.size());
  std::vector<float> scale(static_cast<size_t>(kRows));
  const auto run = [&](const kernels::ElementwiseKernels& rows) {
    kernels::rms_norm(s.pool, rows, x.data(), k, weight.data(), s.config.rms_norm_eps, kRows, k,
                      {kernels::RowForm::kS8, codes.data(), scale.data(), nullptr});
  };
  const kernels::ElementwiseKernels& canonical = kernels::select_elementwise(isa);
  OCTAVO_ASSIGN_OR_RETURN(const Turns turns,
                          take_turns(
                              s, [&](int64_t) { run(canonical); }, [&](int64_t) { run(free_order); }));
  Row row = rule_row(s, isa, "16 partial sums", kRows);
  row.dtype = "int8";
  row.unit = "GB/s";
  row.limit_of = "RMSNorm with 64";
  const double bytes = static_cast<double>(x.size() * sizeof(float)) / 1e9;
  set_rate(row, bytes, turns.with_rule, bytes / median(turns.without));
  cost = cost_of(turns);
  return row;
}

Result<Row> order_of_blocks(const KernelSubject& s, kernels::Isa isa, int64_t context, double& cost) {
  const model::ModelConfig& c = s.config;
  const int64_t n_blocks = model::KvCache::blocks_for(context);
  const int64_t n_parts = std::min<int64_t>(s.pool.n_threads(), n_blocks);
  AttentionWork work(c, isa, s.pool, n_parts, context, /*from_memory=*/true);
  const auto whole = [&](int64_t i) {
    const kernels::AttentionSequence last = {0, 1, context - 1, work.blocks(i)};
    work.run({&last, 1});
  };
  // Each part as if it were a sequence; then what merging the parts by their weights takes.
  const auto split = [&](int64_t i) {
    std::vector<kernels::AttentionSequence> parts;
    for (int64_t part = 0; part < n_parts; ++part) {
      const int64_t begin = part * n_blocks / n_parts, end = (part + 1) * n_blocks / n_parts;
      const int64_t n_tokens =
          std::min(context, end * kernels::kKvBlockTokens) - begin * kernels::kKvBlockTokens;
      parts.push_back({part, 1, n_tokens - 1,
                       work.blocks(i).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin))});
    }
    work.run(parts);
    float* out = work.out();
    for (int64_t part = 1; part < n_parts; ++part) {
      for (int64_t j = 0; j < c.q_width(); ++j) out[j] = 0.5F * out[j] + 0.5F * out[part * c.q_width() + j];
    }
  };
  OCTAVO_ASSIGN_OR_RETURN(const Turns turns, take_turns(s, whole, split));
  Row row = rule_row(s, isa, "order of blocks", 1);
  row.context = context;
  row.unit = "GB/s";
  row.limit_of = "the context split by thread";
  const double bytes = work.layer_bytes() / 1e9;
  set_rate(row, bytes, turns.with_rule, bytes / median(turns.without));
  cost = cost_of(turns);
  return row;
}

}  // namespace

Result<RuleRows> rule_rows(const KernelSubject& s, kernels::Isa isa) {
  RuleRows out;
  if (const kernels::GemmFKernel* free_order = kernels::free_order_gemm_f(isa)) {
    OCTAVO_ASSIGN_OR_RETURN(Row many, order_of_sums(s, isa, *free_order, kRows, out.costs.product_sums));
    OCTAVO_ASSIGN_OR_RETURN(Row one, order_of_sums(s, isa, *free_order, 1, out.costs.product_sums_of_one));
    out.rows.push_back(std::move(many));
    out.rows.push_back(std::move(one));
  }
  if (const kernels::ElementwiseKernels* free_order = kernels::free_order_elementwise(isa)) {
    OCTAVO_ASSIGN_OR_RETURN(Row row, partial_sums(s, isa, *free_order, out.costs.row_sums));
    out.rows.push_back(std::move(row));
  }
  for (const int64_t context : {2048, 8192}) {
    if (s.pool.n_threads() == 1) break;
    double cost = 0;
    OCTAVO_ASSIGN_OR_RETURN(Row row, order_of_blocks(s, isa, context, cost));
    out.costs.blocks = std::max(out.costs.blocks, cost);
    out.rows.push_back(std::move(row));
  }
  return out;
}

Row rules_of_step_row(const Subject& s, const RuleCosts& costs, const Profile& step) {
  using enum model::Operation;
  const model::WeightTotals totals = s.model.totals();
  const double of_products = step.m == 1 ? costs.product_sums_of_one : costs.product_sums;
  const double of_linears = totals.n_s8 > 0 ? 0 : of_products;
  const auto cost_of_operation = [&](model::Operation operation) {
    switch (operation) {
      case kNorm:
      case kRopeKvWrite:  // more than its norms: an upper bound
        return costs.row_sums;
      case kQkv:
      case kOutput:
      case kGateUp:
      case kDown:
        return of_linears;
      case kHead:
        return totals.head_is_s8 ? 0 : costs.product_sums_of_one;  // of the last token
      case kAttention:
        return (s.kv_type == model::KvType::kInt8 ? 0 : of_products) +
               (step.work == "decode" ? costs.blocks : 0);
      default:
        return 0.0;
    }
  };
  double seconds = 0, of_rules = 0;
  for (size_t i = 0; i < step.parts.size(); ++i) {
    seconds += step.parts[i].seconds;
    of_rules += step.parts[i].seconds * cost_of_operation(static_cast<model::Operation>(i));
  }
  Row row = s.row("rules");
  row.shape = "all of a " + step.work + " step";
  row.m = step.m;
  row.batch = step.batch;
  row.context = step.context;
  row.value = row.min = row.max = 100 * of_rules / seconds;
  row.unit = "%";
  row.n_runs = 1;
  return row;
}

}  // namespace octavo::bench
