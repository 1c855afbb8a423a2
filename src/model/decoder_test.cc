// The forward pass against transformers' (tests/golden, tools/make_golden.py).
#include "model/decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>

#include "model/test_checkpoint.h"
#include "model/test_model.h"
#include "model/workspace.h"

namespace octavo::model {
namespace {

float max_abs(std::span<const float> values) {
  float widest = 0;
  for (const float value : values) widest = std::max(widest, std::abs(value));
  return widest;
}

float max_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  float widest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const float difference = std::abs(a[i] - b[i]);
    if (std::isnan(difference)) return difference;
    widest = std::max(widest, difference);
  }
  return widest;
}

class Golden : public testing::TestWithParam<const char*> {};

// F32 models: max|Δ| / max|logit| below 1e-4. 16-bit models: twice the error transformers makes in that type.
TEST_P(Golden, LogitsArePrefilledAndDecodedRight) {
  const Expected expected(GetParam());
  base::ThreadPool pool(2);
  const auto model = load_model(golden_path(GetParam()), pool);
  const std::vector<int32_t> tokens = expected.tokens();
  const std::vector<float> want = expected.floats("logits");
  const float bound =
      expected.has("low") ? 2 * max_difference(expected.floats("low"), want) : 1e-4F * max_abs(want);
  const std::vector<float> prefilled = run(*model, tokens, tokens.size());
  const std::vector<float> decoded = run(*model, tokens, 1);
  EXPECT_LE(max_difference(prefilled, want), bound);
  EXPECT_LE(max_difference(decoded, want), bound);
  std::printf("%-18s max error %.2e of max |logit| (bound %.2e), fingerprint %016llx\n", GetParam(),
              max_difference(prefilled, want) / max_abs(want), bound / max_abs(want),
              static_cast<unsigned long long>(fingerprint(prefilled)));
}

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         testing::Values("qwen3-f32", "qwen3-bf16-tied", "qwen3-f32-bias", "qwen3-f32-long",
                                         "llama-f32-llama3", "llama-bf16-bias", "llama-f16-linear"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// The oracle is the W8A8 formula in torch, everything else fp32. A code on the edge between two integers may
// fall to the other side there, which moves a logit by far more than fp32 rounding: hence the wider bound.
TEST(GoldenInt8, Logits) {
  const Expected expected("qwen3-int8");
  base::ThreadPool pool(2);
  const auto model = load_model(golden_path("qwen3-int8"), pool);
  const std::vector<float> want = expected.floats("logits");
  const std::vector<float> got = run(*model, expected.tokens(), 1000);
  EXPECT_LE(max_difference(got, want), 5e-3F * max_abs(want));
  std::printf("%-18s max error %.2e of max |logit|, fingerprint %016llx\n", "qwen3-int8",
              max_difference(got, want) / max_abs(want), static_cast<unsigned long long>(fingerprint(got)));
}

// The trained model on text: every token's loss, and the whole last row of logits.
TEST(GoldenDemo, LossAndLogits) {
  const Expected expected("demo");
  base::ThreadPool pool(2);
  const auto model = load_model(std::string(OCTAVO_SOURCE_DIR) + "/models/demo", pool);
  const std::vector<int32_t> tokens = expected.tokens();
  const auto n_vocab = static_cast<size_t>(model->config().n_vocab);
  const std::vector<float> logits = run(*model, tokens, tokens.size());
  std::vector<float> nll;
  double sum = 0;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const std::span<const float> row = std::span(logits).subspan(i * n_vocab, n_vocab);
    double partition = 0;
    for (const float logit : row) partition += std::exp(static_cast<double>(logit));
    nll.push_back(static_cast<float>(std::log(partition) -
                                     static_cast<double>(row[static_cast<size_t>(tokens[i + 1])])));
    sum += static_cast<double>(nll.back());
  }
  const std::vector<float> want = expected.floats("nll"), last = expected.floats("logits");
  EXPECT_LE(max_difference(nll, want), 2 * max_difference(expected.floats("nll_low"), want));
  const std::span<const float> got_last = std::span(logits).last(n_vocab);
  EXPECT_LE(max_difference(got_last, last), 2 * max_difference(expected.floats("low"), last));
  const double mean = sum / static_cast<double>(nll.size());
  EXPECT_NEAR(mean, 4.8907, 0.003);  // transformers in fp32
  std::printf(
      "demo               %.4f nats a token, max error of the last logits %.2e, of a token's loss %.2e; "
      "transformers in bf16 %.2e, %.2e\n",
      mean, max_difference(got_last, last), max_difference(nll, want),
      max_difference(expected.floats("low"), last), max_difference(expected.floats("nll_low"), want));
}

