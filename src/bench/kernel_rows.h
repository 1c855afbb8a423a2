#pragma once
// Rows of single products and of attention, at the shapes of a model's layer.
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bench/machine.h"
#include "bench/row.h"
#include "model/config.h"
#include "tensor/dtype.h"

namespace octavo::bench {

struct KernelSubject {
  const model::ModelConfig& config;
  tensor::DType linears;  // kI8 or kBF16
  base::ThreadPool& pool;
  const Machine& machine;
  Repetitions repetitions;
  Progress* progress = nullptr;
};

// What was measured already.
struct KernelsSeen {
  std::set<std::pair<std::string, std::string>> gemm;  // product and kernel
  std::set<const void*> attention;
};

// y[m,n] = x[m,k] w[n,k] for each distinct n and k of a layer's linears, and lm_head. With few rows the
// weights come from memory: calls go round copies of them.
Result<std::vector<Row>> gemm_rows(const KernelSubject& subject, kernels::Isa isa,
                                   const std::vector<int64_t>& ms, KernelsSeen& seen);

// One layer's attention: the last m positions of a sequence of `context` tokens, keys and values bf16 and
// from memory. The limit is its products at the bf16 peak (exp is overhead) or the reading of keys and
// values.
Result<Row> attention_row(const KernelSubject& subject, kernels::Isa isa, int64_t m, int64_t context);

}  // namespace octavo::bench
