#include "format/quant_manifest/quant_manifest.h"

#include <gtest/gtest.h>

#include "format/test_folder.h"

namespace octavo::format {
namespace {

using base::Json;

constexpr const char* kWeights =
    R"({"num_bits":8,"type":"int","symmetric":true,"strategy":"channel","dynamic":false})";
constexpr const char* kInputs =
    R"({"num_bits":8,"type":"int","symmetric":true,"strategy":"token","dynamic":true})";

std::string group(const std::string& targets = R"(["Linear"])", const std::string& weights = kWeights,
                  const std::string& inputs = kInputs, const std::string& more = "") {
  return R"({"targets":)" + targets + R"(,"weights":)" + weights + R"(,"input_activations":)" + inputs +
         more + "}";
}

// config.json with this quantization_config.
Result<QuantManifest> parse(const std::string& section) {
  const Result<Json> config =
      base::parse_json(R"({"model_type":"qwen3","quantization_config":)" + section + "}");
  EXPECT_TRUE(config.ok()) << config.status().message() << "\n" << section;
  if (!config.ok()) return config.status();
  return QuantManifest::parse(*config, "config.json");
}

Result<QuantManifest> parse_groups(const std::string& groups,
                                   const std::string& more = R"(,"ignore":["lm_head"])") {
  return parse(R"({"quant_method":"compressed-tensors","format":"int-quantized","config_groups":{)" + groups +
               "}" + more + "}");
}

bool is_quantized(const Result<QuantManifest>& manifest, std::string_view module,
                  std::string_view class_name = "Linear") {
  EXPECT_TRUE(manifest.ok()) << manifest.status().message();
  if (!manifest.ok()) return false;
  const auto found = manifest->find(module, class_name);
  EXPECT_TRUE(found.ok()) << found.status().message();
  return found.ok() && found->has_value();
}

void expect_unsupported(const Result<QuantManifest>& manifest, std::string_view part) {
  ASSERT_FALSE(manifest.ok()) << part;
  EXPECT_EQ(manifest.status().code(), StatusCode::kUnsupported) << manifest.status().message();
  EXPECT_TRUE(contains(manifest.status().message(), part)) << manifest.status().message();
  EXPECT_TRUE(contains(manifest.status().message(), "config.json: ")) << manifest.status().message();
}

TEST(QuantManifestTest, NoSectionIsAFloatModel) {
  const auto manifest =
      QuantManifest::parse(*base::parse_json(R"({"quantization_config":null})"), "config.json");
  ASSERT_TRUE(manifest.ok());
  EXPECT_TRUE(manifest->empty());
  EXPECT_FALSE(is_quantized(manifest, "model.layers.0.mlp.up_proj"));
}

TEST(QuantManifestTest, W8A8) {
  const auto manifest = parse_groups(R"("group_0":)" + group());
  EXPECT_TRUE(is_quantized(manifest, "model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(is_quantized(manifest, "lm_head"));
  EXPECT_FALSE(is_quantized(manifest, "model.embed_tokens", "Embedding"));
  EXPECT_EQ(manifest->description(), "compressed-tensors w8a8");
  EXPECT_EQ(**manifest->find("x"), LinearQuant{});
}

TEST(QuantManifestTest, TensorStrategy) {
  const auto manifest =
      parse_groups(R"("g":)" + group(R"(["Linear"])", R"({"num_bits":8,"strategy":"tensor"})"));
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_EQ((*manifest->find("x"))->weight_strategy, WeightStrategy::kTensor);
}

TEST(QuantManifestTest, StaticInputs) {
  for (const bool symmetric : {true, false}) {
    const auto manifest = parse_groups(
        R"("g":)" + group(R"(["Linear"])", kWeights,
                          R"({"num_bits":8,"type":"int","strategy":"tensor","dynamic":false,"symmetric":)" +
                              std::string(symmetric ? "true" : "false") + "}"));
    ASSERT_TRUE(manifest.ok()) << manifest.status().message();
    const LinearQuant quant = (*manifest->find("x")).value();
    EXPECT_EQ(quant.input, InputQuant::kStaticTensor);
    EXPECT_EQ(quant.input_symmetric, symmetric);
    EXPECT_EQ(quant.weight_strategy, WeightStrategy::kChannel);
    EXPECT_EQ(manifest->description(), "compressed-tensors w8a8 static");
  }
}

TEST(QuantManifestTest, TargetsMatchAsInPython) {
  const auto manifest = parse_groups(
      R"("g":)" +
          group(R"(["model.layers.0.mlp.up_proj","re:.*self_attn\\.(q|k)_proj$","re:model\\.layers\\.1"])"),
      R"(,"ignore":["re:.*layers\\.0\\.self_attn.*"])");
  EXPECT_TRUE(is_quantized(manifest, "model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(is_quantized(manifest, "model.layers.0.mlp.up_proj.x"));
  EXPECT_FALSE(is_quantized(manifest, "model.layers.0.mlp.gate_proj"));
  EXPECT_TRUE(is_quantized(manifest, "model.layers.2.self_attn.q_proj"));
  EXPECT_FALSE(is_quantized(manifest, "model.layers.2.self_attn.v_proj"));
  EXPECT_TRUE(is_quantized(manifest, "model.layers.1.mlp.up_proj"));  // anchored at the start only
  EXPECT_TRUE(
      is_quantized(manifest, "model.layers.12.mlp.up_proj"));  // a pattern's prefix matches, as re.match does
  EXPECT_FALSE(is_quantized(manifest, "model.layers.0.self_attn.q_proj")) << "ignore wins";
}

TEST(QuantManifestTest, PrefixesMayDiffer) {
  const auto manifest = parse_groups(
      R"("g":)" + group(R"(["layers.0.a","model.layers.1.a","re:model\\.layers\\.2\\.","re:layers\\.3\\."])"),
      R"(,"ignore":["model.lm_head"])");
  for (const char* module :
       {"model.layers.0.a", "layers.0.a", "language_model.model.layers.0.a", "layers.1.a",
        "model.language_model.layers.1.a", "layers.2.a", "model.layers.3.a"}) {
    EXPECT_TRUE(is_quantized(manifest, module)) << module;
  }
  EXPECT_FALSE(is_quantized(manifest, "lm_head"));
  EXPECT_FALSE(is_quantized(manifest, "model.layers.4.a"));
}

TEST(QuantManifestTest, ANameWinsOverAPatternAndAPatternOverAClass) {
  const std::string tensor = R"({"strategy":"tensor"})";
  const auto manifest =
      parse_groups(R"("a":)" + group(R"(["Linear"])", tensor) + R"(,"b":)" + group(R"(["re:.*up_proj"])") +
                   R"(,"c":)" + group(R"(["layers.7.up_proj"])", tensor));
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_EQ((*manifest->find("layers.0.down_proj"))->weight_strategy, WeightStrategy::kTensor);
  EXPECT_EQ((*manifest->find("layers.0.up_proj"))->weight_strategy, WeightStrategy::kChannel);
  EXPECT_EQ((*manifest->find("layers.7.up_proj"))->weight_strategy, WeightStrategy::kTensor);
}

TEST(QuantManifestTest, PresetsAndOlderConfigs) {
  EXPECT_TRUE(is_quantized(parse_groups(R"("W8A8":["Linear"])"), "x"));
  EXPECT_TRUE(is_quantized(parse_groups(R"("int8":["Linear"])"), "x"));
  expect_unsupported(parse_groups(R"("W4A16":["Linear"])"), "preset 'W4A16'");
  expect_unsupported(parse_groups(R"("NVFP4":["Linear"])"), "preset 'NVFP4'");
  // Status "frozen", sparsity_config, observers, actorder as a boolean; no version, no ignore.
  const auto old = parse(
      R"({"config_groups":{"group_0":{"targets":["Linear"],"input_activations":{"num_bits":8,"type":"int",
      "symmetric":true,"strategy":"token","dynamic":true,"group_size":null,"block_structure":null,"actorder":null,
      "observer":"memoryless","observer_kwargs":{}},"output_activations":null,"weights":{"num_bits":8,"strategy":"channel",
      "symmetric":true,"type":"int","dynamic":false,"actorder":false,"observer":"mse","observer_kwargs":{},"group_size":null,
      "block_structure":null}}},"format":"int-quantized","global_compression_ratio":1.24,"kv_cache_scheme":null,
      "quantization_status":"frozen","sparsity_config":{"format":"dense","global_sparsity":0.1,"sparsity_structure":"unstructured"},
      "a_new_key":[1,2]})");
  EXPECT_TRUE(is_quantized(old, "x"));
  const auto moved = QuantManifest::parse(
      *base::parse_json(
          R"({"compression_config":{"config_groups":{"W8A8":["Linear"]},"format":"naive-quantized"}})"),
      "config.json");
  EXPECT_TRUE(is_quantized(moved, "x"));
}

TEST(QuantManifestTest, GroupsMayCarryTheirFormat) {
  const std::string format = R"(,"format":"int-quantized")";
  EXPECT_TRUE(is_quantized(
      parse(R"({"quant_method":"compressed-tensors","format":"mixed-precision","config_groups":{"g":)" +
            group(R"(["Linear"])", kWeights, kInputs, format) + "}}"),
      "x"));
  expect_unsupported(
      parse(R"({"quant_method":"compressed-tensors","format":"mixed-precision","config_groups":{"g":)" +
            group() + "}}"),
      "format 'mixed-precision'");
}

TEST(QuantManifestTest, FloatGroupsStayFloat) {
  EXPECT_FALSE(is_quantized(
      parse_groups(R"("g":{"targets":["Linear"],"weights":null,"input_activations":null})"), "x"));
  EXPECT_FALSE(is_quantized(parse_groups(R"("UNQUANTIZED":["Linear"])"), "x"));
}

TEST(QuantManifestTest, WhatCannotRunIsNamed) {
  expect_unsupported(parse(R"({"quant_method":"gptq","bits":4})"), "quant_method 'gptq'");
  expect_unsupported(parse(R"({"quant_method":"awq","bits":4})"), "quant_method 'awq'");
  expect_unsupported(parse(R"({"bits":4})"), "quant_method ''");
  const auto weights = [](const char* args) {
    return parse_groups(R"("g":)" + group(R"(["Linear"])", args));
  };
  const auto inputs = [](const char* args) {
    return parse_groups(R"("g":)" + group(R"(["Linear"])", kWeights, args));
  };
  expect_unsupported(weights(R"({"num_bits":4,"strategy":"channel"})"), "weights: int4");
  expect_unsupported(weights(R"({"num_bits":8,"type":"float","strategy":"channel"})"), "float8");
  expect_unsupported(weights(R"({"num_bits":8,"symmetric":false,"strategy":"channel"})"),
                     "weights: asymmetric");
  expect_unsupported(weights(R"({"num_bits":8,"strategy":"group","group_size":128})"), "strategy 'group'");
  expect_unsupported(weights(R"({"num_bits":8,"group_size":64})"), "strategy 'group'");
  expect_unsupported(weights(R"({"num_bits":8,"strategy":"block"})"), "strategy 'block'");
  expect_unsupported(weights(R"({"num_bits":8,"strategy":"channel","mystery":1})"), "unknown key 'mystery'");
  expect_unsupported(inputs(R"({"num_bits":8,"strategy":"channel","dynamic":false})"),
                     "static strategy 'channel'");
  expect_unsupported(inputs(R"({"num_bits":8,"strategy":"token","dynamic":false})"),
                     "static strategy 'token'");
  expect_unsupported(inputs(R"({"num_bits":4,"strategy":"tensor","dynamic":false})"), "int4");
  expect_unsupported(inputs(R"({"num_bits":8,"strategy":"token","dynamic":true,"symmetric":false})"),
                     "input_activations: asymmetric");
  expect_unsupported(inputs(R"({"num_bits":8,"strategy":"tensor","dynamic":true})"),
                     "dynamic strategy 'tensor'");
  expect_unsupported(inputs(R"({"num_bits":8,"strategy":"token","dynamic":"local"})"), "local");
  expect_unsupported(inputs("null"), "inputs in float");
  const auto section = [](const std::string& more) { return parse_groups(R"("g":)" + group(), more); };
  expect_unsupported(section(R"(,"kv_cache_scheme":{"num_bits":8})"), "kv_cache_scheme");
  expect_unsupported(section(R"(,"quantization_status":"calibration")"), "'calibration'");
  expect_unsupported(section(R"(,"sparsity_config":{"format":"sparse-24-bitmask"})"), "sparse-24-bitmask");
  expect_unsupported(
      section(R"(,"transform_config":{"config_groups":{"R3":{"apply":[{"location":"q_attn"}]}}})"), "'R3'");
  EXPECT_TRUE(
      section(R"(,"transform_config":{"config_groups":{"R1":{"apply":[{"location":"weight_output"}]}}})")
          .ok());
  expect_unsupported(
      parse(R"({"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{"g":)" +
            group() + "}}"),
      "format 'pack-quantized'");
}

TEST(QuantManifestTest, WrongTypesAreNamed) {
  for (const char* section :
       {"3", "[]", "\"x\"", R"({"quant_method":3})", R"({"quant_method":"compressed-tensors"})",
        R"({"config_groups":[]})", R"({"config_groups":{"g":3}})", R"({"config_groups":{"g":{}}})",
        R"({"config_groups":{"g":{"targets":"Linear"}}})", R"({"config_groups":{"g":{"targets":[1]}}})",
        R"({"config_groups":{"g":{"targets":["Linear"],"weights":7}}})",
        R"({"config_groups":{"g":{"targets":["Linear"],"weights":{"num_bits":"8"}}}})",
        R"({"config_groups":{"W8A8":["re:("]}})", R"({"config_groups":{},"ignore":{}})",
        R"({"config_groups":{},"ignore":[null]})"}) {
    const auto manifest = parse(section);
    EXPECT_FALSE(manifest.ok()) << section;
    EXPECT_TRUE(contains(manifest.status().message(), "quantization_config")) << manifest.status().message();
  }
}

TEST(QuantManifestTest, PatternsThatRunAwayAreErrors) {
  const auto manifest = parse_groups(R"("g":)" + group(R"(["re:(a+)+$"])"));
  ASSERT_TRUE(manifest.ok());
  EXPECT_EQ(manifest->find(std::string(64, 'a') + "b").status().code(), StatusCode::kResourceExhausted);
}

TEST(CompressedTensorsConfigTest, WritesWhatItReads) {
  const std::vector<std::string> ignore = {"lm_head", "model.layers.0.mlp.down_proj"};
  const std::vector<QuantGroup> groups = {
      QuantGroup{}, QuantGroup{{"re:.*o_proj$"}, {.weight_strategy = WeightStrategy::kTensor}}};
  const auto section = compressed_tensors_config(groups, ignore);
  ASSERT_TRUE(section.ok()) << section.status().message();
  const auto manifest = parse(section->dump());
  EXPECT_TRUE(is_quantized(manifest, "model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(is_quantized(manifest, "model.layers.0.mlp.down_proj"));
  EXPECT_FALSE(is_quantized(manifest, "lm_head"));
  EXPECT_EQ((*manifest->find("model.layers.0.self_attn.o_proj"))->weight_strategy, WeightStrategy::kTensor);
}

TEST(CompressedTensorsConfigTest, StaticAndDynamicGroups) {
  const std::vector<QuantGroup> groups = {
      {{"re:.*self_attn.*"}, {.input = InputQuant::kStaticTensor, .input_symmetric = false}},
      {{"re:.*up_proj$"}, {.input = InputQuant::kStaticTensor}},
      {{"re:.*down_proj$"}, {}}};
  const auto section = compressed_tensors_config(groups, {});
  ASSERT_TRUE(section.ok()) << section.status().message();
  EXPECT_EQ(section->find("format")->as_string(), "int-quantized");
  const Json& first = *section->find("config_groups")->find("group_0");
  EXPECT_EQ(first.find("format")->as_string(), "int-quantized");
  const auto inputs = base::parse_json(R"({"num_bits": 8, "type": "int", "symmetric": false,
    "strategy": "tensor", "group_size": null, "block_structure": null, "dynamic": false, "actorder": null,
    "observer": "minmax", "observer_kwargs": {}})");
  EXPECT_EQ(first.find("input_activations")->dump(), inputs->dump());
  const auto manifest = parse(section->dump());
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_EQ((*manifest->find("model.layers.0.self_attn.q_proj")).value(), groups[0].quant);
  EXPECT_EQ((*manifest->find("model.layers.0.mlp.up_proj")).value(), groups[1].quant);
  EXPECT_EQ((*manifest->find("model.layers.0.mlp.down_proj")).value(), groups[2].quant);
  EXPECT_EQ(manifest->description(), "compressed-tensors w8a8 static and dynamic");
}

TEST(CompressedTensorsConfigTest, IsTheExactObject) {
  const std::vector<std::string> ignore = {"lm_head"};
  const QuantGroup one;
  const auto expected = base::parse_json(R"({
    "quant_method": "compressed-tensors", "version": "0.13.0", "format": "int-quantized",
    "quantization_status": "compressed", "global_compression_ratio": null, "kv_cache_scheme": null,
    "ignore": ["lm_head"], "sparsity_config": {}, "transform_config": {},
    "config_groups": {"group_0": {"targets": ["Linear"],
      "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel", "group_size": null,
        "block_structure": null, "dynamic": false, "actorder": null, "observer": "minmax", "observer_kwargs": {}},
      "input_activations": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "token", "group_size": null,
        "block_structure": null, "dynamic": true, "actorder": null, "observer": null, "observer_kwargs": {}},
      "output_activations": null}}})");
  ASSERT_TRUE(expected.ok());
  EXPECT_EQ(compressed_tensors_config(std::span(&one, 1), ignore)->dump(2), expected->dump(2));
}

TEST(CompressedTensorsConfigTest, RefusesWhatIsNotW8A8) {
  const auto code_of = [](LinearQuant quant) {
    const QuantGroup one{{"Linear"}, quant};
    return compressed_tensors_config(std::span(&one, 1), {}).status().code();
  };
  EXPECT_EQ(code_of({.weight_bits = 4}), StatusCode::kUnsupported);
  EXPECT_EQ(code_of({.weight_strategy = WeightStrategy::kGroup, .group_size = 128}),
            StatusCode::kUnsupported);
  EXPECT_EQ(code_of({.input = InputQuant::kNone}), StatusCode::kUnsupported);
  EXPECT_EQ(code_of({.input_symmetric = false}), StatusCode::kUnsupported);
  EXPECT_EQ(code_of({.weight_symmetric = false}), StatusCode::kUnsupported);
  EXPECT_EQ(code_of({}), StatusCode::kOk);
}

}  // namespace
}  // namespace octavo::format
