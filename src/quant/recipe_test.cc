#include "quant/recipe.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/yaml.h"

namespace octavo::quant {
namespace {

Result<Recipe> parse(std::string_view yaml) {
  auto tree = base::parse_yaml(yaml);
  EXPECT_TRUE(tree.ok()) << tree.status().message();
  return tree.ok() ? parse_recipe(*tree, "r.yaml") : tree.status();
}

std::string refusal(std::string_view yaml) {
  const auto recipe = parse(yaml);
  EXPECT_FALSE(recipe.ok()) << yaml;
  return recipe.ok() ? "" : recipe.status().message();
}

void expect_has(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
}

TEST(Recipe, Presets) {
  EXPECT_EQ(preset_names(), (std::vector<std::string>{"w8a8", "rtn-w8a8", "w8a8-smoothquant"}));
  const auto w8a8 = load_recipe("w8a8");
  ASSERT_TRUE(w8a8.ok());
  EXPECT_TRUE(w8a8->needs_calibration());
  EXPECT_EQ(w8a8->ignore, (std::vector<std::string>{"lm_head"}));
  EXPECT_GE(w8a8->strengths.size(), 2U);
  const auto rtn = load_recipe("rtn-w8a8");
  ASSERT_TRUE(rtn.ok());
  EXPECT_FALSE(rtn->needs_calibration());
}

TEST(Recipe, TheSmoothQuantPresetIsStaticButForDownProj) {
  const auto recipe = load_recipe("w8a8-smoothquant");
  ASSERT_TRUE(recipe.ok());
  EXPECT_EQ(recipe->activations, Activations::kStatic);
  EXPECT_EQ(recipe->rule, SmoothRule::kFixed);
  EXPECT_EQ(recipe->strengths, (std::vector<double>{0.5}));
  EXPECT_EQ(recipe->smooth, (std::array{true, true, true, false}));
  ASSERT_EQ(recipe->layers.size(), 1U);
  EXPECT_EQ(recipe->layers[0].policy.activations, Activations::kDynamic);
  EXPECT_FALSE(recipe->layers[0].policy.smooth);
  // As docs/RECIPES.md spells it out.
  const auto spelt = parse(R"(
name: w8a8-smoothquant
activations: {strategy: tensor, dynamic: false, symmetric: false}
smooth: {up_down: false, rule: fixed, strengths: [0.5]}
layers:
  .*\.mlp\.down_proj$: {activations: dynamic, smooth: false}
)");
  ASSERT_TRUE(spelt.ok()) << spelt.status().message();
  EXPECT_EQ(spelt->to_json(), recipe->to_json());
}

TEST(Recipe, ActivationsAreDynamicOrStatic) {
  const auto kind = [](const std::string& activations) {
    const auto recipe = parse("smooth: false\nactivations: " + activations);
    EXPECT_TRUE(recipe.ok()) << recipe.status().message();
    return recipe.ok() ? recipe->activations : Activations::kDynamic;
  };
  EXPECT_EQ(kind("{bits: 8}"), Activations::kDynamic);
  EXPECT_EQ(kind("{strategy: token, symmetric: true}"), Activations::kDynamic);
  EXPECT_EQ(kind("{strategy: tensor}"), Activations::kStatic);
  EXPECT_EQ(kind("{dynamic: false}"), Activations::kStatic);
  EXPECT_EQ(kind("{bits: 8, type: int, strategy: tensor, dynamic: false, symmetric: false}"),
            Activations::kStatic);
  expect_has(refusal("activations: {strategy: tensor, dynamic: true}"), "activations (dynamic).strategy");
  expect_has(refusal("activations: {strategy: token, dynamic: false}"), "activations (static).strategy");
  expect_has(refusal("activations: {dynamic: false, symmetric: true}"), "activations (static).symmetric");
  expect_has(refusal("activations: {symmetric: false}"), "activations (dynamic).symmetric");
}

TEST(Recipe, AStrengthWithoutEffectIsRefused) {
  const std::string fixed = "smooth: {rule: fixed}\nlayers: {'.*o_proj': ";
  expect_has(refusal(fixed + "{smooth: false, strength: 0.3}}"), ".strength: has no effect");
  expect_has(refusal(fixed + "{scheme: float, strength: 0.3}}"), ".strength: has no effect");
}

TEST(Recipe, StaticActivationsNeedCalibration) {
  EXPECT_TRUE(parse("{smooth: false, activations: {dynamic: false}}")->needs_calibration());
  EXPECT_TRUE(parse("{smooth: false, layers: {'.*o_proj': {activations: static}}}")->needs_calibration());
  EXPECT_FALSE(parse("{smooth: false, layers: {'.*o_proj': {scheme: float, activations: static}}}")
                   ->needs_calibration());
}

TEST(Recipe, AFixedStrengthIsOneNumber) {
  const auto recipe = parse("smooth: {rule: fixed}");
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->strengths, (std::vector<double>{0.5}));
  EXPECT_EQ(parse("smooth: {rule: fixed, strengths: [0.8]}")->strengths, (std::vector<double>{0.8}));
  EXPECT_EQ(parse("smooth: {rule: search, strengths: [0.8]}")->rule, SmoothRule::kSearch);
  expect_has(refusal("smooth: {rule: fixed, strengths: [0.5, 0.8]}"), "one strength");
  expect_has(refusal("smooth: {rule: fixed, strengths: search}"), "one strength");
  expect_has(refusal("smooth: {rule: fxied}"), "did you mean 'fixed'?");
}

TEST(Recipe, RulesHaveActivationsAndStrengths) {
  const auto recipe = parse(R"(
smooth: {rule: fixed}
activations: {dynamic: false}
layers:
  'a': {smooth: false}
  'b': {activations: dynamic, strength: 0.7}
)");
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->layers[0].policy.activations, Activations::kStatic);  // the recipe's
  EXPECT_EQ(recipe->layers[1].policy.activations, Activations::kDynamic);
  EXPECT_EQ(recipe->layers[1].policy.strength, 0.7);
  EXPECT_EQ(parse_recipe(recipe->to_json(), "again")->to_json(), recipe->to_json());
  expect_has(refusal("layers: {x: {activations: statik}}"), "did you mean 'static'?");
  expect_has(refusal("layers: {x: {strength: 0.7}}"), "smooth.rule: fixed");
  expect_has(refusal("{smooth: {rule: fixed}, layers: {x: {strength: 7}}}"), "from 0 to 1");
}

