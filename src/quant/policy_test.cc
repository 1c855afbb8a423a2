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

TEST(Policy, WhatCannotBeDoneIsRefused) {
  EXPECT_NE(refusal(R"({"layers": {"lm_head": "w8a8"}})").find("lm_head"), std::string::npos);
  EXPECT_NE(refusal(R"({"layers": {"model": "float"}})").find("nothing to quantize"), std::string::npos);
}

}  // namespace
}  // namespace octavo::quant
