// Recipes: presets and files become one checked structure. A file is read strictly: every key must be known,
// every value one that Octavo can carry out; nothing is ignored in silence. Called by api/quantize.cc.
#include "quant/recipe.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>

#include "base/file.h"
#include "base/regex.h"
#include "base/text_format.h"
#include "base/yaml.h"

namespace octavo::quant {
namespace {

using base::Json;

// Strengths tried when a recipe asks for a search: below 0.3 the activations keep their outliers, above 0.9
// the weights take them over whole.
constexpr double kSearchStrengths[] = {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
constexpr size_t kMaxStrengths = 64;
constexpr size_t kMaxRules = 1000;

// A recipe is a page of text; a megabyte of one is a mistaken path.
constexpr base::JsonLimits kLimits = {.max_bytes = 1 << 20, .max_depth = 8, .max_nodes = 20'000};

constexpr double kFixedStrength = 0.5;  // the paper's, and Golden Stick's
constexpr std::array<const char*, 3> kPresets = {"w8a8", "rtn-w8a8", "w8a8-smoothquant"};

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string near = base::nearest(word, candidates);
  return near.empty() ? "" : "; did you mean " + base::quoted(near) + "?";
}

std::string listed(std::span<const std::string> names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Status check_object(const Json& tree, const std::string& where, const std::vector<std::string>& keys) {
  if (!tree.is_object()) {
    return invalid_argument(where + ": expected a mapping with " + listed(keys) + ", found " +
                            tree.type_name());
  }
  for (const auto& [key, value] : tree.as_object()) {
    bool known = false;
    for (const std::string& candidate : keys) known = known || key == candidate;
    if (known) continue;
    std::string hint = did_you_mean(key, keys);
    if (hint.empty()) hint = "; known keys: " + listed(keys);
    return invalid_argument(where + ": unknown key " + base::quoted(key) + hint);
  }
  return {};
}

// The value of `key`, when given, must be `expected`: the only one that Octavo has so far.
Status expect_only(const Json& tree, const std::string& where, std::string_view key, const Json& expected) {
  const Json* value = tree.find(key);
  if (value == nullptr || value->is_null() || *value == expected) return {};
  return unsupported(where + "." + std::string(key) + ": found " + base::quoted(value->dump()) + "; only " +
                     expected.dump() + " is supported");
}

Result<bool> read_flag(const Json& tree, const std::string& where, std::string_view key, bool fallback) {
  const Json* value = tree.find(key);
  if (value == nullptr || value->is_null()) return fallback;
  if (value->is_bool()) return value->as_bool();
  return invalid_argument(where + "." + std::string(key) + ": expected true or false, found " +
                          base::quoted(value->dump()));
}

// Which of two words a value is: false for the first.
Result<bool> read_choice(const Json& value, const std::string& where, const std::vector<std::string>& words) {
  const std::string found = value.is_string() ? value.as_string() : value.dump();
  for (size_t i = 0; i < words.size(); ++i) {
    if (found == words[i]) return i == 1;
  }
  return invalid_argument(where + ": expected " + words[0] + " or " + words[1] + ", found " +
                          base::quoted(found) + did_you_mean(found, words));
}

Status check_weights(const Json& tree, const std::string& origin) {
  if (const Json* weights = tree.find("weights")) {
    const std::string where = origin + ": weights";
    OCTAVO_RETURN_IF_ERROR(check_object(*weights, where, {"bits", "type", "strategy", "symmetric"}));
    OCTAVO_RETURN_IF_ERROR(expect_only(*weights, where, "bits", 8));
    OCTAVO_RETURN_IF_ERROR(expect_only(*weights, where, "type", "int"));
    OCTAVO_RETURN_IF_ERROR(expect_only(*weights, where, "strategy", "channel"));
    OCTAVO_RETURN_IF_ERROR(expect_only(*weights, where, "symmetric", true));
  }
  return {};
}

// {strategy: token, dynamic: true, symmetric: true} or {strategy: tensor, dynamic: false, symmetric: false};
// what is not given follows from what is.
Result<Activations> read_activations(const Json& section, const std::string& where) {
  OCTAVO_RETURN_IF_ERROR(check_object(section, where, {"bits", "type", "strategy", "symmetric", "dynamic"}));
  OCTAVO_RETURN_IF_ERROR(expect_only(section, where, "bits", 8));
  OCTAVO_RETURN_IF_ERROR(expect_only(section, where, "type", "int"));
  const Json* strategy = section.find("strategy");
  const bool per_tensor = strategy != nullptr && *strategy == Json("tensor");
  OCTAVO_ASSIGN_OR_RETURN(const bool dynamic, read_flag(section, where, "dynamic", !per_tensor));
  const std::string kind = where + (dynamic ? " (dynamic)" : " (static)");
  OCTAVO_RETURN_IF_ERROR(expect_only(section, kind, "strategy", dynamic ? "token" : "tensor"));
  OCTAVO_RETURN_IF_ERROR(expect_only(section, kind, "symmetric", dynamic));
  return dynamic ? Activations::kDynamic : Activations::kStatic;
}

Result<double> read_strength(const Json& value, const std::string& where) {
  if (value.is_number() && value.as_double() >= 0 && value.as_double() <= 1) return value.as_double();
  return invalid_argument(where + ": expected numbers from 0 to 1, found " + base::quoted(value.dump()));
}

Status read_strengths(const Json& value, const std::string& where, Recipe& recipe) {
  if (value.is_string() && value.as_string() == "search") return {};
  if (!value.is_array() || value.as_array().empty()) {
    return invalid_argument(where + ": expected \"search\" or a list of numbers such as [0.5, 0.8], found " +
                            base::quoted(value.dump()));
  }
  if (value.as_array().size() > kMaxStrengths) {
    return invalid_argument(where + ": " + std::to_string(value.as_array().size()) + " strengths, at most " +
                            std::to_string(kMaxStrengths));
  }
  recipe.strengths.clear();
  for (const Json& item : value.as_array()) {
    OCTAVO_ASSIGN_OR_RETURN(const double strength, read_strength(item, where));
    recipe.strengths.push_back(strength);
  }
  return {};
}

Status read_smooth(const Json& value, const std::string& origin, Recipe& recipe) {
  if (value.is_bool()) {
    recipe.smooth.fill(value.as_bool());
    return {};
  }
  const std::string where = origin + ": smooth";
  std::vector<std::string> keys;
  for (const SmoothGroup group : kSmoothGroups) keys.emplace_back(smooth_group_name(group));
  keys.emplace_back("rule");
  keys.emplace_back("strengths");
  OCTAVO_RETURN_IF_ERROR(check_object(value, where, keys));
  for (const SmoothGroup group : kSmoothGroups) {
    OCTAVO_ASSIGN_OR_RETURN(recipe.smooth[static_cast<size_t>(group)],
                            read_flag(value, where, smooth_group_name(group), true));
  }
  if (const Json* rule = value.find("rule")) {
    OCTAVO_ASSIGN_OR_RETURN(const bool fixed, read_choice(*rule, where + ".rule", {"search", "fixed"}));
    if (fixed) {
      recipe.rule = SmoothRule::kFixed;
      recipe.strengths = {kFixedStrength};
    }
  }
  const Json* strengths = value.find("strengths");
  if (strengths == nullptr) return {};
  OCTAVO_RETURN_IF_ERROR(read_strengths(*strengths, where + ".strengths", recipe));
  if (recipe.rule == SmoothRule::kFixed && (!strengths->is_array() || recipe.strengths.size() != 1)) {
    return invalid_argument(where + ".strengths: rule fixed has one strength, such as [0.5], found " +
                            base::quoted(strengths->dump()));
  }
  return {};
}

Result<Scheme> read_scheme(const Json& value, const std::string& where) {
  OCTAVO_ASSIGN_OR_RETURN(const bool w8a8, read_choice(value, where + ", scheme", {"float", "w8a8"}));
  return w8a8 ? Scheme::kW8A8 : Scheme::kFloat;
}

Status read_policy(const Json& policy, const std::string& where, const Recipe& recipe, LinearPolicy& to) {
  OCTAVO_RETURN_IF_ERROR(check_object(policy, where, {"scheme", "smooth", "activations", "strength"}));
  if (const Json* scheme = policy.find("scheme")) {
    OCTAVO_ASSIGN_OR_RETURN(to.scheme, read_scheme(*scheme, where));
  }
  OCTAVO_ASSIGN_OR_RETURN(to.smooth, read_flag(policy, where, "smooth", true));
  if (const Json* activations = policy.find("activations")) {
    OCTAVO_ASSIGN_OR_RETURN(const bool is_static,
                            read_choice(*activations, where + ".activations", {"dynamic", "static"}));
    to.activations = is_static ? Activations::kStatic : Activations::kDynamic;
  }
  const Json* strength = policy.find("strength");
  if (strength == nullptr || strength->is_null()) return {};
  if (recipe.rule != SmoothRule::kFixed) {
    return invalid_argument(where + ".strength: a search finds its own; it is for smooth.rule: fixed");
  }
  if (!to.smooth || to.scheme == Scheme::kFloat) {
    return invalid_argument(where + ".strength: has no effect where smooth is false or the linear is float");
  }
  OCTAVO_ASSIGN_OR_RETURN(to.strength, read_strength(*strength, where + ".strength"));
  return {};
}

Status check_pattern(std::string_view pattern, const std::string& where) {
  return base::Regex::compile(pattern).status().with_context(where);
}

Status read_layers(const Json& value, const std::string& origin, Recipe& recipe) {
  const std::string where = origin + ": layers";
  if (!value.is_object()) {
    return invalid_argument(where + ": expected a mapping from a pattern to a policy, found " +
                            value.type_name());
  }
  if (value.as_object().size() > kMaxRules) {
    return invalid_argument(where + ": more than " + std::to_string(kMaxRules) + " rules");
  }
  for (const auto& [pattern, policy] : value.as_object()) {
    const std::string at = where + "[" + base::quoted(pattern) + "]";
    LayerRule rule{.pattern = pattern.starts_with("re:") ? pattern.substr(3) : pattern,
                   .policy = {.activations = recipe.activations}};
    OCTAVO_RETURN_IF_ERROR(check_pattern(rule.pattern, at));
    if (policy.is_string()) {
      OCTAVO_ASSIGN_OR_RETURN(rule.policy.scheme, read_scheme(policy, at));
    } else {
      OCTAVO_RETURN_IF_ERROR(read_policy(policy, at, recipe, rule.policy));
    }
    recipe.layers.push_back(std::move(rule));
  }
  return {};
}

Status read_ignore(const Json& value, const std::string& origin, Recipe& recipe) {
  const std::string where = origin + ": ignore";
  if (!value.is_array() || value.as_array().size() > kMaxRules) {
    return invalid_argument(where + ": expected a list of at most " + std::to_string(kMaxRules) +
                            " module names or \"re:\" patterns, found " + value.type_name());
  }
  recipe.ignore.clear();
  for (const Json& item : value.as_array()) {
    if (!item.is_string() || item.as_string().empty()) {
      return invalid_argument(where + ": expected module names, found " + base::quoted(item.dump()));
    }
    const std::string& entry = item.as_string();
    if (entry.starts_with("re:")) {
      OCTAVO_RETURN_IF_ERROR(check_pattern(std::string_view(entry).substr(3), where));
    }
    recipe.ignore.push_back(entry);
  }
  return {};
}

Recipe preset_recipe(std::string_view name) {
  Recipe recipe;
  recipe.name = name;
  recipe.smooth.fill(name != "rtn-w8a8");
  recipe.strengths.assign(std::begin(kSearchStrengths), std::end(kSearchStrengths));
  recipe.ignore = {"lm_head"};
  if (name == "w8a8-smoothquant") {
    recipe.activations = Activations::kStatic;
    recipe.smooth[static_cast<size_t>(SmoothGroup::kUpDown)] = false;
    recipe.rule = SmoothRule::kFixed;
    recipe.strengths = {kFixedStrength};
    // silu(gate) * up has the longest tails of a block: one scale for all tokens would waste most of 8 bits.
    recipe.layers = {{.pattern = R"(.*\.mlp\.down_proj$)", .policy = {.smooth = false}}};
  }
  return recipe;
}

Json activations_json(Activations activations) {
  const bool dynamic = activations == Activations::kDynamic;
  return base::JsonObject{{"bits", 8},
                          {"type", "int"},
                          {"strategy", dynamic ? "token" : "tensor"},
                          {"dynamic", dynamic},
                          {"symmetric", dynamic}};
}

Json policy_json(const LinearPolicy& policy) {
  Json tree = base::JsonObject{{"scheme", policy.scheme == Scheme::kFloat ? "float" : "w8a8"},
                               {"smooth", policy.smooth},
                               {"activations", activations_name(policy.activations)}};
  if (policy.strength) tree.set("strength", *policy.strength);
  return tree;
}

}  // namespace

const char* activations_name(Activations activations) {
  return activations == Activations::kDynamic ? "dynamic" : "static";
}

const char* smooth_group_name(SmoothGroup group) {
  switch (group) {
    case SmoothGroup::kNormQkv:
      return "norm_qkv";
    case SmoothGroup::kVO:
      return "v_o";
    case SmoothGroup::kNormMlp:
      return "norm_mlp";
    case SmoothGroup::kUpDown:
      return "up_down";
  }
  return "";
}

bool Recipe::needs_calibration() const {
  const auto is_static = [](const LayerRule& layer) { return layer.policy.has_static_input(); };
  return std::find(smooth.begin(), smooth.end(), true) != smooth.end() ||
         activations == Activations::kStatic || std::any_of(layers.begin(), layers.end(), is_static);
}

Json Recipe::to_json() const {
  Json tree;
  tree.set("name", name);
  tree.set("weights", base::JsonObject{{"bits", 8}, {"type", "int"}, {"strategy", "channel"}});
  tree.set("activations", activations_json(activations));
  Json smoothing;
  for (const SmoothGroup group : kSmoothGroups) smoothing.set(smooth_group_name(group), smooths(group));
  smoothing.set("rule", rule == SmoothRule::kFixed ? "fixed" : "search");
  smoothing.set("strengths", base::JsonArray(strengths.begin(), strengths.end()));
  tree.set("smooth", std::move(smoothing));
  tree.set("ignore", base::JsonArray(ignore.begin(), ignore.end()));
  Json rules = base::JsonObject{};
  for (const LayerRule& layer : layers) rules.set(layer.pattern, policy_json(layer.policy));
  tree.set("layers", std::move(rules));
  return tree;
}

std::vector<std::string> preset_names() { return {kPresets.begin(), kPresets.end()}; }

Result<Recipe> parse_recipe(const Json& tree, const std::string& origin) {
  OCTAVO_RETURN_IF_ERROR(
      check_object(tree, origin, {"name", "weights", "activations", "smooth", "ignore", "layers"}));
  Recipe recipe = preset_recipe(kPresets[0]);
  const std::string file_name = std::filesystem::path(origin).stem().string();
  OCTAVO_ASSIGN_OR_RETURN(recipe.name, base::get_string(tree, "name", file_name));
  if (recipe.name.empty()) recipe.name = file_name;
  OCTAVO_RETURN_IF_ERROR(check_weights(tree, origin));
  if (const Json* activations = tree.find("activations")) {
    OCTAVO_ASSIGN_OR_RETURN(recipe.activations, read_activations(*activations, origin + ": activations"));
  }
  if (const Json* smooth = tree.find("smooth")) {
    OCTAVO_RETURN_IF_ERROR(read_smooth(*smooth, origin, recipe));
  }
  if (const Json* ignore = tree.find("ignore")) {
    OCTAVO_RETURN_IF_ERROR(read_ignore(*ignore, origin, recipe));
  }
  if (const Json* layers = tree.find("layers")) {
    OCTAVO_RETURN_IF_ERROR(read_layers(*layers, origin, recipe));
  }
  return recipe;
}

Result<Recipe> parse_recipe_text(const std::string& text) {
  const std::string origin = "recipe_text";
  // Flow YAML begins with a brace as well, but escapes and commas in JSON have rules of their own.
  Result<Json> tree = base::parse_json(text, kLimits);
  if (!tree.ok()) tree = base::parse_yaml(text, kLimits);
  if (!tree.ok()) return tree.status().with_context(origin);
  return parse_recipe(*tree, origin);
}

Result<Recipe> load_recipe(const std::string& preset_or_path) {
  for (const char* preset : kPresets) {
    if (preset_or_path == preset) return preset_recipe(preset);
  }
  if (!base::path_exists(preset_or_path)) {
    const std::vector<std::string> names = preset_names();
    return not_found("recipe " + base::quoted(preset_or_path) + " is neither a preset (" + listed(names) +
                     ") nor a file" + did_you_mean(preset_or_path, names));
  }
  OCTAVO_ASSIGN_OR_RETURN(const Json tree, base::read_yaml_or_json_file(preset_or_path, kLimits));
  return parse_recipe(tree, preset_or_path);
}

}  // namespace octavo::quant
