// Runs the same inputs through ref and through an ISA and compares the bits. Called by api/selftest.cc.
#include "kernels/selftest.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "kernels/attention/attention.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/gemm_f/gemm_f.h"
#include "kernels/gemm_s8/gemm_s8.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace octavo::kernels {

namespace {

using Bytes = std::vector<std::byte>;
using tensor::DType;

struct Shape {
  int64_t m, n, k;
};
// Below, at and above the tiles and panels of every kernel.
constexpr Shape kShapes[] = {{1, 1, 1},   {1, 130, 257}, {2, 17, 31},   {5, 64, 64},
                             {6, 63, 96}, {13, 33, 130}, {33, 100, 65}, {70, 16, 1024}};

std::vector<float> random_floats(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(random);
  return values;
}

Bytes to_bytes(const void* data, size_t n_bytes) {
  const auto* begin = static_cast<const Bytes::value_type*>(data);
  return Bytes(begin, begin + n_bytes);
}

Bytes convert(DType dtype, const std::vector<float>& values) {
  Bytes bytes(values.size() * static_cast<size_t>(tensor::dtype_bytes(dtype)));
  tensor::convert_from_f32(dtype, values.data(), bytes.data(), static_cast<int64_t>(values.size()));
  return bytes;
}

// What an operation writes for a shape on an ISA, from inputs that the shape alone decides.
using Operation = Bytes (*)(base::ThreadPool& pool, Isa isa, const Shape& shape);

Bytes run_gemm_s8(base::ThreadPool& pool, Isa isa, const Shape& s) {
  std::mt19937 random(7);
  std::vector<int8_t> x(static_cast<size_t>(s.m * s.k)), w(static_cast<size_t>(s.n * s.k));
  for (int8_t& code : x) code = static_cast<int8_t>(random());
  for (int8_t& code : w) code = static_cast<int8_t>(random());
  const std::vector<float> x_scale = random_floats(s.m, 1), w_scale = random_floats(s.n, 2),
                           bias = random_floats(s.n, 3);
  std::vector<float> y = random_floats(s.m * s.n, 4);
  const GemmS8Weights packed = pack_gemm_s8(select_gemm_s8(isa), w.data(), w_scale, bias, s.n, s.k, 3);
  gemm_s8(pool, x.data(), x_scale.data(), packed, y.data(), s.m, s.n, /*accumulate=*/true);
  std::vector<float> gated(y.size()), code_scale(x_scale.size());
  gemm_s8_gated(pool, x.data(), x_scale.data(), packed, packed, s.m, {RowForm::kF32, gated.data(), nullptr});
  y.insert(y.end(), gated.begin(), gated.end());
  const float divisor = 3e8F;  // of sums of random codes, squared
  const StaticCodes fixed = {&divisor, /*per_column=*/false, -9, 0.5F};
  Bytes codes(gated.size());
  gemm_s8_gated(pool, x.data(), x_scale.data(), packed, packed, s.m,
                {RowForm::kS8, codes.data(), code_scale.data(), &fixed});
  y.insert(y.end(), code_scale.begin(), code_scale.end());
  Bytes all = to_bytes(y.data(), y.size() * sizeof(float));
  all.insert(all.end(), codes.begin(), codes.end());
  return all;
}

template <DType kType>
Bytes run_gemm_f(base::ThreadPool& pool, Isa isa, const Shape& s) {
  const Bytes x = convert(kType, random_floats(s.m * s.k, 1)),
              w = convert(kType, random_floats(s.n * s.k, 2));
  const std::vector<float> bias = random_floats(s.n, 3);
  std::vector<float> y(static_cast<size_t>(s.m * s.n));
  const GemmFWeights packed = pack_gemm_f(select_gemm_f(isa, kType), w.data(), bias, s.n, s.k);
  gemm_f(pool, x.data(), packed, y.data(), s.m, s.n, /*accumulate=*/false);
  return to_bytes(y.data(), y.size() * sizeof(float));
}

template <RowForm kForm>
Bytes run_rows(base::ThreadPool& pool, Isa isa, const Shape& s) {
  const ElementwiseKernels& kernels = select_elementwise(isa);
  const std::vector<float> x = random_floats(s.m * s.k, 1), other = random_floats(s.m * s.k, 2),
                           weight = random_floats(s.k, 3);
  constexpr size_t kBytes = kForm == RowForm::kS8 ? 1 : kForm == RowForm::kBF16 ? 2 : 4;
  Bytes all;
  for (int which = 0; which < 3; ++which) {
    Bytes data(x.size() * kBytes);
    std::vector<float> scale(static_cast<size_t>(s.m));
    const RowOut out = {kForm, data.data(), scale.data()};
    if (which == 0) rms_norm(pool, kernels, x.data(), s.k, weight.data(), 1e-6F, s.m, s.k, out);
    if (which == 1) silu_mul(pool, kernels, x.data(), other.data(), s.k, s.m, s.k, out);
    if (which == 2) convert_rows(pool, kernels, x.data(), s.k, s.m, s.k, out);
    const Bytes scales = to_bytes(scale.data(), kForm == RowForm::kS8 ? scale.size() * sizeof(float) : 0);
    all.insert(all.end(), data.begin(), data.end());
    all.insert(all.end(), scales.begin(), scales.end());
  }
  return all;
}

// Blocks for n_tokens, all zeros.
struct Pages {
  Pages(const KvShape& shape, int64_t n_tokens)
      : memory(static_cast<size_t>((n_tokens + kKvBlockTokens - 1) / kKvBlockTokens) * kv_block_bytes(shape),
               /*zeroed=*/true) {
    for (size_t at = 0; at < memory.size_bytes(); at += kv_block_bytes(shape)) {
      blocks.push_back(memory.as<char>() + at);
    }
  }
  tensor::Buffer memory;
  std::vector<void*> blocks;
};

// 6 heads of q and 2 of k and v, m rows of a sequence.
Bytes run_rope_kv_write(base::ThreadPool& pool, Isa isa, const Shape& s) {
  const KvShape shape = {DType::kBF16, 2, 2 * s.n};
  const int64_t head_dim = shape.head_dim;
  std::vector<float> q = random_floats(s.m * 6 * head_dim, 1), k = random_floats(s.m * 2 * head_dim, 2);
  const std::vector<float> v = random_floats(s.m * 2 * head_dim, 3), norm = random_floats(head_dim, 4),
                           cosine = random_floats(s.m * s.n, 5), sine = random_floats(s.m * s.n, 6);
  const Pages pages(shape, s.m);
  const AttentionSequence sequence = {0, s.m, 0, pages.blocks};
  rope_kv_write(pool, select_elementwise(isa), select_attention(isa), shape, q.data(), 6, k.data(), v.data(),
                {norm.data(), norm.data(), 1e-6F}, cosine.data(), sine.data(), {&sequence, 1});
  Bytes all = to_bytes(q.data(), q.size() * sizeof(float));
  const Bytes written = to_bytes(pages.memory.data(), pages.memory.size_bytes());
  all.insert(all.end(), written.begin(), written.end());
  return all;
}

// m of the last positions of a sequence of k tokens at least m long, head_dim near n.
template <DType kType>
Bytes run_attention(base::ThreadPool& pool, Isa isa, const Shape& s) {
  constexpr int64_t kHeads = 6, kKvHeads = 2;
  const int64_t head_dim = 2 * ((s.n + 1) / 2), n_tokens = std::max(s.m, s.k);
  const KvShape shape = {kType, kKvHeads, head_dim};
  const AttentionKernels& kernels = select_attention(isa);
  const int64_t q_width = kHeads * head_dim, kv_width = kKvHeads * head_dim;
  const std::vector<float> q = random_floats(s.m * q_width, 1), k = random_floats(n_tokens * kv_width, 2),
                           v = random_floats(n_tokens * kv_width, 3);
  const Pages pages(shape, n_tokens);
  const AttentionSequence whole = {0, n_tokens, 0, pages.blocks},
                          last = {0, s.m, n_tokens - s.m, pages.blocks};
  kv_write(pool, kernels, shape, k.data(), kv_width, v.data(), kv_width, {&whole, 1});
  tensor::Buffer scratch(attention_scratch_bytes(shape, kHeads, pool.n_threads()));
  std::vector<float> out(q.size());
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)));
  attention(pool, kernels, shape, q.data(), q_width, kHeads, scale, {&last, 1}, out.data(), scratch.data());
  return to_bytes(out.data(), out.size() * sizeof(float));
}

