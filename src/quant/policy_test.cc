#include "quant/policy.h"

#include <gtest/gtest.h>

#include "quant/test_job.h"

namespace octavo::quant {
namespace {

model::ModelConfig golden_config() {  // three layers
  const std::string path = model::golden_path("qwen3-bf16-tied/config.json");
  return model::parse_model_config(base::read_json_file(path).value(), path).value();
}

Result<ModelPolicy> resolve(const std::string& recipe) {
  return resolve_policy(recipe_from(recipe), golden_config());
}

std::string refusal(const std::string& recipe) {
  const auto policy = resolve(recipe);
  EXPECT_FALSE(policy.ok()) << recipe;
  return policy.ok() ? "" : policy.status().message();
}

const LinearPolicy& of(const ModelPolicy& policy, size_t layer, model::LinearSlot slot) {
  return policy.layers[layer][static_cast<size_t>(slot)];
}

TEST(Policy, ByDefaultEveryLinearButLmHeadIsQuantized) {
  const auto policy = resolve("{}");
  ASSERT_TRUE(policy.ok()) << policy.status().message();
  EXPECT_EQ(policy->n_quantized, 21);
  EXPECT_EQ(policy->float_linear, (std::vector<std::string>{"lm_head"}));
  EXPECT_TRUE(policy->warnings.empty());
}

TEST(Policy, LmHeadStaysFloatWhateverTheRecipeSays) {
  for (const char* recipe :
       {R"({"ignore": []})", R"({"ignore": ["re:.*q_proj"]})", R"({"layers": {".*": {"smooth": false}}})",
        R"({"ignore": [], "layers": {".*": "w8a8"}})", R"({"layers": {".*k_proj|lm_head": "float"}})"}) {
    const auto policy = resolve(recipe);
    ASSERT_TRUE(policy.ok()) << recipe << ": " << policy.status().message();
    EXPECT_EQ(policy->float_linear.back(), "lm_head") << recipe;
    EXPECT_TRUE(policy->warnings.empty()) << recipe;
  }
  EXPECT_NE(refusal(R"({"layers": {".*": "float"}})").find("nothing to quantize"), std::string::npos);
}

TEST(Policy, NamesAndPatternsPickLinears) {
  const auto policy =
      resolve(R"({"ignore": ["lm_head", "model.layers.1.mlp.up_proj", "re:.*\\.2\\.mlp\\.down"],
      "layers": {"model\\.layers\\.0\\.self_attn": "float", ".*1\\.self_attn": {"smooth": false}}})");
  ASSERT_TRUE(policy.ok()) << policy.status().message();
  using enum model::LinearSlot;
  EXPECT_EQ(of(*policy, 0, kV).scheme, Scheme::kFloat);
  EXPECT_EQ(of(*policy, 0, kGate).scheme, Scheme::kW8A8);
  EXPECT_EQ(of(*policy, 1, kUp).scheme, Scheme::kFloat);
  EXPECT_EQ(of(*policy, 1, kO).scheme, Scheme::kW8A8);
  EXPECT_FALSE(of(*policy, 1, kO).smooth);
  EXPECT_TRUE(of(*policy, 2, kO).smooth);
  EXPECT_EQ(of(*policy, 2, kDown).scheme, Scheme::kFloat);
  EXPECT_EQ(policy->n_quantized, 21 - 6);
  EXPECT_EQ(policy->float_linear.front(), "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(policy->float_linear.back(), "lm_head");
}

TEST(Policy, TwoClaimsOnOneModuleAreBothNamed) {
  const std::string rules =
      refusal(R"({"layers": {".*up_proj": "float", "model\\.layers\\.1": {"smooth": false}}})");
  EXPECT_NE(rules.find("'.*up_proj'"), std::string::npos) << rules;
  EXPECT_NE(rules.find("'model\\.layers\\.1'"), std::string::npos) << rules;
  EXPECT_NE(rules.find("model.layers.1.mlp.up_proj"), std::string::npos) << rules;
  const std::string ignore =
      refusal(R"({"ignore": ["lm_head", "re:.*up_proj"], "layers": {".*up_proj": "w8a8"}})");
  EXPECT_NE(ignore.find("ignore entry 're:.*up_proj'"), std::string::npos) << ignore;
}

TEST(Policy, PatternsAreAnchoredAtTheBeginningOnly) {
  EXPECT_EQ(resolve(R"({"layers": {"layers\\.0": "float"}})")->warnings.size(), 1U);
  EXPECT_EQ(resolve(R"({"layers": {"model\\.layers\\.0": "float"}})")->n_quantized, 14);
}

TEST(Policy, WhatMatchesNothingIsAWarningWithTheNearestName) {
  const auto policy = resolve(R"({"ignore": ["lm_head", "model.layers.1.mlp.up_prj"]})");
  ASSERT_TRUE(policy.ok());
  ASSERT_EQ(policy->warnings.size(), 1U);
  EXPECT_NE(policy->warnings[0].find("did you mean 'model.layers.1.mlp.up_proj'?"), std::string::npos)
      << policy->warnings[0];
}

TEST(Policy, TheSmoothQuantPresetIsStaticButForDownProj) {
  const auto policy = resolve_policy(*load_recipe("w8a8-smoothquant"), golden_config());
  ASSERT_TRUE(policy.ok()) << policy.status().message();
  EXPECT_TRUE(policy->warnings.empty());
  EXPECT_EQ(policy->n_quantized, 21);
  EXPECT_EQ(policy->n_static, 18);
  EXPECT_TRUE(of(*policy, 1, model::LinearSlot::kO).has_static_input());
  EXPECT_FALSE(of(*policy, 1, model::LinearSlot::kDown).has_static_input());
}

TEST(Policy, LinearsThatReadOneInputAgreeOnIt) {
  const std::string attention =
      refusal(R"({"layers": {".*1\\.self_attn\\.k_proj": {"activations": "static"}}})");
  for (const char* part :
       {"model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj", "dynamic and static"})
    EXPECT_NE(attention.find(part), std::string::npos) << attention;
  const std::string mlp =
      refusal(R"({"activations": {"dynamic": false}, "layers": {".*up_proj": {"activations": "dynamic"}}})");
  EXPECT_NE(mlp.find("'model.layers.0.mlp.gate_proj' and 'model.layers.0.mlp.up_proj'"), std::string::npos)
      << mlp;
  const std::string strength =
      refusal(R"({"smooth": {"rule": "fixed"}, "layers": {".*v_proj": {"strength": 0.7}}})");
  EXPECT_NE(strength.find("one strength"), std::string::npos) << strength;
  // A float one reads no codes; o and down read alone.
  for (
      const char* recipe :
      {R"({"activations": {"dynamic": false}, "layers": {".*up_proj": "float", ".*down_proj": {"activations": "dynamic"}}})",
       R"({"smooth": {"rule": "fixed"}, "layers": {".*[qkv]_proj": {"strength": 0.7}}})"}) {
    EXPECT_TRUE(resolve(recipe).ok()) << recipe;
  }
}

TEST(Policy, AStaticInputTooWideForExactSumsIsRefused) {
  model::ModelConfig config = golden_config();
  config.d_ff = 65'001;
  const auto refused = resolve_policy(recipe_from(R"({"activations": {"dynamic": false}})"), config);
  EXPECT_EQ(refused.status().code(), StatusCode::kUnsupported);
  EXPECT_NE(refused.status().message().find("down_proj"), std::string::npos) << refused.status().message();
  EXPECT_TRUE(resolve_policy(*load_recipe("w8a8-smoothquant"), config).ok());
}

TEST(Policy, WhatCannotBeDoneIsRefused) {
  EXPECT_NE(refusal(R"({"layers": {"lm_head": "w8a8"}})").find("lm_head"), std::string::npos);
  EXPECT_NE(refusal(R"({"layers": {"model": "float"}})").find("nothing to quantize"), std::string::npos);
}

}  // namespace
}  // namespace octavo::quant
