// Loading, requests that cannot be run, and where results are found.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "base/test_environment.h"
#include "model/test_checkpoint.h"
#include "model/test_model.h"

namespace octavo::model {
namespace {

struct Fixture {
  Fixture() : pool(1), model(load_model(golden_path("qwen3-f32"), pool)), cache(model->make_cache(256)) {
    blocks = {0, 1, 2, 3};
  }
  Status forward(const std::vector<int32_t>& tokens, int64_t position = 0, size_t n_blocks = 4) {
    const std::vector<BatchSequence> batch = {{tokens, position, std::span(blocks).first(n_blocks)}};
    return model->forward(batch, cache);
  }
  std::vector<float> logits(const std::vector<int64_t>& rows) {
    std::vector<float> out(rows.size() * static_cast<size_t>(model->config().n_vocab));
    model->logits(rows, out.data());
    return out;
  }
  base::ThreadPool pool;
  std::unique_ptr<Model> model;
  KvCache cache;
  std::vector<int32_t> blocks;
};

void expect_error(const Status& status, StatusCode code, const std::vector<std::string>& words) {
  EXPECT_EQ(status.code(), code) << status.message();
  for (const std::string& word : words) {
    EXPECT_NE(status.message().find(word), std::string::npos)
        << "'" << word << "' not in: " << status.message();
  }
}

TEST(Model, RefusesWhatItCannotRun) {
  Fixture one;
  expect_error(one.forward({1, 101}), StatusCode::kInvalidArgument, {"sequence 0", "token 1", "101", "100"});
  expect_error(one.forward({-1}), StatusCode::kInvalidArgument, {"token 0", "-1"});
  expect_error(one.forward({}), StatusCode::kInvalidArgument, {"sequence 0", "at least one token"});
  expect_error(one.model->forward({}, one.cache), StatusCode::kInvalidArgument, {"no sequence"});
  expect_error(one.forward(std::vector<int32_t>(257, 1)), StatusCode::kResourceExhausted, {"257", "256"});
  expect_error(one.forward({1}, 256), StatusCode::kResourceExhausted, {"position 256", "256"});
  expect_error(one.forward({1}, -1), StatusCode::kResourceExhausted, {"position -1"});
  expect_error(one.forward({1}, INT64_MAX), StatusCode::kResourceExhausted, {"context"});
  expect_error(one.forward(std::vector<int32_t>(65, 1), 0, 1), StatusCode::kInvalidArgument,
               {"block table", "1 of the 2"});
  EXPECT_TRUE(one.forward({1}, 255).ok());
}

TEST(Model, AnErrorChangesNothing) {
  Fixture one;
  ASSERT_TRUE(one.forward({5, 6, 7}).ok());
  const std::vector<float> before = one.logits({0, 1, 2});
  EXPECT_FALSE(one.forward({5, 999}).ok());
  EXPECT_EQ(one.logits({0, 1, 2}), before);
}

TEST(Model, LogitsOfAnyRows) {
  Fixture one;
  ASSERT_TRUE(one.forward({5, 6, 7}).ok());
  const std::vector<float> all = one.logits({0, 1, 2});
  const std::vector<float> some = one.logits({2, 0, 2, 2, 1, 0, 0});  // more rows than the batch has
  const auto n_vocab = static_cast<size_t>(one.model->config().n_vocab);
  const size_t from[] = {2, 0, 2, 2, 1, 0, 0};
  for (size_t i = 0; i < 7; ++i) {
    for (size_t j = 0; j < n_vocab; ++j) {
      ASSERT_EQ(some[i * n_vocab + j], all[from[i] * n_vocab + j]) << "row " << i;
    }
  }
  EXPECT_TRUE(one.logits({}).empty());
}

TEST(Model, ATiedEmbeddingIsHeldOnce) {
  base::ThreadPool pool(1);
  const auto model = load_model(golden_path("qwen3-bf16-tied"), pool, kernels::Isa::kRef);
  const TestCheckpoint golden(golden_path("qwen3-bf16-tied"));
  uint64_t file_bytes = 0;
  for (const auto& [name, tensor] : golden.tensors) file_bytes += tensor.bytes.size();
  EXPECT_LT(model->packed_bytes(), file_bytes + 4096);  // norms grow to fp32
}

TEST(Model, StoredUnderLmHeadOrTwiceATiedEmbeddingIsTheSame) {
  base::ThreadPool pool(2);
  const std::string embedding = "model.embed_tokens.weight";
  const Expected expected("qwen3-bf16-tied");
  const std::vector<float> want =
      run(*load_model(golden_path("qwen3-bf16-tied"), pool), expected.tokens(), 1000);
  TestCheckpoint changed(golden_path("qwen3-bf16-tied"));
  changed.tensors["lm_head.weight"] = changed[embedding];
  const TempFolder both, renamed;
  changed.write(both.path());
  changed.tensors.erase(embedding);
  changed.write(renamed.path());
  EXPECT_EQ(run(*load_model(both.path(), pool), expected.tokens(), 1000), want);
  EXPECT_EQ(run(*load_model(renamed.path(), pool), expected.tokens(), 1000), want);
}

TEST(Model, LoadNamesWhatIsWrong) {
  base::ThreadPool pool(1);
  TestCheckpoint changed(golden_path("qwen3-f32"));
  changed.tensors.erase("model.norm.weight");
  const TempFolder folder;
  const format::Checkpoint checkpoint = changed.reopen(folder);
  const auto model = Model::load(checkpoint, {best_isa(), &pool});
  ASSERT_FALSE(model.ok());
  expect_error(model.status(), StatusCode::kNotFound, {folder.path(), "model.norm.weight"});
  TestCheckpoint foreign(golden_path("qwen3-f32"));
  foreign.set_config("architectures", R"(["MambaForCausalLM"])");
  const TempFolder other;
  const auto refused = Model::load(foreign.reopen(other), {best_isa(), &pool});
  ASSERT_FALSE(refused.ok());
  expect_error(refused.status(), StatusCode::kUnsupported, {"config.json", "MambaForCausalLM"});
}

// A header that promises more than this machine has, over a file with a hole of that size.
TEST(Model, AModelTooLargeForTheMemoryIsRefused) {
  const TempFolder folder;
  constexpr int64_t kWidth = 131072, kVocab = int64_t{1} << 22;
  ASSERT_TRUE(base::write_file_atomic(
                  folder.path() + "/config.json",
                  R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 131072, "intermediate_size": 1,
                      "num_hidden_layers": 1, "num_attention_heads": 1, "head_dim": 2, "vocab_size": 4194304,
                      "max_position_embeddings": 8, "tie_word_embeddings": true})")
                  .ok());
  base::Json header{base::JsonObject{}};
  int64_t offset = 0;
  const auto append = [&](const std::string& name, const std::vector<int64_t>& shape) {
    base::Json sizes{base::JsonArray{}};
    int64_t n_bytes = 4;
    for (const int64_t size : shape) {
      sizes.push_back(size);
      n_bytes *= size;
    }
    base::Json entry{base::JsonObject{}};
    entry.set("dtype", "F32");
    entry.set("shape", sizes);
    entry.set("data_offsets", base::JsonArray{offset, offset + n_bytes});
    header.set(name + ".weight", entry);
    offset += n_bytes;
  };
  const std::string layer = "model.layers.0.";
  append("model.embed_tokens", {kVocab, kWidth});
  append("model.norm", {kWidth});
  append(layer + "input_layernorm", {kWidth});
  append(layer + "post_attention_layernorm", {kWidth});
  for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"})
    append(layer + name, {2, kWidth});
  append(layer + "self_attn.o_proj", {kWidth, 2});
  append(layer + "mlp.gate_proj", {1, kWidth});
  append(layer + "mlp.up_proj", {1, kWidth});
  append(layer + "mlp.down_proj", {kWidth, 1});
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::string path = folder.path() + "/model.safetensors";
  const uint64_t length = text.size();
  ASSERT_TRUE(
      base::write_file_atomic(path, std::string(reinterpret_cast<const char*>(&length), 8) + text).ok());
  std::error_code error;
  std::filesystem::resize_file(path, 8 + length + static_cast<uint64_t>(offset), error);
  if (error) GTEST_SKIP() << "this file system has no sparse files of 2 TiB: " << error.message();
  base::ThreadPool pool(1);
  const auto checkpoint = format::Checkpoint::open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const auto model = Model::load(*checkpoint, {best_isa(), &pool});
  ASSERT_FALSE(model.ok());
  expect_error(model.status(), StatusCode::kResourceExhausted, {folder.path(), "2.0 TiB", "available"});
}

// Finite weights may still overflow: that is the model's arithmetic, and no crash.
TEST(Model, OverflowReachesTheLogits) {
  TestCheckpoint changed(golden_path("qwen3-f32"));
  TestTensor& up = changed["model.layers.0.mlp.up_proj.weight"];
  std::vector<float> huge(static_cast<size_t>(up.n()), 3e38F);
  up = TestTensor::of(tensor::DType::kF32, up.shape, huge);
  const TempFolder folder;
  changed.write(folder.path());
  base::ThreadPool pool(2);
  const std::vector<float> logits = run(*load_model(folder.path(), pool), {1, 2, 3}, 3);
  for (const float logit : logits) EXPECT_FALSE(std::isfinite(logit));
}

// The small published models.
TEST(Model, RealCheckpoints) {
  const std::string data = base::test_data_folder();
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "no test data at " << data;
  base::ThreadPool pool(2);
  for (const char* name : {"models/tinystories-656k", "models/stories260k", "golden-stick/source"}) {
    const auto model = load_model(data + "/" + name, pool);
    const std::vector<float> logits = run(*model, {1, 20, 7, 90}, 2);
    for (const float logit : logits) EXPECT_TRUE(std::isfinite(logit));
  }
}

TEST(Model, KvTypeFollowsTheEmbedding) {
  base::ThreadPool pool(1);
  EXPECT_EQ(load_model(golden_path("qwen3-f32"), pool)->kv_shape().dtype, tensor::DType::kF32);
  EXPECT_EQ(load_model(golden_path("llama-f16-linear"), pool)->kv_shape().dtype, tensor::DType::kF32);
  EXPECT_EQ(load_model(golden_path("llama-bf16-bias"), pool)->kv_shape().dtype, tensor::DType::kBF16);
}

TEST(KvCache, Int8IsAskedForByName) {
  EXPECT_EQ(kv_type_from_name("auto").value(), KvType::kAuto);
  EXPECT_EQ(kv_type_from_name("int8").value(), KvType::kInt8);
  const auto wrong = kv_type_from_name("fp8");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.status().message(),
            "kv_cache_dtype: expected \"auto\" (the model's own type) or \"int8\", found \"fp8\"");
  base::ThreadPool pool(1);
  const auto model = load_model(golden_path("llama-bf16-bias"), pool);
  EXPECT_EQ(model->make_cache(64, KvType::kInt8).shape().dtype, tensor::DType::kI8);
  // Two codes a dimension (K, and V in its width rounded up to 16) and two scales a token and kv head.
  const int64_t head_dim = model->config().head_dim;
  EXPECT_EQ(kernels::kv_block_bytes(model->kv_shape(KvType::kInt8)),
            static_cast<size_t>(model->config().n_kv_heads * kernels::kKvBlockTokens *
                                (head_dim + (head_dim + 15) / 16 * 16 + 8)));
}

TEST(KvCache, BlocksAreApartAndAligned) {
  const kernels::KvShape shape = {tensor::DType::kBF16, 2, 10};
  KvCache cache(3, shape, 4);
  std::vector<const std::byte*> blocks;
  for (int64_t layer = 0; layer < 3; ++layer) {
    for (int32_t id = 0; id < 4; ++id) blocks.push_back(static_cast<std::byte*>(cache.block(layer, id)));
  }
  std::sort(blocks.begin(), blocks.end());
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks[i]) % 64, 0U);
    if (i > 0) {
      EXPECT_GE(blocks[i] - blocks[i - 1], static_cast<std::ptrdiff_t>(kernels::kv_block_bytes(shape)));
    }
  }
  EXPECT_EQ(KvCache::blocks_for(0), 0);
  EXPECT_EQ(KvCache::blocks_for(64), 1);
  EXPECT_EQ(KvCache::blocks_for(65), 2);
}

}  // namespace
}  // namespace octavo::model