constexpr std::pair<const char*, Operation> kOperations[] = {
    {"gemm_s8", run_gemm_s8},
    {"gemm_f bf16", run_gemm_f<DType::kBF16>},
    {"gemm_f f32", run_gemm_f<DType::kF32>},
    {"rows to int8", run_rows<RowForm::kS8>},
    {"rows to bf16", run_rows<RowForm::kBF16>},
    {"rows to f32", run_rows<RowForm::kF32>},
    {"rope, kv write", run_rope_kv_write},
    {"attention bf16", run_attention<DType::kBF16>},
    {"attention f32", run_attention<DType::kF32>},
    {"attention int8", run_attention<DType::kI8>},
};

}  // namespace

std::vector<SelftestResult> run_selftest() {
  base::ThreadPool pool(2);
  std::vector<SelftestResult> results;
  for (const Isa isa : cpu_isas()) {
    if (isa == Isa::kRef) continue;
    for (const auto& [name, run] : kOperations) {
      SelftestResult result = {name, isa, 0, 0};
      for (const Shape& shape : kShapes) {
        ++result.n_cases;
        if (run(pool, isa, shape) != run(pool, Isa::kRef, shape)) ++result.n_different;
      }
      results.push_back(std::move(result));
    }
  }
  return results;
}

}  // namespace octavo::kernels
