#include "model/weights.h"

#include <gtest/gtest.h>

#include <limits>

#include "model/config.h"
#include "model/decoder.h"
#include "model/test_checkpoint.h"

namespace octavo::model {
namespace {

using tensor::DType;

ModelConfig config_of(const format::Checkpoint& checkpoint) {
  auto config = parse_model_config(checkpoint.config(), checkpoint.folder() + "/config.json");
  EXPECT_TRUE(config.ok()) << config.status().message();
  return std::move(config).value();
}

// What reading everything gives: check_tensors(), the outer tensors, every layer.
Status read_all(const format::Checkpoint& checkpoint) {
  const ModelConfig config = config_of(checkpoint);
  OCTAVO_RETURN_IF_ERROR(check_tensors(checkpoint, config));
  OCTAVO_RETURN_IF_ERROR(read_outer(checkpoint, config).status());
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    OCTAVO_RETURN_IF_ERROR(read_layer(checkpoint, config, layer).status());
  }
  return {};
}

// Loading a model, which packs matrices as it reads them, must say the same.
Status read_all(const TestCheckpoint& changed) {
  const TempFolder folder;
  const format::Checkpoint checkpoint = changed.reopen(folder);
  base::ThreadPool pool(2);
  Status status = read_all(checkpoint);
  EXPECT_EQ(Model::load(checkpoint, {kernels::Isa::kRef, &pool}).status().message(), status.message());
  return status;
}

void expect_refused(const TestCheckpoint& changed, const std::vector<std::string>& words) {
  const Status status = read_all(changed);
  ASSERT_FALSE(status.ok());
  for (const std::string& word : words) {
    EXPECT_NE(status.message().find(word), std::string::npos)
        << "'" << word << "' not in: " << status.message();
  }
}

const std::string kQ = "model.layers.1.self_attn.q_proj";

TEST(Weights, ReadsEveryGoldenModel) {
  for (const char* name : {"qwen3-f32", "qwen3-bf16-tied", "qwen3-f32-bias", "qwen3-f32-long",
                           "llama-f32-llama3", "llama-bf16-bias", "llama-f16-linear", "qwen3-int8"}) {
    const auto checkpoint = format::Checkpoint::open(golden_path(name));
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    const Status status = read_all(*checkpoint);
    EXPECT_TRUE(status.ok()) << name << ": " << status.message();
  }
}

TEST(Weights, ValuesAreTheFiles) {
  TestCheckpoint golden(golden_path("llama-bf16-bias"));
  const auto checkpoint = format::Checkpoint::open(golden_path("llama-bf16-bias"));
  const auto layer = read_layer(*checkpoint, config_of(*checkpoint), 1);
  ASSERT_TRUE(layer.ok()) << layer.status().message();
  const LinearWeight& q = (*layer)[LinearSlot::kQ];
  EXPECT_EQ(q.n, 40);
  EXPECT_EQ(q.k, 40);
  EXPECT_EQ(q.dtype, DType::kBF16);
  EXPECT_EQ(std::memcmp(q.data.data(), golden[kQ + ".weight"].bytes.data(), q.data.size_bytes()), 0);
  EXPECT_EQ(q.bias, golden[kQ + ".bias"].floats());
  EXPECT_EQ((*layer)[LinearSlot::kDown].bias, golden["model.layers.1.mlp.down_proj.bias"].floats());
  EXPECT_EQ(layer->input_norm, golden["model.layers.1.input_layernorm.weight"].floats());
  EXPECT_TRUE(layer->q_norm.empty());
}

TEST(Weights, F16BecomesF32Exactly) {
  TestCheckpoint golden(golden_path("llama-f16-linear"));
  const auto checkpoint = format::Checkpoint::open(golden_path("llama-f16-linear"));
  const auto layer = read_layer(*checkpoint, config_of(*checkpoint), 1);
  ASSERT_TRUE(layer.ok());
  const LinearWeight& q = (*layer)[LinearSlot::kQ];
  ASSERT_EQ(q.dtype, DType::kF32);
  const std::vector<float> want = golden[kQ + ".weight"].floats();
  EXPECT_TRUE(std::equal(want.begin(), want.end(), q.data.as<float>()));
}

TEST(Weights, Int8WithScales) {
  const TestCheckpoint golden(golden_path("qwen3-int8"));
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const std::vector<int64_t>& shape : {std::vector<int64_t>{48, 1}, {48}}) {
      TestCheckpoint changed = golden;
      const std::vector<float> scale = golden.tensors.at(kQ + ".weight_scale").floats();
      changed[kQ + ".weight_scale"] = TestTensor::of(dtype, shape, scale);
      changed[kQ + ".weight"].bytes[0] = std::byte{0x80};  // -128: no quantizer of ours, but others write it
      const TempFolder folder;
      const format::Checkpoint checkpoint = changed.reopen(folder);
      const auto layer = read_layer(checkpoint, config_of(checkpoint), 1);
      ASSERT_TRUE(layer.ok()) << layer.status().message();
      EXPECT_EQ((*layer)[LinearSlot::kQ].dtype, DType::kI8);
      EXPECT_EQ((*layer)[LinearSlot::kQ].scale, changed[kQ + ".weight_scale"].floats());
    }
  }
}

