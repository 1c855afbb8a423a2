#include "format/inspect.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/test_environment.h"
#include "format/quant_manifest/quant_manifest.h"
#include "format/safetensors_writer.h"
#include "format/test_folder.h"

namespace octavo::format {
namespace {

using base::Json;
using tensor::DType;

void write_model(const TestFolder& folder, const std::vector<TensorSpec>& plan, bool quantized) {
  auto writer = ShardedWriter::create(folder.path(), plan);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  for (const TensorSpec& spec : plan) {
    const std::string bytes(*tensor_bytes(spec), '\x3f');  // bf16 and f32: about 0.75
    ASSERT_TRUE(writer->write(spec.name, bytes.data(), bytes.size()).ok());
  }
  ASSERT_TRUE(writer->finish().ok());
  Json config;
  config.set("model_type", "qwen3");
  config.set("architectures", base::JsonArray{Json("Qwen3ForCausalLM")});
  const QuantGroup group;
  const std::vector<std::string> ignore = {"lm_head"};
  if (quantized) config.set("quantization_config", *compressed_tensors_config(std::span(&group, 1), ignore));
  folder.write("config.json", config.dump());
}

Json inspected(const std::string& path) {
  const auto report = inspect_path(path);
  EXPECT_TRUE(report.ok()) << report.status().message();
  return report.ok() ? *report : Json();
}

TEST(InspectTest, AQuantizedFolder) {
  const TestFolder folder;
  write_model(folder,
              {{"model.embed_tokens.weight", DType::kBF16, {6, 4}},
               {"model.layers.0.mlp.up_proj.weight", DType::kI8, {8, 4}},
               {"model.layers.0.mlp.up_proj.weight_scale", DType::kBF16, {8, 1}},
               {"model.norm.weight", DType::kBF16, {4}}},
              true);
  const Json report = inspected(folder.path());
  EXPECT_EQ(report.find("kind")->as_string(), "model folder");
  EXPECT_EQ(report.find("architecture")->as_string(), "Qwen3ForCausalLM");
  EXPECT_EQ(report.find("model_type")->as_string(), "qwen3");
  EXPECT_EQ(report.find("n_tensors")->as_int(), 4);
  EXPECT_EQ(report.find("n_parameters")->as_int(), 24 + 32 + 4);
  EXPECT_EQ(report.find("n_bytes")->as_int(), 48 + 32 + 16 + 8);
  EXPECT_EQ(report.find("dtypes")->find("I8")->dump(), R"({"n_tensors":1,"n_elements":32,"n_bytes":32})");
  EXPECT_EQ(report.find("files")->as_array().size(), 1u);
  const Json& quantization = *report.find("quantization");
  EXPECT_EQ(quantization.find("method")->as_string(), "compressed-tensors");
  EXPECT_TRUE(quantization.find("runnable")->as_bool());
  EXPECT_EQ(quantization.find("weight_bits")->as_int(), 8);
  EXPECT_EQ(quantization.find("weight_strategy")->as_string(), "channel");
  EXPECT_EQ(quantization.find("input_strategy")->as_string(), "dynamic per token");
  EXPECT_EQ(quantization.find("ignore")->dump(), R"(["lm_head"])");
  EXPECT_EQ(quantization.find("n_int8_linears")->as_int(), 1);
  EXPECT_EQ(quantization.find("n_float_linears")->as_int(), 0);
  EXPECT_EQ(quantization.find("scale_dtype")->as_string(), "BF16");
  EXPECT_EQ(report.find("problems")->dump(), "[]");
}

TEST(InspectTest, ValuesThatCannotBeRunAreNamed) {
  const auto problems_of = [](float value, const std::string& name) {
    const TestFolder folder;
    std::string bytes =
        safetensors_bytes(R"({")" + name + R"(":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)" +
                              R"("a.weight":{"dtype":"I8","shape":[2,1],"data_offsets":[8,10]}})",
                          10);
    const float values[] = {1.0F, value};
    std::memcpy(bytes.data() + bytes.size() - 10, values, sizeof values);
    const std::string path = folder.write("s.safetensors", bytes);
    return inspected(path).find("problems")->dump();
  };
  EXPECT_EQ(problems_of(0.5F, "a.weight_scale"), "[]");
  for (const float value : {0.0F, -1.0F, 1e-40F, std::nanf(""), HUGE_VALF}) {
    const std::string problems = problems_of(value, "a.weight_scale");
    EXPECT_TRUE(contains(problems_of(value, "a.input_scale"), "'a.input_scale': expected positive scales"));
    EXPECT_TRUE(contains(problems_of(value, "a.deq_scale"), "'a.deq_scale': expected positive scales"));
    EXPECT_TRUE(contains(problems, "s.safetensors': tensor 'a.weight_scale': expected positive scales"))
        << problems;
    EXPECT_TRUE(contains(problems, "at [1, 0]")) << problems;
  }
  EXPECT_FALSE(contains(problems_of(-1.0F, "b"), "'b'"));
  for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    EXPECT_TRUE(contains(problems_of(value, "b"), "s.safetensors': tensor 'b': expected finite values"));
  }
}

TEST(InspectTest, BrokenQuantizationIsNamed) {
  const TestFolder folder;
  write_model(folder,
              {{"model.layers.0.a.weight", DType::kI8, {8, 4}},
               {"model.layers.0.b.weight", DType::kI8, {8, 4}},
               {"model.layers.0.b.weight_scale", DType::kF32, {7, 1}},
               {"model.layers.0.c.weight_scale", DType::kF32, {8, 1}},
               {"model.layers.0.d.weight", DType::kBF16, {8, 4}},
               {"lm_head.weight", DType::kI8, {8, 4}},
               {"lm_head.weight_scale", DType::kF32, {1}}},
              true);
  const std::string problems = inspected(folder.path()).find("problems")->dump();
  EXPECT_TRUE(
      contains(problems, "'model.layers.0.a.weight' is I8, but there is no 'model.layers.0.a.weight_scale'"));
  EXPECT_TRUE(contains(problems, "'model.layers.0.b.weight_scale' has shape [7, 1]"));
  EXPECT_TRUE(contains(problems, "'model.layers.0.c.weight_scale' has no weight"));
  EXPECT_TRUE(
      contains(problems, "'model.layers.0.d.weight' is BF16, but config.json's quantization_config says"));
  EXPECT_TRUE(
      contains(problems, "'lm_head.weight' is I8, but config.json's quantization_config does not say"));
  EXPECT_EQ(inspected(folder.path()).find("problems")->as_array().size(), 5u) << problems;
}

TEST(InspectTest, WhatOctavoCannotRunIsStillDescribed) {
  const TestFolder folder;
  write_model(folder, {{"a.qweight", DType::kI32, {4, 4}}}, false);
  folder.write("config.json", R"({"quantization_config":{"quant_method":"gptq","bits":4}})");
  const Json report = inspected(folder.path());
  EXPECT_FALSE(report.find("quantization")->find("runnable")->as_bool());
  EXPECT_TRUE(contains(report.find("quantization")->find("reason")->as_string(), "'gptq'"));
  EXPECT_TRUE(report.find("architecture")->is_null());
}

TEST(InspectTest, AFileAlone) {
  const TestFolder folder;
  write_model(folder, {{"a.weight", DType::kI8, {2, 2}}, {"b", DType::kF32, {}}}, false);
  const Json report = inspected(folder.path("model.safetensors"));
  EXPECT_EQ(report.find("kind")->as_string(), "safetensors file");
  EXPECT_EQ(report.find("metadata")->dump(), R"({"format":"pt"})");
  EXPECT_TRUE(contains(report.find("problems")->dump(), "there is no 'a.weight_scale'"));
}

TEST(InspectTest, AWrongIndexSumIsNamed) {
  const TestFolder folder;
  folder.write("s.safetensors",
               safetensors_bytes(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})", 4));
  folder.write("config.json", "{}");
  folder.write("model.safetensors.index.json",
               R"({"metadata":{"total_size":5},"weight_map":{"a":"s.safetensors"}})");
  EXPECT_TRUE(
      contains(inspected(folder.path()).find("problems")->dump(), "total_size is 5, but the tensors take 4"));
}

TEST(InspectTest, WhatIsNoModelIsRefused) {
  const TestFolder folder;
  EXPECT_EQ(inspect_path(folder.path("none")).status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(
      contains(inspect_path(folder.write("m.gguf", "GGUF")).status().message(), ".gguf files are not read"));
  EXPECT_EQ(inspect_path(folder.write("m.txt", "hello hello")).status().code(), StatusCode::kCorrupt);
}

TEST(InspectTest, GoldenStickFoldersAreDescribed) {
  const std::string folder = base::test_data_folder() + "/golden-stick";
  if (!base::is_folder(folder)) GTEST_SKIP() << "test data " << folder << " is missing";
  for (const char* name : {"format-b-ascend", "format-b-none", "source"}) {
    EXPECT_EQ(inspected(base::join_path(folder, name)).find("architecture")->as_string(), "Qwen3ForCausalLM")
        << name;
  }
  const Json file = inspected(folder + "/format-a/Qwen3-8B-A8W8.safetensors");
  EXPECT_EQ(file.find("metadata")->dump(), R"({"format":"ms"})");
}

}  // namespace
}  // namespace octavo::format
