// Products through model::Linear, as the decoder calls them; attention on pages that are laid out as a
// model's. Called by bench/session.cc.
#include "bench/kernel_rows.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "bench/attention_work.h"
#include "model/linear.h"
#include "model/synthetic.h"
#include "tensor/buffer.h"

namespace octavo::bench {

namespace {

constexpr double kRunSeconds = 0.05;  // calls of one run together

// Seconds of a call; a run makes so many that its time can be told. The calls are counted through all runs,
// so that going round copies of an operand never comes back to one that the cache still holds. reads: null
// where the kernel does not wait for memory.
Result<std::vector<double>> time_kernel(const KernelSubject& s, ReadsInTurns* reads,
                                        const std::function<void(int64_t)>& call) {
  int64_t n_made = 0;
  const auto time_calls = [&](int64_t n_calls) {
    const Stopwatch watch;
    for (int64_t i = 0; i < n_calls; ++i) call(n_made++);
    return watch.seconds() / static_cast<double>(n_calls);
  };
  const double once = time_calls(1);
  const auto n_calls = std::max<int64_t>(1, static_cast<int64_t>(kRunSeconds / std::max(once, 1e-7)));
  return repeat(s.repetitions, true, s.progress, [&]() -> Result<double> {
    if (reads != nullptr) reads->measure(s.pool);
    return time_calls(n_calls);
  });
}

struct Product {
  const char* name;
  int64_t n, k;
  tensor::DType dtype;
};

// Of a layer, each n and k once, and lm_head.
std::vector<Product> products(const KernelSubject& s) {
  const model::ModelConfig& c = s.config;
  std::vector<Product> all = {
      {"q_proj", c.q_width(), c.d_model, s.linears}, {"k_proj", c.kv_width(), c.d_model, s.linears},
      {"o_proj", c.d_model, c.q_width(), s.linears}, {"gate_proj", c.d_ff, c.d_model, s.linears},
      {"down_proj", c.d_model, c.d_ff, s.linears},   {"lm_head", c.n_vocab, c.d_model, tensor::DType::kBF16}};
  std::set<std::pair<int64_t, int64_t>> seen;
  std::erase_if(all, [&](const Product& p) { return !seen.insert({p.n, p.k}).second; });
  return all;
}

Result<Row> gemm_row(const KernelSubject& s, kernels::Isa isa, const Product& product,
                     const std::vector<model::Linear>& copies, int64_t m) {
  const model::Linear& first = copies.front();
  const bool is_s8 = first.input_form() == kernels::RowForm::kS8;
  const std::vector<float> scale(static_cast<size_t>(m), 0.01F);
  tensor::Buffer x(static_cast<size_t>(m * product.k * 2)),
      y(static_cast<size_t>(m * product.n) * sizeof(float));
  for (size_t i = 0; i < x.size_bytes(); ++i) {  // codes, or bf16 values between 2^-2 and 2^2
    x.as<uint8_t>()[i] = static_cast<uint8_t>(is_s8 || i % 2 == 0 ? i * 167 : 0x3f + (i & 2));
  }
  const model::Rows rows = {first.input_form(), x.data(), is_s8 ? scale.data() : nullptr, m, product.k};
  ReadsInTurns reads;
  OCTAVO_ASSIGN_OR_RETURN(
      const std::vector<double> seconds, time_kernel(s, m == 1 ? &reads : nullptr, [&](int64_t i) {
        copies[static_cast<size_t>(i) % copies.size()].forward(s.pool, rows, y.as<float>(), product.n);
      }));
  const double ops = 2.0 * static_cast<double>(m) * static_cast<double>(product.n * product.k);
  const auto bytes = static_cast<double>(first.packed_bytes());
  const FloorSeconds floor = floor_seconds(
      reads.in(s.machine), isa, {is_s8 ? ops : 0, is_s8 ? 0 : ops, copies.size() > 1 || m == 1 ? bytes : 0});
  Row row;
  row.work = "gemm";
  row.shape = std::string(product.name) + " " + std::to_string(product.n) + "x" + std::to_string(product.k);
  row.dtype = is_s8 ? "int8" : "bf16";
  row.isa = kernels::isa_name(isa);
  row.kernel = first.kernel_name();
  row.threads = s.pool.n_threads();
  row.m = m;
  row.unit = m == 1 ? "GB/s" : "TOPS";
  row.limit_of = floor.limit_of;
  const double work = m == 1 ? bytes / 1e9 : ops / 1e12;
  set_rate(row, work, seconds, floor.seconds > 0 ? work / floor.seconds : 0);
  return row;
}

}  // namespace

Result<std::vector<Row>> gemm_rows(const KernelSubject& s, kernels::Isa isa, const std::vector<int64_t>& ms,
                                   KernelsSeen& seen) {
  std::vector<Row> rows;
  for (const Product& product : products(s)) {
    const int64_t n_bytes = product.n * product.k * tensor::dtype_bytes(product.dtype);
    std::vector<model::Linear> copies;
    copies.emplace_back(model::synthetic_linear(product.n, product.k, product.dtype, 0), isa);
    if (!seen.gemm.insert({product.name, copies.front().kernel_name()}).second) continue;
    for (const int64_t m : ms) {
      const auto n_copies = static_cast<size_t>(m <= 16 ? (kMemoryBytes + n_bytes - 1) / n_bytes : 1);
      if (copies.size() > n_copies) copies.resize(n_copies);
      while (copies.size() < n_copies) {
        copies.emplace_back(model::synthetic_linear(product.n, product.k, product.dtype, copies.size()), isa);
      }
      OCTAVO_ASSIGN_OR_RETURN(Row row, gemm_row(s, isa, product, copies, m));
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

Result<Row> attention_row(const KernelSubject& s, kernels::Isa isa, int64_t m, int64_t context) {
  const model::ModelConfig& c = s.config;
  AttentionWork work(c, isa, s.pool, m, context, /*from_memory=*/m == 1);
  ReadsInTurns reads;
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<double> seconds,
                          time_kernel(s, m == 1 ? &reads : nullptr, [&](int64_t i) {
                            const kernels::AttentionSequence last = {0, m, context - m, work.blocks(i)};
                            work.run({&last, 1});
                          }));
  // Position p has p + 1 scores, each a product of head_dim twice.
  const double n_scores =
      static_cast<double>(m) * (static_cast<double>(context) - static_cast<double>(m - 1) / 2);
  const double ops = 4.0 * n_scores * static_cast<double>(c.n_heads * c.head_dim);
  const double bytes = work.layer_bytes();
  const FloorSeconds floor = floor_seconds(reads.in(s.machine), isa, {0, ops, m == 1 ? bytes : 0});
  Row row;
  row.work = "attention";
  row.shape =
      std::to_string(c.n_heads) + "/" + std::to_string(c.n_kv_heads) + "x" + std::to_string(c.head_dim);
  row.dtype = "bf16";
  row.isa = kernels::isa_name(isa);
  row.threads = s.pool.n_threads();
  row.m = m;
  row.batch = 1;
  row.context = context;
  row.unit = m == 1 ? "GB/s" : "TOPS";
  row.limit_of = floor.limit_of;
  const double amount = m == 1 ? bytes / 1e9 : ops / 1e12;
  set_rate(row, amount, seconds, floor.seconds > 0 ? amount / floor.seconds : 0);
  return row;
}

}  // namespace octavo::bench
