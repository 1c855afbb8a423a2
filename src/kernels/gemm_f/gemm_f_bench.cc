// Every line of kernels.inc at Qwen3-0.6B's shapes: gate and up, down, lm_head. The figures are those of
// gemm_s8_bench.cc.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "kernels/gemm_f/kernel.h"
#include "kernels/peak.h"

namespace octavo::kernels {
namespace {

constexpr int64_t kMemoryBytes = int64_t{192} << 20;  // more than a last-level cache holds

std::vector<std::byte> random_values(tensor::DType dtype, int64_t n) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> real(-1, 1);
  std::vector<float> values(static_cast<size_t>(n));
  std::ranges::generate(values, [&] { return real(random); });
  std::vector<std::byte> bytes(values.size() * static_cast<size_t>(tensor::dtype_bytes(dtype)));
  tensor::convert_from_f32(dtype, values.data(), bytes.data(), n);
  return bytes;
}

void run(benchmark::State& state, const GemmFKernel& kernel, int n_threads) {
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const std::vector<std::byte> x = random_values(kernel.dtype, m * k), w = random_values(kernel.dtype, n * k);
  std::vector<float> y(static_cast<size_t>(m * n));
  const int64_t n_bytes = n * k * tensor::dtype_bytes(kernel.dtype);
  std::vector<GemmFWeights> copies;
  const int64_t n_copies =
      m <= 32 && kernel.isa != Isa::kRef ? std::max<int64_t>(kMemoryBytes / n_bytes, 1) : 1;
  for (int64_t copy = 0; copy < n_copies; ++copy) copies.push_back(pack_gemm_f(kernel, w.data(), {}, n, k));
  base::ThreadPool pool(n_threads);
  const double peak = measured_peak(pool, kernel.isa, PeakOf::kF32);
  size_t copy = 0;
  for (auto _ : state) gemm_f(pool, x.data(), copies[copy++ % copies.size()], y.data(), m, n, false);
  const double ops = 2.0 * static_cast<double>(m) * static_cast<double>(n * k);
  state.counters["ops"] = benchmark::Counter(ops, benchmark::Counter::kIsIterationInvariantRate);
  if (peak > 0) {
    state.counters["peak_share"] =
        benchmark::Counter(ops / peak, benchmark::Counter::kIsIterationInvariantRate);
  }
  state.SetBytesProcessed(state.iterations() * n_bytes);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const GemmFKernel& kernel : gemm_f_kernels()) {
    if (!cpu_has(kernel.isa)) continue;
    for (const int n_threads : {1, base::available_cores()}) {
      auto* bench = benchmark::RegisterBenchmark(
          (std::string(kernel.name) + "/threads:" + std::to_string(n_threads)).c_str(),
          [&kernel, n_threads](benchmark::State& state) { run(state, kernel, n_threads); });
      for (const int64_t m : {1, 3, 8, 16, 32, 512}) {
        if (kernel.isa == Isa::kRef && m > 3) continue;
        bench->Args({m, 6144, 1024})->Args({m, 1024, 3072});
      }
      if (kernel.isa != Isa::kRef) bench->Args({1, 151936, 1024});
      bench->ArgNames({"m", "n", "k"})->UseRealTime()->Unit(benchmark::kMicrosecond);
    }
  }
  return true;
}();

}  // namespace
}  // namespace octavo::kernels