// What int8 keys and values cost: KL(float KV || int8 KV) a token, and the loss.
TEST(GoldenDemo, Int8KeysAndValuesCostLittle) {
  const Expected expected("demo");
  base::ThreadPool pool(2);
  const auto model = load_model(std::string(OCTAVO_SOURCE_DIR) + "/models/demo", pool);
  const std::vector<int32_t> tokens = expected.tokens();
  const auto n_vocab = static_cast<size_t>(model->config().n_vocab);
  const auto log_softmax = [&](const std::vector<float>& logits, size_t row) {
    std::vector<double> values(logits.begin() + static_cast<std::ptrdiff_t>(row * n_vocab),
                               logits.begin() + static_cast<std::ptrdiff_t>((row + 1) * n_vocab));
    double partition = 0;
    for (const double value : values) partition += std::exp(value);
    for (double& value : values) value -= std::log(partition);
    return values;
  };
  const std::vector<float> base = run(*model, tokens, tokens.size());
  const std::vector<float> coded = run(*model, tokens, tokens.size(), KvType::kInt8);
  double kl = 0, nll_difference = 0;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const std::vector<double> p = log_softmax(base, i), q = log_softmax(coded, i);
    for (size_t j = 0; j < n_vocab; ++j) kl += std::exp(p[j]) * (p[j] - q[j]);
    const auto next = static_cast<size_t>(tokens[i + 1]);
    nll_difference += p[next] - q[next];
  }
  const auto n = static_cast<double>(tokens.size() - 1);
  EXPECT_GT(kl, 0);
  EXPECT_LE(kl / n, 2e-4);
  EXPECT_LE(std::abs(nll_difference / n), 2e-3);
  std::printf("demo, int8 KV      KL %.6f a token, %+.6f nats, %zu tokens\n", kl / n, nll_difference / n,
              tokens.size());
}

// Keeps what it hears.
class Recorder : public Tap {
 public:
  void on_rows(int64_t layer, TapSite site, const float* x, int64_t m, int64_t k) override {
    std::vector<float>& rows = heard[{layer, static_cast<int>(site)}];
    rows.insert(rows.end(), x, x + m * k);
  }
  std::map<std::pair<int64_t, int>, std::vector<float>> heard;
};

// A layer run alone, block by block, as quantizing does: the residual stream and what every linear reads.
TEST(DecoderLayer, BlocksAloneGiveTheStreamAndTheTaps) {
  for (const char* name : {"qwen3-f32", "llama-f32-llama3"}) {
    const Expected expected(name);
    const std::vector<int32_t> tokens = expected.tokens();
    const auto checkpoint = format::Checkpoint::open(golden_path(name));
    const auto config = parse_model_config(checkpoint->config(), name);
    ASSERT_TRUE(config.ok());
    base::ThreadPool pool(2);
    RopeTable rope(*config);
    Workspace workspace(*config, pool, rope);
    const auto m = static_cast<int64_t>(tokens.size());
    KvCache cache(1, {tensor::DType::kF32, config->n_kv_heads, config->head_dim}, KvCache::blocks_for(m));
    TestSequence sequence(tokens, 0);
    const std::vector<BatchSequence> batch = {sequence.take(tokens.size())};

    const std::vector<float> want = expected.floats("hidden");
    const auto size = static_cast<size_t>(m * config->d_model);
    std::vector<float> h(want.begin(), want.begin() + static_cast<std::ptrdiff_t>(size)), y(size);
    const auto add = [&] {
      for (size_t i = 0; i < size; ++i) h[i] += y[i];
    };
    for (int64_t i = 0; i < config->n_layers; ++i) {
      auto weights = read_layer(*checkpoint, *config, i);
      ASSERT_TRUE(weights.ok());
      const DecoderLayer layer(*config, std::move(weights).value(), best_isa());
      EXPECT_GT(layer.packed_bytes(), 0U);
      layer.attention_block(workspace, h.data(), batch, 0, cache, y.data(), nullptr);
      const std::vector<float> untapped = y;
      layer.attention_block(workspace, h.data(), batch, 0, cache, y.data(), nullptr);
      EXPECT_EQ(untapped, y) << "a block changed its input";
      Recorder here;
      layer.attention_block(workspace, h.data(), batch, 0, cache, y.data(), &here);
      EXPECT_EQ(untapped, y) << "listening changed the result";
      add();
      layer.mlp_block(workspace, h.data(), m, 0, y.data(), &here);
      add();
      const std::span<const float> stream = std::span(want).subspan(static_cast<size_t>(i + 1) * size, size);
      EXPECT_LE(max_difference(h, stream), 1e-4F * max_abs(stream)) << name << " layer " << i;
      for (int site = 0; site < kNTapSites; ++site) {
        const std::vector<float> taps =
            expected.floats("tap." + std::to_string(i) + "." + std::to_string(site));
        const auto& rows = here.heard[{0, site}];
        EXPECT_LE(max_difference(rows, taps), 1e-4F * max_abs(taps))
            << name << " layer " << i << " site " << site;
      }
    }
  }
}

TEST(Model, TapsHearEveryRowOnceAndChangeNothing) {
  const Expected expected("qwen3-bf16-tied");
  const std::vector<int32_t> tokens = expected.tokens();
  base::ThreadPool pool(2);
  const auto model = load_model(golden_path("qwen3-bf16-tied"), pool);
  const std::vector<float> want = run(*model, tokens, 1000);
  Recorder tap;
  const std::vector<float> got = run(*model, tokens, 33, KvType::kAuto, &tap);
  EXPECT_EQ(fingerprint(got), fingerprint(want));
  const ModelConfig& c = model->config();
  ASSERT_EQ(tap.heard.size(), static_cast<size_t>(c.n_layers * kNTapSites));
  const int64_t widths[kNTapSites] = {c.d_model, c.q_width(), c.d_model, c.d_ff};
  for (const auto& [key, rows] : tap.heard) {
    EXPECT_EQ(rows.size(), tokens.size() * static_cast<size_t>(widths[key.second]));
  }
}

}  // namespace
}  // namespace octavo::model
