#include "quant/manifest.h"

#include <gtest/gtest.h>

#include "model/arch/arch_spec.h"
#include "quant/test_job.h"

namespace octavo::quant {
namespace {

using model::golden_path;
using model::TempFolder;
using model::TestCheckpoint;

model::ModelConfig golden_config() {  // three layers
  const std::string path = golden_path("qwen3-bf16-tied/config.json");
  return model::parse_model_config(base::read_json_file(path).value(), path).value();
}

std::vector<format::QuantGroup> groups_of(const Recipe& recipe) {
  const model::ModelConfig config = golden_config();
  return quant_groups(config, resolve_policy(recipe, config).value());
}

// What a reader finds for every linear must be what the policy says.
void expect_read_back(const Recipe& recipe) {
  const model::ModelConfig config = golden_config();
  const ModelPolicy policy = resolve_policy(recipe, config).value();
  base::Json tree;
  tree.set("quantization_config",
           format::compressed_tensors_config(quant_groups(config, policy), policy.float_linear).value());
  const auto manifest = format::QuantManifest::parse(tree, "config.json");
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  for (size_t layer = 0; layer < policy.layers.size(); ++layer) {
    for (size_t slot = 0; slot < policy.layers[layer].size(); ++slot) {
      const std::string module =
          model::linear_name(*config.arch, static_cast<int64_t>(layer), static_cast<model::LinearSlot>(slot));
      const LinearPolicy& expected = policy.layers[layer][slot];
      const auto found = manifest->find(module).value();
      ASSERT_EQ(found.has_value(), expected.scheme == Scheme::kW8A8) << module;
      if (!found) continue;
      EXPECT_EQ(found->input == format::InputQuant::kStaticTensor, expected.has_static_input()) << module;
      EXPECT_EQ(found->input_symmetric, !expected.has_static_input()) << module;
    }
  }
}

TEST(QuantGroups, OneKindOfInputIsOneGroupOfAllLinears) {
  for (const char* recipe :
       {"{}", R"({"activations": {"dynamic": false}, "layers": {".*k_proj": "float"}})"}) {
    const auto groups = groups_of(recipe_from(recipe));
    ASSERT_EQ(groups.size(), 1U);
    EXPECT_EQ(groups[0].targets, std::vector<std::string>{"Linear"});
    expect_read_back(recipe_from(recipe));
  }
}

// With two groups no linear may be matched by its class: vLLM's fused q, k, v would be, before their names.
TEST(QuantGroups, TwoKindsAreTwoGroupsOfPatterns) {
  const auto groups = groups_of(*load_recipe("w8a8-smoothquant"));
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].quant.input, format::InputQuant::kStaticTensor);
  EXPECT_EQ(groups[0].targets.size(), 6U);
  EXPECT_EQ(groups[0].targets[0], R"(re:.*\.self_attn\.q_proj$)");
  EXPECT_EQ(groups[1].targets, std::vector<std::string>{R"(re:.*\.mlp\.down_proj$)"});
  expect_read_back(*load_recipe("w8a8-smoothquant"));
}

TEST(QuantGroups, ALinearThatDiffersFromLayerToLayerIsNamed) {
  const Recipe recipe = recipe_from(R"({"activations": {"dynamic": false}, "layers": {
      ".*1\\.self_attn\\.o_proj": {"activations": "dynamic"}, ".*2\\.mlp": {"activations": "dynamic"},
      ".*0\\.self_attn\\.q": "float"}})");
  const auto groups = groups_of(recipe);
  ASSERT_EQ(groups.size(), 2U);
  const auto& names = groups[1].targets;
  EXPECT_NE(std::find(names.begin(), names.end(), "model.layers.1.self_attn.o_proj"), names.end());
  expect_read_back(recipe);
}

TEST(WriteManifest, GoldenStickHasATagForEveryTensorAndTheSourcesConfig) {
  const TempFolder folder;
  Job job =
      make_job(golden_path("qwen3-bf16-tied"), folder.path() + "/out", *load_recipe("w8a8-smoothquant"));
  job.layout = QuantLayout::kGoldenStick;
  const auto outcome = run_job(job);
  ASSERT_TRUE(outcome.ok()) << outcome.status().message();
  EXPECT_EQ(base::read_file(job.target + "/config.json").value(),
            base::read_file(job.source + "/config.json").value());
  EXPECT_TRUE(base::path_exists(job.target + "/quant-model-00001-of-00001.safetensors"));
  const base::Json index = base::read_json_file(job.target + "/model.safetensors.index.json").value();
  const base::Json tags = base::read_json_file(job.target + "/quantization_description.json").value();
  const auto file =
      format::SafetensorsFile::open(job.target + "/quant-model-00001-of-00001.safetensors").value();
  EXPECT_EQ(tags.as_object().size(), file.tensors().size());
  EXPECT_EQ(index.find("weight_map")->as_object().size(), file.tensors().size());
  const auto tag = [&](const std::string& tensor) {
    return tags.find("model.layers.1." + tensor)->as_string();
  };
  for (const char* tensor :
       {"weight", "weight_scale", "weight_offset", "input_scale", "input_offset", "deq_scale", "quant_bias"})
    EXPECT_EQ(tag(std::string("self_attn.o_proj.") + tensor), "W8A8") << tensor;
  for (const char* tensor : {"weight", "weight_scale", "weight_offset"})
    EXPECT_EQ(tag(std::string("mlp.down_proj.") + tensor), "W8A8_DYNAMIC") << tensor;
  EXPECT_EQ(tags.find("model.layers.1.mlp.down_proj.input_scale"), nullptr);
  EXPECT_EQ(tag("input_layernorm.weight"), "FLOAT");
  EXPECT_EQ(tags.find("model.embed_tokens.weight")->as_string(), "FLOAT");
}

}  // namespace
}  // namespace octavo::quant
