// Every line of kernels.inc at Qwen3-0.6B's shapes: gate and up, down. ops is multiplications and additions a
// second, peak_share its part of the register-only peak of this run; bytes are the weights read. A batch of
// few rows goes round copies of the weights, so that they come from memory as in a model.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "kernels/gemm_s8/kernel.h"
#include "kernels/peak.h"

namespace octavo::kernels {
namespace {

constexpr int64_t kMemoryBytes = int64_t{192} << 20;  // more than a last-level cache holds

void run(benchmark::State& state, const GemmS8Kernel& kernel, int n_threads) {
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  std::mt19937 random(1);
  std::uniform_int_distribution<int> code(-127, 127);
  std::vector<int8_t> x(static_cast<size_t>(m * k)), w(static_cast<size_t>(n * k));
  for (int8_t& v : x) v = static_cast<int8_t>(code(random));
  for (int8_t& v : w) v = static_cast<int8_t>(code(random));
  const std::vector<float> x_scale(static_cast<size_t>(m), 0.01F), w_scale(static_cast<size_t>(n), 0.01F);
  std::vector<float> y(static_cast<size_t>(m * n));
  std::vector<GemmS8Weights> copies;
  const int64_t n_copies = m <= 32 && kernel.isa != Isa::kRef ? kMemoryBytes / (n * k) : 1;
  for (int64_t copy = 0; copy < n_copies; ++copy) {
    copies.push_back(pack_gemm_s8(kernel, w.data(), w_scale, {}, n, k));
  }
  base::ThreadPool pool(n_threads);
  const double peak = measured_peak(pool, kernel.isa, PeakOf::kS8);
  size_t copy = 0;
  for (auto _ : state) {
    gemm_s8(pool, x.data(), x_scale.data(), copies[copy++ % copies.size()], y.data(), m, n, false);
  }
  const double ops = 2.0 * static_cast<double>(m) * static_cast<double>(n * k);
  state.counters["ops"] = benchmark::Counter(ops, benchmark::Counter::kIsIterationInvariantRate);
  if (peak > 0) {
    state.counters["peak_share"] =
        benchmark::Counter(ops / peak, benchmark::Counter::kIsIterationInvariantRate);
  }
  state.SetBytesProcessed(state.iterations() * n * k);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const GemmS8Kernel& kernel : gemm_s8_kernels()) {
    if (!cpu_has(kernel.isa)) continue;
    for (const int n_threads : {1, base::available_cores()}) {
      auto* bench = benchmark::RegisterBenchmark(
          (std::string(kernel.name) + "/threads:" + std::to_string(n_threads)).c_str(),
          [&kernel, n_threads](benchmark::State& state) { run(state, kernel, n_threads); });
      for (const int64_t m : {1, 4, 8, 16, 32, 512}) {
        if (kernel.isa == Isa::kRef && m > 4) continue;
        bench->Args({m, 6144, 1024})->Args({m, 1024, 3072});
      }
      bench->ArgNames({"m", "n", "k"})->UseRealTime()->Unit(benchmark::kMicrosecond);
    }
  }
  return true;
}();

}  // namespace
}  // namespace octavo::kernels
