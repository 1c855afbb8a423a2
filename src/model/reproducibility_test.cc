// The promise of docs/NUMERICS.md, at the logits: their bits do not depend on how a sequence is cut into
// chunks, on the other sequences of a batch, on the number of threads or on the ISA.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "octavo/version.h"

#include "model/test_checkpoint.h"
#include "model/test_model.h"

namespace octavo::model {
namespace {

const std::string kDemo = std::string(OCTAVO_SOURCE_DIR) + "/models/demo";

std::vector<int32_t> some_tokens(int64_t n_vocab, size_t n, uint64_t seed) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < n; ++i) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    tokens.push_back(static_cast<int32_t>((seed >> 33) % static_cast<uint64_t>(n_vocab)));
  }
  return tokens;
}

// The sequence in chunks of `chunk`, beside others that start, advance at other speeds and end while it runs.
std::vector<float> run_among_others(Model& model, const std::vector<int32_t>& tokens, size_t chunk,
                                    KvType kv) {
  const auto n_vocab = model.config().n_vocab;
  TestSequence ours(tokens, 0);
  int32_t block = ours.end_block(0);
  std::vector<TestSequence> others;
  for (const size_t n : {5U, 64U, 70U, 1U, 30U}) {
    others.emplace_back(some_tokens(n_vocab, n, n), block);
    block = others.back().end_block(block);
  }
  KvCache cache = model.make_cache(block * kernels::kKvBlockTokens, kv);
  std::vector<float> logits;
  for (size_t step = 0; !ours.done(); ++step) {
    std::vector<BatchSequence> batch;
    std::vector<int64_t> rows;
    int64_t row = 0;
    const auto append = [&](TestSequence& sequence, size_t n) {
      if (sequence.done()) return;
      batch.push_back(sequence.take(n));
      row += static_cast<int64_t>(batch.back().tokens.size());
    };
    for (size_t i = 0; i < 3 && i <= step; ++i) append(others[i], 1 + 8 * i);
    const int64_t begin = row;
    append(ours, chunk);
    for (int64_t i = begin; i < row; ++i) rows.push_back(i);
    for (size_t i = 3; i < others.size(); ++i) append(others[i], 9);
    const Status status = model.forward(batch, cache);
    EXPECT_TRUE(status.ok()) << status.message();
    logits.resize(logits.size() + rows.size() * static_cast<size_t>(n_vocab));
    model.logits(rows, logits.data() + logits.size() - rows.size() * static_cast<size_t>(n_vocab));
  }
  return logits;
}

struct Effort {
  size_t n = 140;      // tokens, past two KV blocks
  size_t n_ref = 140;  // tokens that `ref` runs over, whose float products call libm
  std::vector<size_t> chunks = {1, 3, 7, 64, 65};
};
const Effort kDemoEffort = {70, 10, {1, 33}};  // seconds in a debug build

