// Small fixed cases whose instructions callgrind counts: kernels, packing, tokenizer, whole steps of a tiny
// model. One thread, no clock, no file but the tokenizer's, so the counts are the same on every run;
// callgrind shows programs a CPU with AVX2 and no AVX-512. Run by check.py:
//   octavo_instructions REPOSITORY      prints a name per line, in the order of callgrind's dumps
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/threads.h"
#include "bench/attention_work.h"
#include "bench/loop.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/isa.h"
#include "model/decoder.h"
#include "model/linear.h"
#include "model/synthetic.h"
#include "text/tokenizer.h"

// What callgrind is told to collect inside and to dump after, by this name.
extern "C" __attribute__((noinline)) void octavo_counted_case(const std::function<void()>& work) { work(); }

namespace octavo {
namespace {

constexpr int64_t kDecodeContext = 512;

template <class T>
T value_or_exit(Result<T> result) {
  if (result.ok()) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.status().message().c_str());
  std::exit(1);
}

void exit_unless_ok(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

// Twice: what only a first call does (lazy tables, growing buffers) is not counted.
void count(const std::string& name, const std::function<void()>& work) {
  work();
  std::printf("%s\n", name.c_str());
  octavo_counted_case(work);
}

model::ModelConfig tiny_config() {
  const char* text = R"({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 256,
    "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 64, "vocab_size": 1024, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16"})";
  return value_or_exit(model::parse_model_config(value_or_exit(base::parse_json(text)), "tiny"));
}

std::vector<float> pattern(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 167 % 255) / 64 - 2;
  return values;
}

class Cases {
 public:
  Cases(kernels::Isa isa, std::string repository) : isa_(isa), repository_(std::move(repository)) {}

  void run() {
    for (const int64_t m : {1, 16, 64}) product("gemm_s8", tensor::DType::kI8, 512, 1024, m);
    for (const int64_t m : {1, 16, 64}) product("gemm_bf16", tensor::DType::kBF16, 256, 512, m);
    pack("pack_s8", tensor::DType::kI8);
    pack("pack_bf16", tensor::DType::kBF16);
    attention("attention_decode", 1, kDecodeContext);
    attention("attention_prefill", 64, 128);
    elementwise();
    tokenizer();
    steps("int8", tensor::DType::kI8);
    steps("bf16", tensor::DType::kBF16);
  }

 private:
  void product(const char* kind, tensor::DType dtype, int64_t n, int64_t k, int64_t m) {
    const model::Linear linear(model::synthetic_linear(n, k, dtype, 1), isa_);
    const std::vector<float> scale(static_cast<size_t>(m), 0.01F);
    std::vector<uint8_t> x(static_cast<size_t>(m * k * 2));
    for (size_t i = 0; i < x.size(); ++i) {  // codes, or bf16 values near one
      x[i] =
          static_cast<uint8_t>(linear.input_form() == kernels::RowForm::kS8 || i % 2 == 0 ? i * 167 : 0x3f);
    }
    std::vector<float> y(static_cast<size_t>(m * n));
    const model::Rows rows = {linear.input_form(), x.data(), scale.data(), m, k};
    count(std::string(kind) + " m=" + std::to_string(m), [&] { linear.forward(pool_, rows, y.data(), n); });
  }

  void pack(const char* name, tensor::DType dtype) {
    const model::LinearWeight weight = model::synthetic_linear(256, 512, dtype, 1);
    count(name, [&] { model::Linear(weight, isa_); });
  }

  void attention(const char* name, int64_t m, int64_t context) {
    bench::AttentionWork work(config_, isa_, pool_, m, context, /*from_memory=*/false);
    const kernels::AttentionSequence last = {0, m, context - m, work.blocks(0)};
    count(name, [&] { work.run({&last, 1}); });
  }

  void elementwise() {
    constexpr int64_t kRows = 16, kWidth = 1024;
    const kernels::ElementwiseKernels& kernels = kernels::select_elementwise(isa_);
    const std::vector<float> x = pattern(kRows * kWidth), weight(kWidth, 1.0F);
    std::vector<int8_t> codes(static_cast<size_t>(kRows * kWidth));
    std::vector<float> scale(kRows);
    const kernels::RowOut out = {kernels::RowForm::kS8, codes.data(), scale.data()};
    count("rms_norm+quantize", [&] {
      kernels::rms_norm(pool_, kernels, x.data(), kWidth, weight.data(), 1e-6F, kRows, kWidth, out);
    });
    count("silu_mul+quantize",
          [&] { kernels::silu_mul(pool_, kernels, x.data(), x.data(), kWidth, kRows, kWidth, out); });
  }

  void tokenizer() {
    const std::string text = value_or_exit(base::read_file(repository_ + "/tests/data/prose.txt", 1 << 20));
    const text::Tokenizer tokenizer = value_or_exit(text::Tokenizer::load(repository_ + "/models/demo"));
    std::vector<int32_t> ids;
    count("tokenizer encode", [&] { ids = value_or_exit(tokenizer.encode(text, false)); });
    count("tokenizer decode", [&] { value_or_exit(tokenizer.decode(ids, false)); });
  }

  void steps(const std::string& kind, tensor::DType dtype) {
    const model::SyntheticWeights weights(config_, {dtype, 1});
    const auto model = value_or_exit(model::Model::build(config_, weights, "tiny", {isa_, &pool_}));
    bench::Loop loop(*model, 1, kDecodeContext + 2, model::KvType::kAuto);
    const std::vector<int32_t> prompt = bench::random_tokens(64, config_.n_vocab, 1);
    count("prefill 64 " + kind, [&] {
      loop.clear();
      exit_unless_ok(loop.prefill(prompt, 64).status());
    });
    exit_unless_ok(loop.pretend(kDecodeContext));
    count("decode step " + kind, [&] { exit_unless_ok(loop.decode(1).status()); });
  }

  kernels::Isa isa_;
  std::string repository_;
  base::ThreadPool pool_{1};
  base::FlushDenormals flush_;
  model::ModelConfig config_ = tiny_config();
};

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: octavo_instructions REPOSITORY\n");
    return 2;
  }
  const octavo::kernels::Isa isa = octavo::value_or_exit(octavo::kernels::active_isa());
  std::printf("isa %s\n", octavo::kernels::isa_name(isa));
  octavo::Cases(isa, argv[1]).run();
  return 0;
}
