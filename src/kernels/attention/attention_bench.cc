// Attention at Qwen3-0.6B's heads (16 of 128 on 8): prefill of n tokens, and a decode step behind n tokens
// whose keys and values come from memory, as they do between the weights of a model. flops counts what
// causality leaves; bytes, the keys and values read.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/attention/kernels.h"
#include "tensor/buffer.h"

namespace octavo::kernels {
namespace {

constexpr int64_t kHeads = 16, kKvHeads = 8, kHeadDim = 128;
// Decode goes round copies of the cache that fill so much, so that none is still in the last-level cache.
constexpr size_t kDecodeBytes = size_t{128} << 20;

void run(benchmark::State& state, Isa isa, tensor::DType dtype, bool decode, int n_threads) {
  const int64_t n_tokens = state.range(0);
  const int64_t n_rows = decode ? 1 : n_tokens;
  const KvShape shape = {dtype, kKvHeads, kHeadDim};
  const AttentionKernels& kernels = select_attention(isa);
  base::ThreadPool pool(n_threads);

  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  const auto random_rows = [&](int64_t width) {
    std::vector<float> rows(static_cast<size_t>(n_tokens * width));
    std::generate(rows.begin(), rows.end(), [&] { return normal(generator); });
    return rows;
  };
  const std::vector<float> q = random_rows(kHeads * kHeadDim);
  const std::vector<float> k = random_rows(kKvHeads * kHeadDim), v = random_rows(kKvHeads * kHeadDim);
  std::vector<float> out(q.size());
  tensor::Buffer scratch(attention_scratch_bytes(shape, kHeads, n_threads));

  const int64_t n_blocks = (n_tokens + kKvBlockTokens - 1) / kKvBlockTokens;
  const size_t cache_bytes = kv_block_bytes(shape) * static_cast<size_t>(n_blocks);
  const size_t n_copies = decode ? kDecodeBytes / cache_bytes + 1 : 1;
  tensor::Buffer cache(cache_bytes * n_copies);
  std::vector<std::vector<void*>> tables(n_copies);
  char* block = cache.as<char>();
  for (std::vector<void*>& table : tables) {
    for (int64_t b = 0; b < n_blocks; ++b, block += kv_block_bytes(shape)) table.push_back(block);
    const AttentionSequence all = {0, n_tokens, 0, table};
    kv_write(pool, kernels, shape, k.data(), kKvHeads * kHeadDim, v.data(), kKvHeads * kHeadDim, {&all, 1});
  }

  size_t copy = 0;
  for (auto _ : state) {
    const AttentionSequence sequence = {0, n_rows, n_tokens - n_rows, tables[copy++ % tables.size()]};
    attention(pool, kernels, shape, q.data(), kHeads * kHeadDim, kHeads, 0.088F, {&sequence, 1}, out.data(),
              scratch.data());
  }
  const double n_pairs =
      decode ? static_cast<double>(n_tokens) : 0.5 * static_cast<double>(n_tokens * (n_tokens + 1));
  state.counters["flops"] =
      benchmark::Counter(n_pairs * kHeads * kHeadDim * 4, benchmark::Counter::kIsIterationInvariantRate);
  if (decode) {
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(cache_bytes));
  }
}

// The kernels of this CPU's best ISA; OCTAVO_ISA chooses others.
[[maybe_unused]] const bool kRegistered = [] {
  const Result<Isa> active = active_isa();
  const Isa isa = active.ok() ? *active : cpu_isas().back();
  for (const tensor::DType dtype : {tensor::DType::kBF16, tensor::DType::kF32, tensor::DType::kI8}) {
    for (const bool decode : {false, true}) {
      for (const int n_threads : {1, base::available_cores()}) {
        const std::string name = std::string("attention/") + isa_name(select_attention(isa).isa) + "/" +
                                 tensor::dtype_name(dtype) + (decode ? "/decode" : "/prefill") +
                                 "/threads:" + std::to_string(n_threads);
        benchmark::RegisterBenchmark(
            name.c_str(), [=](benchmark::State& state) { run(state, isa, dtype, decode, n_threads); })
            ->Arg(512)
            ->Arg(2048)
            ->Arg(8192)
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace octavo::kernels
