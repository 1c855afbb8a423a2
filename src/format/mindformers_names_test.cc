#include "format/mindformers_names.h"

#include <gtest/gtest.h>

#include "format/checkpoint.h"
#include "format/test_folder.h"

namespace octavo::format {
namespace {

TEST(MindFormersNames, BecomeHuggingFaces) {
  const std::pair<const char*, const char*> names[] = {
      {"model.tok_embeddings.embedding_weight", "model.embed_tokens.weight"},
      {"model.norm_out.weight", "model.norm.weight"},
      {"model.layers.0.attention_norm.weight", "model.layers.0.input_layernorm.weight"},
      {"model.layers.35.ffn_norm.weight", "model.layers.35.post_attention_layernorm.weight"},
      {"model.layers.1.attention.q_norm.weight", "model.layers.1.self_attn.q_norm.weight"},
      {"model.layers.1.attention.wq.weight", "model.layers.1.self_attn.q_proj.weight"},
      {"model.layers.1.attention.wk._layer.weight", "model.layers.1.self_attn.k_proj.weight"},
      {"model.layers.1.attention.wv.quant_op.input_zp", "model.layers.1.self_attn.v_proj.input_offset"},
      {"model.layers.1.attention.wo.quant_op.input_scale", "model.layers.1.self_attn.o_proj.input_scale"},
      {"model.layers.1.feed_forward.w1._layer.matmul.dequant_scale",
       "model.layers.1.mlp.gate_proj.deq_scale"},
      {"model.layers.1.feed_forward.w3._layer.matmul.quant_bias", "model.layers.1.mlp.up_proj.quant_bias"},
      {"model.layers.1.feed_forward.w2._layer.matmul.weight_scale",
       "model.layers.1.mlp.down_proj.weight_scale"},
      {"model.layers.1.feed_forward.w2.dyn_quant_op.smooth_scale",
       "model.layers.1.mlp.down_proj.dyn_quant_op.smooth_scale"}};
  for (const auto& [from, to] : names) EXPECT_EQ(hugging_face_name(from), to);
  for (const char* same : {"lm_head.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.0",
                           "model.layers.0.attention", "model.layers.0.attention.wqx.weight", ""}) {
    EXPECT_EQ(hugging_face_name(same), std::nullopt) << same;
  }
}

const TensorInfo* find(const std::vector<TensorInfo>& tensors, std::string_view name) {
  for (const TensorInfo& info : tensors) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

TEST(MindFormersNames, FusedLayersAreCutRowForRow) {
  const base::Json config =
      base::parse_json(R"({"num_attention_heads": 4, "num_key_value_heads": 1})").value();
  const std::vector<TensorInfo> tensors = {
      {"model.layers.0.attention.w_qkv._layer.weight", tensor::DType::kI8, {12, 5}, 100, 60},
      {"model.layers.0.attention.w_qkv._layer.matmul.dequant_scale", tensor::DType::kI64, {12}, 160, 96},
      {"model.layers.0.attention.w_qkv.quant_op.input_scale", tensor::DType::kF32, {5}, 256, 20},
      {"model.layers.0.feed_forward.w_gate_hidden.weight", tensor::DType::kBF16, {6, 5}, 276, 60},
      {"model.layers.0.attention.infer_attention.paged_attention_mgr.key_cache",
       tensor::DType::kF32,
       {1},
       336,
       4}};
  const auto renamed = with_hugging_face_names(tensors, config);
  ASSERT_TRUE(renamed.ok()) << renamed.status().message();
  EXPECT_EQ(renamed->size(), 3u + 3u + 3u + 2u);
  const auto expect = [&](const char* name, std::vector<int64_t> shape, uint64_t offset, uint64_t n_bytes) {
    const TensorInfo* info = find(*renamed, name);
    ASSERT_NE(info, nullptr) << name;
    EXPECT_EQ(info->shape, shape) << name;
    EXPECT_EQ(info->offset, offset) << name;
    EXPECT_EQ(info->n_bytes, n_bytes) << name;
  };
  expect("model.layers.0.self_attn.q_proj.weight", {8, 5}, 100, 40);
  expect("model.layers.0.self_attn.k_proj.weight", {2, 5}, 140, 10);
  expect("model.layers.0.self_attn.v_proj.weight", {2, 5}, 150, 10);
  expect("model.layers.0.self_attn.v_proj.deq_scale", {2}, 240, 16);
  expect("model.layers.0.self_attn.v_proj.input_scale", {5}, 256, 20);
  expect("model.layers.0.mlp.gate_proj.weight", {3, 5}, 276, 30);
  expect("model.layers.0.mlp.up_proj.weight", {3, 5}, 306, 30);

  const base::Json other = base::parse_json(R"({"num_attention_heads": 5})").value();
  const Status uneven = with_hugging_face_names(tensors, other).status();
  EXPECT_TRUE(contains(uneven.message(), "15 equal parts") && contains(uneven.message(), "[12, 5]"))
      << uneven.message();
  const base::Json negative = base::parse_json(R"({"num_attention_heads": -1})").value();
  EXPECT_EQ(with_hugging_face_names(tensors, negative).status().code(), StatusCode::kCorrupt);
}

// A file of I8 tensors [4] under MindFormers' names.
std::string file_of(const std::vector<std::string>& names) {
  std::string header = "{";
  for (size_t i = 0; i < names.size(); ++i) {
    header += (i > 0 ? ",\"" : "\"") + names[i] + R"(":{"dtype":"I8","shape":[4],"data_offsets":[)" +
              std::to_string(4 * i) + "," + std::to_string(4 * i + 4) + "]}";
  }
  return safetensors_bytes(header + "}", 4 * names.size());
}

const std::string kNorm = "model.norm_out.weight", kQ = "model.layers.0.attention.wq._layer.weight";

TEST(MindFormersCheckpoint, OpensWhateverTheFilesAreCalled) {
  const std::string map = R"({")" + kNorm + R"(":"x.safetensors",")" + kQ + R"(":"y.safetensors"})";
  for (const std::string& index : {std::string(), map, R"({"weight_map":)" + map + "}"}) {
    const TestFolder folder;
    folder.write("config.json", "{}");
    folder.write("x.safetensors", file_of({kNorm}));
    folder.write("y.safetensors", file_of({kQ}));
    if (!index.empty()) folder.write("param_name_map.json", index);
    const auto checkpoint = Checkpoint::open(folder.path());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    EXPECT_TRUE(checkpoint->has_mindformers_names());
    ASSERT_EQ(checkpoint->tensors().size(), 2u);
    const TensorInfo* norm = checkpoint->find("model.norm.weight");
    ASSERT_NE(norm, nullptr);
    EXPECT_EQ(checkpoint->file_of(*norm).path(), folder.path("x.safetensors"));
    EXPECT_EQ(checkpoint->read("model.layers.0.self_attn.q_proj.weight")->as<char>()[3], 3);
  }
}

TEST(MindFormersCheckpoint, SaysWhatIsWrong) {
  const TestFolder folder;
  folder.write("x.safetensors", file_of({kNorm, kQ}));
  const auto error = [&] { return Checkpoint::open(folder.path()).status().message(); };
  EXPECT_TRUE(contains(error(), "has no file 'config.json'; take that of the model")) << error();
  folder.write("config.json", "{}");
  EXPECT_EQ(error(), "");
  folder.write("param_name_map.json", R"({")" + kNorm + R"(":"x.safetensors"})");
  EXPECT_TRUE(contains(error(), "'" + kQ + "' of 'x.safetensors' is not listed")) << error();
  folder.write("other.safetensors.index.json", "{}");
  EXPECT_TRUE(contains(error(), "has two indices") && contains(error(), "'param_name_map.json'")) << error();
}

TEST(MindFormersCheckpoint, AnotherModelWithSomeOfTheNamesIsLeftAlone) {
  const TestFolder folder;
  folder.write("config.json", "{}");
  folder.write("model.safetensors",
               file_of({"model.tok_embeddings.weight", "model.layers.0.attention.wo.weight"}));
  const auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_FALSE(checkpoint->has_mindformers_names());
  EXPECT_NE(checkpoint->find("model.layers.0.attention.wo.weight"), nullptr);
}

TEST(MindFormersCheckpoint, ATensorUnderBothNamesIsRefused) {
  const TestFolder folder;
  folder.write("config.json", "{}");
  folder.write("x.safetensors", file_of({kNorm, kQ, "model.norm.weight"}));
  const Status status = Checkpoint::open(folder.path()).status();
  EXPECT_TRUE(contains(status.message(), "two tensors are both 'model.norm.weight'")) << status.message();
}

}  // namespace
}  // namespace octavo::format