TEST(Weights, OneScaleForAllRows) {
  TestCheckpoint changed(golden_path("qwen3-int8"));
  changed[kQ + ".weight_scale"] = TestTensor::of(DType::kF32, {1}, std::vector<float>{0.5F});
  const TempFolder folder;
  const format::Checkpoint checkpoint = changed.reopen(folder);
  const auto layer = read_layer(checkpoint, config_of(checkpoint), 1);
  ASSERT_TRUE(layer.ok()) << layer.status().message();
  EXPECT_EQ((*layer)[LinearSlot::kQ].scale, std::vector<float>(48, 0.5F));
}

TEST(Weights, BadScales) {
  for (const float bad : {0.0F, -1.0F, 1e-40F, std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    TestCheckpoint changed(golden_path("qwen3-int8"));
    std::vector<float> scale = changed[kQ + ".weight_scale"].floats();
    scale[5] = bad;
    changed[kQ + ".weight_scale"] = TestTensor::of(DType::kF32, {48, 1}, scale);
    expect_refused(changed, {"model.safetensors", kQ + ".weight_scale", "[5, 0]"});
  }
  TestCheckpoint missing(golden_path("qwen3-int8"));
  missing.tensors.erase(kQ + ".weight_scale");
  expect_refused(missing, {kQ + ".weight_scale", "missing", "int8"});
  TestCheckpoint cut(golden_path("qwen3-int8"));
  cut[kQ + ".weight_scale"] = TestTensor::of(DType::kF32, {24, 2}, cut[kQ + ".weight_scale"].floats());
  expect_refused(cut, {kQ + ".weight_scale", "[48, 1]", "[24, 2]"});
  TestCheckpoint integer(golden_path("qwen3-int8"));
  integer[kQ + ".weight_scale"] = {DType::kI32, {48, 1}, std::vector<std::byte>(48 * 4)};
  expect_refused(integer, {kQ + ".weight_scale", "I32"});
}

TEST(Weights, QuantizationMustMatchTheConfig) {
  TestCheckpoint unannounced(golden_path("qwen3-int8"));
  unannounced.set_config("quantization_config", "null");
  expect_refused(unannounced, {".weight", "I8", "quantization_config"});
  TestCheckpoint unquantized(golden_path("qwen3-f32"));
  unquantized.set_quantized(R"(["Linear"])");
  expect_refused(unquantized, {"q_proj.weight", "I8", "F32"});
  TestCheckpoint mixed(golden_path("qwen3-f32"));  // one module of one layer
  mixed.quantize(kQ, DType::kF32);
  mixed.set_quantized("[\"" + kQ + "\"]");
  EXPECT_TRUE(read_all(mixed).ok()) << read_all(mixed).message();
}

TEST(Weights, MissingTensors) {
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight",
                           "model.layers.1.mlp.down_proj.weight", "model.layers.0.self_attn.k_norm.weight",
                           "model.layers.1.post_attention_layernorm.weight"}) {
    TestCheckpoint changed(golden_path("qwen3-f32"));
    changed.tensors.erase(name);
    expect_refused(changed, {name, "missing", "shape ["});
  }
  TestCheckpoint biased(golden_path("qwen3-f32-bias"));
  biased.tensors.erase("model.layers.0.self_attn.o_proj.bias");
  expect_refused(biased, {"o_proj.bias", "missing"});
}

