#include <gtest/gtest.h>

#include "format/checkpoint.h"
#include "format/quant_manifest/quant_manifest.h"
#include "format/test_folder.h"

namespace octavo::format {
namespace {

// A folder with I8 tensors [4] of these names in FILE, and an empty config.json.
class GoldenStickManifest : public ::testing::Test {
 protected:
  void write_tensors(const std::vector<std::string>& names, const char* file = "model.safetensors") const {
    std::string header = "{";
    for (size_t i = 0; i < names.size(); ++i) {
      header += (i > 0 ? ",\"" : "\"") + names[i] + R"(":{"dtype":"I8","shape":[4],"data_offsets":[)" +
                std::to_string(4 * i) + "," + std::to_string(4 * i + 4) + "]}";
    }
    folder_.write(file, safetensors_bytes(header + "}", 4 * names.size()));
    folder_.write("config.json", "{}");
  }
  Result<QuantManifest> read() const {
    OCTAVO_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(folder_.path()));
    return QuantManifest::read(checkpoint);
  }
  void expect_refused(StatusCode code, std::initializer_list<std::string_view> words) const {
    const Status status = read().status();
    EXPECT_EQ(status.code(), code) << status.message();
    for (const std::string_view word : words) {
      EXPECT_TRUE(contains(status.message(), word)) << "'" << word << "' not in: " << status.message();
    }
  }
  static constexpr const char* kName = "quantization_description.json";
  TestFolder folder_;
};

TEST_F(GoldenStickManifest, TypesAreReadByName) {
  write_tensors({"a.q.weight", "a.q.deq_scale", "a.d.weight", "a.n.weight", "lm_head.weight"});
  folder_.write(kName, R"({"a.q.weight":"W8A8","a.q.deq_scale":"W8A8","a.d.weight":"W8A8_DYNAMIC",
                          "a.n.weight":"FLOAT"})");
  const auto manifest = read();
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_EQ(manifest->layout(), QuantLayout::kGoldenStick);
  EXPECT_EQ(manifest->description(), "golden-stick w8a8 static and dynamic");
  EXPECT_EQ(manifest->source(), kName);
  EXPECT_EQ((*manifest->find("a.q"))->input, InputQuant::kStaticTensor);
  EXPECT_EQ((*manifest->find("a.d"))->input, InputQuant::kDynamicToken);
  EXPECT_FALSE(manifest->find("a.n")->has_value());
  EXPECT_FALSE(manifest->find("lm_head")->has_value());
}

TEST_F(GoldenStickManifest, AscendIsToldByItsProperty) {
  write_tensors({"a.q.weight", "a.q.input_scale"}, "quant_model_weight_w8a8.safetensors");
  folder_.write("quant_model_description_w8a8.json",
                R"({"model_quant_type":"W8A8","version":"1.0.0","group_size":0,"a.q.weight":"W8A8",
                   "a.q.input_scale":"W8A8","lm_head.weight":"FLOAT"})");
  const auto manifest = read();
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_EQ(manifest->description(), "ascend w8a8 static");
  EXPECT_STREQ(layout_name(manifest->layout()), "ascend");
}

TEST_F(GoldenStickManifest, OtherTypesAreNamed) {
  write_tensors({"a.q.weight", "a.q.weight_scale"});
  for (const std::string type : {"W4A16", "W8A16", "W8A8S", "W4A8_DYNAMIC", "C8", "FAQuant", "w8a8", ""}) {
    folder_.write(kName, R"({"a.q.weight":")" + type + "\"}");
    expect_refused(StatusCode::kUnsupported, {kName, "'a.q.weight'", "type '" + type + "'"});
  }
  folder_.write(kName, R"({"model_quant_type":"W8A8","kv_quant_type":"C8","a.q.weight":"W8A8"})");
  expect_refused(StatusCode::kUnsupported, {"'kv_quant_type'", "'C8'"});
}

TEST_F(GoldenStickManifest, ADescriptionMustFitTheFiles) {
  write_tensors({"a.q.weight", "a.q.weight_scale"});
  folder_.write(kName, R"({"a.q.weight":"W8A8","a.q.deq_scale":"W8A8"})");
  expect_refused(StatusCode::kCorrupt, {kName, "'a.q.deq_scale'", "none of the files"});
  folder_.write(kName, R"({"a.q.weight":"W8A8","a.q.weight_scale":"W8A8_DYNAMIC"})");
  expect_refused(StatusCode::kCorrupt, {"'a.q.weight_scale'", "'W8A8_DYNAMIC'", "'W8A8'", "one type"});
  folder_.write(kName, R"({"a.q.weight":"FLOAT","a.q.weight_scale":"W8A8"})");
  expect_refused(StatusCode::kCorrupt, {"'a.q.weight_scale'", "'FLOAT'"});
  folder_.write(kName, R"({"a.q.weight":8})");
  expect_refused(StatusCode::kCorrupt, {"'a.q.weight'", "expected a type", "integer"});
  folder_.write(kName, "[]");
  expect_refused(StatusCode::kCorrupt, {kName, "expected an object"});
}

TEST_F(GoldenStickManifest, OneDescriptionIsEnough) {
  write_tensors({"a.q.weight"});
  folder_.write(kName, R"({"a.q.weight":"W8A8"})");
  folder_.write("quant_model_description.json", R"({"a.q.weight":"W8A8"})");
  expect_refused(StatusCode::kInvalidArgument,
                 {"two descriptions", "'quantization_description.json'", "'quant_model_description.json'"});
  const TestFolder sparse;
  sparse.write("quant_model_description_w8a8sc.json", "{}");
  EXPECT_TRUE(contains(find_quant_description(sparse.path()).status().message(), "sparse W8A8SC"));
}

TEST_F(GoldenStickManifest, AConfigMaySayItAsWellButNotOtherwise) {
  write_tensors({"a.q.weight"});
  folder_.write(kName, R"({"a.q.weight":"W8A8"})");
  folder_.write("config.json", R"({"quantization_config":{"quant_method":"compressed-tensors",
                                  "format":"int-quantized","config_groups":{"W8A8":["Linear"]}}})");
  expect_refused(StatusCode::kInvalidArgument, {"has both", kName, "quantization_config"});
}

TEST_F(GoldenStickManifest, WithoutADescriptionItIsAskedFor) {
  write_tensors({"a.q.weight", "a.q.deq_scale"});
  expect_refused(StatusCode::kNotFound, {"'a.q.deq_scale'", "quantization_description.json is missing"});
}

TEST_F(GoldenStickManifest, MindFormersTensorsSpeakForThemselves) {
  const std::string layer = "model.layers.0.";
  write_tensors(
      {layer + "attention.wq._layer.weight", layer + "attention.wq.quant_op.input_scale",
       layer + "feed_forward.w2._layer.weight", layer + "feed_forward.w2._layer.matmul.weight_scale"},
      "Tiny-A8W8.safetensors");
  const auto manifest = read();
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_EQ(manifest->description(), "golden-stick w8a8 static and dynamic");
  EXPECT_EQ((*manifest->find(layer + "self_attn.q_proj"))->input, InputQuant::kStaticTensor);
  EXPECT_EQ((*manifest->find(layer + "mlp.down_proj"))->input, InputQuant::kDynamicToken);
  write_tensors({layer + "attention.wq._layer.weight", layer + "attention.wq._layer.matmul.weight_scale",
                 layer + "attention.wq._layer.matmul.weight_zp"},
                "Tiny-A8W8.safetensors");
  expect_refused(StatusCode::kUnsupported, {"self_attn.q_proj.weight_offset", "A16W8"});
}

}  // namespace
}  // namespace octavo::format