TEST(Recipe, TextIsJsonOrYaml) {
  for (const char* text : {R"({"smooth": false, "layers": {"model\\.layers": "w8a8"}})", "smooth: false",
                           "{smooth: false, layers: {'x': float}}"}) {
    const auto recipe = parse_recipe_text(text);
    ASSERT_TRUE(recipe.ok()) << recipe.status().message();
    EXPECT_EQ(recipe->name, "recipe_text");
    EXPECT_FALSE(recipe->smooths(SmoothGroup::kVO));
  }
  EXPECT_EQ(parse_recipe_text(R"({"name": "é"})")->name, "é");
  expect_has(parse_recipe_text("smoth: false").status().message(), "recipe_text");
  expect_has(parse_recipe_text("{smooth: [").status().message(), "recipe_text");
}

TEST(Recipe, MisspeltPresetGetsTheNearest) {
  const auto recipe = load_recipe("w8a9");
  ASSERT_FALSE(recipe.ok());
  EXPECT_EQ(recipe.status().code(), StatusCode::kNotFound);
  expect_has(recipe.status().message(), "did you mean 'w8a8'?");
}

TEST(Recipe, AnEmptyMappingIsTheDefaultPreset) {
  const auto recipe = parse("name: mine");
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  const auto preset = load_recipe("w8a8");
  EXPECT_EQ(recipe->smooth, preset->smooth);
  EXPECT_EQ(recipe->strengths, preset->strengths);
  EXPECT_EQ(recipe->ignore, preset->ignore);
}