// Every way of running the model of `folder` gives the bits of one prefill by one thread, whose fingerprint
// is `want`: the bits of this numerics version. A change that means to move them raises kNumericsVersion
// (octavo/version.h).
void expect_same_bits(const std::string& folder, const char* name, uint64_t want, const Effort& effort,
                      KvType kv = KvType::kAuto) {
  base::ThreadPool one(1);
  const auto model = load_model(folder, one);
  const std::vector<int32_t> tokens = some_tokens(model->config().n_vocab, effort.n, 7);
  const auto n_vocab = static_cast<size_t>(model->config().n_vocab);
  const std::vector<float> whole = run(*model, tokens, effort.n, kv);
  const uint64_t whole_bits = fingerprint(whole);
  std::printf("%-24s %zu tokens, fingerprint of the logits %016llx\n", name, effort.n,
              static_cast<unsigned long long>(whole_bits));
  EXPECT_EQ(whole_bits, want) << name << ": not the bits of numerics version " << kNumericsVersion;
  for (const float value : whole) ASSERT_TRUE(std::isfinite(value));
  for (const size_t chunk : effort.chunks) {
    EXPECT_EQ(fingerprint(run(*model, tokens, chunk, kv)), want) << name << ", chunks of " << chunk;
  }
  EXPECT_EQ(fingerprint(run_among_others(*model, tokens, 1, kv)), want) << name << ", decoded in a batch";
  for (const int n_threads : {2, 3}) {
    base::ThreadPool pool(n_threads);
    const auto threaded = load_model(folder, pool);
    EXPECT_EQ(fingerprint(run(*threaded, tokens, effort.n, kv)), want)
        << name << ", " << n_threads << " threads";
    EXPECT_EQ(fingerprint(run_among_others(*threaded, tokens, 13, kv)), want)
        << name << ", " << n_threads << " threads, prefilled in a batch";
  }
  base::ThreadPool two(2);
  for (const kernels::Isa isa : kernels::cpu_isas()) {
    const size_t n = isa == kernels::Isa::kRef ? effort.n_ref : effort.n;
    const auto other = load_model(folder, two, isa);
    const std::vector<int32_t> first(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_EQ(fingerprint(run(*other, first, 40, kv)), fingerprint(std::span(whole).first(n * n_vocab)))
        << name << ", " << kernels::isa_name(isa);
  }
}

TEST(Reproducibility, GoldenModels) {
  const std::pair<const char*, uint64_t> models[] = {
      {"qwen3-f32", 0x7c23451105b825bc},       {"qwen3-bf16-tied", 0x61805298667f0138},
      {"qwen3-f32-bias", 0x7104e23d48008258},  {"llama-f32-llama3", 0x48332ebddeaa3bad},
      {"llama-bf16-bias", 0x8ce364ac716a5e25}, {"llama-f16-linear", 0xc89e037d5be681d8},
      {"qwen3-int8", 0xbd9bf34e8b85b43c}};
  for (const auto& [name, want] : models) expect_same_bits(golden_path(name), name, want, {});
}

TEST(Reproducibility, DemoModel) { expect_same_bits(kDemo, "demo", 0xd67ed61f6a2d3db7, kDemoEffort); }

// Groups of 2 and 3 query heads, head sizes of 10, 16 and 64, keys with and without a norm.
TEST(Reproducibility, Int8KeysAndValues) {
  const std::pair<const char*, uint64_t> models[] = {{"qwen3-f32", 0xef39acc6f88485cc},
                                                     {"llama-bf16-bias", 0xc5cbc43cf51c04c9},
                                                     {"qwen3-int8", 0xe04996205edf74d0}};
  for (const auto& [name, want] : models) {
    expect_same_bits(golden_path(name), (std::string(name) + ", int8 KV").c_str(), want, {}, KvType::kInt8);
  }
  expect_same_bits(kDemo, "demo, int8 KV", 0xcd3922e1f725ba1f, kDemoEffort, KvType::kInt8);
}

TEST(Reproducibility, DemoModelInInt8) {
  TestCheckpoint demo(kDemo);
  for (int layer = 0; layer < 5; ++layer) {
    for (const char* module : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      demo.quantize("model.layers." + std::to_string(layer) + "." + module, tensor::DType::kBF16);
    }
  }
  demo.set_quantized(R"(["Linear"])");
  const TempFolder folder;
  demo.write(folder.path());
  expect_same_bits(folder.path(), "demo, W8A8", 0x4430c2445f043aa4, kDemoEffort);
}

// Static inputs, shared by q, k, v and by gate, up; and three of their own for q, k, v.
TEST(Reproducibility, StaticInputs) {
  for (const bool is_golden_stick : {false, true}) {
    TestCheckpoint model(golden_path("qwen3-int8"));
    std::string types = "{";
    for (const auto& [name, tensor] : TestCheckpoint(model).tensors) {
      if (!name.ends_with(".weight_scale")) continue;
      const std::string module = name.substr(0, name.rfind('.'));
      const bool is_down = module.ends_with("down_proj");
      const auto zero_point = static_cast<int8_t>(is_golden_stick ? module[module.size() - 6] : 17);
      if (!is_down) model.fix_inputs(module, 0.021F, zero_point);
      const std::string type = is_down ? "W8A8_DYNAMIC" : "W8A8";
      types += (types.size() > 1 ? ",\"" : "\"") + module + ".weight\":\"" + type + "\"";
      if (!is_down && is_golden_stick) {
        model.tensors[module + ".input_offset"] = model[module + ".input_zero_point"];
        model.tensors.erase(module + ".input_zero_point");
      }
    }
    model.set_static(R"(["re:.*self_attn.*", "re:.*(gate|up)_proj$"])");
    const TempFolder folder;
    if (is_golden_stick) {
      model.set_config("quantization_config", "null");
      ASSERT_TRUE(
          base::write_file_atomic(folder.path() + "/quantization_description.json", types + "}").ok());
    }
    model.write(folder.path());
    expect_same_bits(folder.path(), is_golden_stick ? "static, golden-stick" : "static",
                     is_golden_stick ? 0x586e08c2f169ffe6 : 0x1a4d9e4b7b96dde6, {});
  }
}

// Linears that read the same rows in three forms: q in int8, k in bf16, v in F32; gate in int8, up in bf16.
TEST(Reproducibility, MixedForms) {
  TestCheckpoint mixed(golden_path("qwen3-bf16-tied"));
  for (int layer = 0; layer < 3; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    mixed.quantize(prefix + "self_attn.q_proj", tensor::DType::kBF16);
    mixed.quantize(prefix + "mlp.gate_proj", tensor::DType::kF32);
    TestTensor& v = mixed[prefix + "self_attn.v_proj.weight"];
    v = TestTensor::of(tensor::DType::kF32, v.shape, v.floats());
  }
  mixed.set_quantized(R"(["re:.*q_proj", "re:.*gate_proj"])");
  const TempFolder folder;
  mixed.write(folder.path());
  expect_same_bits(folder.path(), "mixed forms", 0x78d54c2202594b96, {});
}

}  // namespace
}  // namespace octavo::model