TEST(Weights, ShapesAreTheConfigs) {
  TestCheckpoint vocabulary(golden_path("qwen3-f32"));
  vocabulary.set_config("vocab_size", "102");
  expect_refused(vocabulary,
                 {"model.embed_tokens.weight", "[102, 40]", "[vocab_size, hidden_size]", "[101, 40]"});
  TestCheckpoint heads(golden_path("qwen3-f32"));
  heads.set_config("head_dim", "18");
  expect_refused(heads, {"q_proj.weight", "[54, 40]", "num_attention_heads * head_dim", "[48, 40]"});
  TestCheckpoint transposed(golden_path("qwen3-f32"));
  std::swap(transposed[kQ + ".weight"].shape[0], transposed[kQ + ".weight"].shape[1]);
  expect_refused(transposed, {kQ + ".weight", "[40, 48]"});
  TestCheckpoint norm(golden_path("qwen3-f32"));
  norm["model.norm.weight"].shape = {40, 1};
  expect_refused(norm, {"model.norm.weight", "[40]", "[40, 1]"});
  TestCheckpoint integers(golden_path("qwen3-f32"));
  integers["model.norm.weight"].dtype = DType::kI32;
  expect_refused(integers, {"model.norm.weight", "I32", "BF16, F16 or F32"});
}

TEST(Weights, NonFiniteValues) {
  struct Case {
    const char *model, *tensor, *place;
    int64_t index;
    float value;
  };
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const Case& c :
       {Case{"qwen3-f32", "model.layers.1.mlp.down_proj.weight", "[39, 71]", 40 * 72 - 1, nan},
        Case{"qwen3-f32", "model.embed_tokens.weight", "[100, 39]", 101 * 40 - 1, -inf},
        Case{"qwen3-bf16-tied", "model.layers.2.mlp.up_proj.weight", "[1, 3]", 51, inf},
        Case{"llama-f16-linear", "model.layers.0.self_attn.v_proj.weight", "[0, 0]", 0, nan},
        Case{"llama-bf16-bias", "model.layers.0.mlp.gate_proj.bias", "[7]", 7, nan},
        Case{"qwen3-f32", "model.norm.weight", "[3]", 3, inf}}) {
    TestCheckpoint changed(golden_path(c.model));
    TestTensor& tensor = changed[c.tensor];
    std::vector<float> values = tensor.floats();
    values[static_cast<size_t>(c.index)] = c.value;
    tensor = TestTensor::of(tensor.dtype, tensor.shape, values);
    expect_refused(changed, {"model.safetensors", c.tensor, c.place, "finite"});
  }
}

TEST(Weights, ExtraTensors) {
  TestCheckpoint extra(golden_path("qwen3-f32"));
  extra.tensors["model.layers.0.self_attn.q_proj.bias"] =
      TestTensor::of(DType::kF32, {48}, std::vector<float>(48));
  expect_refused(extra, {"model.layers.0.self_attn.q_proj.bias", "not part of"});
  TestCheckpoint layers(golden_path("qwen3-f32"));
  layers.set_config("num_hidden_layers", "1");
  expect_refused(layers, {"model.layers.1.", "num_hidden_layers = 1"});
  TestCheckpoint old(golden_path("llama-bf16-bias"));
  old.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] =
      TestTensor::of(DType::kF32, {1}, std::vector<float>{1});
  EXPECT_TRUE(read_all(old).ok());
}

TEST(Weights, TiedEmbeddings) {
  const std::string embedding = "model.embed_tokens.weight", lm_head = "lm_head.weight";
  TestCheckpoint both(golden_path("qwen3-bf16-tied"));
  both.tensors[lm_head] = both[embedding];
  EXPECT_TRUE(read_all(both).ok()) << read_all(both).message();
  both[lm_head].bytes.back() ^= std::byte{1};
  expect_refused(both, {lm_head, embedding, "differs", "tie_word_embeddings"});
  both[lm_head] = TestTensor::of(DType::kF32, both[embedding].shape, both[embedding].floats());
  expect_refused(both, {lm_head, embedding, "F32"});

  TestCheckpoint renamed(golden_path("qwen3-bf16-tied"));  // as published tinystories-656k
  renamed.tensors[lm_head] = renamed[embedding];
  renamed.tensors.erase(embedding);
  EXPECT_TRUE(read_all(renamed).ok()) << read_all(renamed).message();
  const TempFolder folder;
  const format::Checkpoint checkpoint = renamed.reopen(folder);
  const auto read = read_embedding(checkpoint, config_of(checkpoint));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(std::memcmp(read->data.data(), renamed[lm_head].bytes.data(), read->data.size_bytes()), 0);
  EXPECT_EQ(read_outer(checkpoint, config_of(checkpoint))->lm_head.n, 0);

  renamed.tensors.erase(lm_head);
  expect_refused(renamed, {embedding, "missing"});
}

}  // namespace
}  // namespace octavo::model