TEST(Recipe, EveryKeyIsRead) {
  const auto recipe = parse(R"(
name: careful
weights: {bits: 8, type: int, strategy: channel, symmetric: true}
activations: {bits: 8, dynamic: true, strategy: token}
smooth: {norm_qkv: true, norm_mlp: false, v_o: true, up_down: false, strengths: [0.5, 0.75]}
ignore: [lm_head, "re:.*down_proj"]
layers:
  'model\.layers\.0\.self_attn\..*': float
  'model\.layers\.1\.mlp\..*': {scheme: w8a8, smooth: false}
)");
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->name, "careful");
  EXPECT_TRUE(recipe->smooths(SmoothGroup::kNormQkv));
  EXPECT_FALSE(recipe->smooths(SmoothGroup::kNormMlp));
  EXPECT_TRUE(recipe->smooths(SmoothGroup::kVO));
  EXPECT_FALSE(recipe->smooths(SmoothGroup::kUpDown));
  EXPECT_EQ(recipe->strengths, (std::vector<double>{0.5, 0.75}));
  EXPECT_EQ(recipe->ignore.size(), 2U);
  ASSERT_EQ(recipe->layers.size(), 2U);
  EXPECT_EQ(recipe->layers[0].policy.scheme, Scheme::kFloat);
  EXPECT_EQ(recipe->layers[1].policy.scheme, Scheme::kW8A8);
  EXPECT_FALSE(recipe->layers[1].policy.smooth);
}

TEST(Recipe, ItsJsonReadsBackAsItself) {
  const auto recipe = parse(R"(
smooth: {v_o: false, strengths: [0.5]}
layers: {'a.*': float, 'b.*': {smooth: false}}
)");
  ASSERT_TRUE(recipe.ok());
  const auto again = parse_recipe(recipe->to_json(), "again");
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->to_json(), recipe->to_json());
  EXPECT_FALSE(again->smooths(SmoothGroup::kVO));
  EXPECT_EQ(again->layers.size(), 2U);
}

TEST(Recipe, UnknownKeysAreNamedWithTheNearest) {
  expect_has(refusal("smoth: true"), "did you mean 'smooth'?");
  expect_has(refusal("smooth: {norm_qvk: true}"), "did you mean 'norm_qkv'?");
  expect_has(refusal("weights: {bit: 8}"), "did you mean 'bits'?");
  expect_has(refusal("activations: {dinamic: true}"), "did you mean 'dynamic'?");
  expect_has(refusal("layers: {x: {smoth: false}}"), "did you mean 'smooth'?");
  expect_has(refusal("layers: {x: flaot}"), "did you mean 'float'?");
  expect_has(refusal("zzz: 1"), "known keys: name, weights");
}

TEST(Recipe, ValuesThatCannotBeCarriedOutAreNamed) {
  expect_has(refusal("weights: {bits: 4}"), "weights.bits: found '4'; only 8");
  expect_has(refusal("weights: {strategy: group}"), "weights.strategy");
  expect_has(refusal("activations: {strategy: channel}"), "activations (dynamic).strategy");
  expect_has(refusal("activations: {bits: 4}"), "activations.bits");
  EXPECT_EQ(parse("weights: {bits: 4}").status().code(), StatusCode::kUnsupported);
}

TEST(Recipe, WrongShapesAreNamed) {
  expect_has(refusal("[1, 2]"), "expected a mapping");
  expect_has(refusal("smooth: 3"), "smooth");
  expect_has(refusal("smooth: {v_o: maybe}"), "smooth.v_o");
  expect_has(refusal("smooth: {strengths: 0.5}"), "smooth.strengths");
  expect_has(refusal("smooth: {strengths: []}"), "smooth.strengths");
  expect_has(refusal("smooth: {strengths: [1.5]}"), "from 0 to 1");
  expect_has(refusal("ignore: lm_head"), "ignore");
  expect_has(refusal("ignore: [1]"), "ignore");
  expect_has(refusal("layers: [a]"), "layers");
  expect_has(refusal("layers: {x: 1}"), "layers");
}

TEST(Recipe, ABrokenPatternIsNamedWithFileAndKey) {
  expect_has(refusal("layers: {'a(b': float}"), "r.yaml: layers['a(b']");
  expect_has(refusal("ignore: [lm_head, 're:a(b']"), "r.yaml: ignore");
  expect_has(refusal("ignore: [lm_head, 're:a(b']"), "a(b");
}

TEST(Recipe, FilesAreReadByTheirName) {
  for (const char* text : {"name:\nsmooth: false", "name: ''"}) {
    EXPECT_EQ(parse(text)->name, "r") << text;
  }
  const std::string path = testing::TempDir() + "/recipe_test.yaml";
  ASSERT_TRUE(base::write_file_atomic(path, "smooth: false\n").ok());
  const auto recipe = load_recipe(path);
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->name, "recipe_test");
  EXPECT_FALSE(recipe->needs_calibration());
}

}  // namespace
}  // namespace octavo::quant
