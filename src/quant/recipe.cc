// Recipes: presets and files become one checked structure. A file is read strictly: every key must be known,
// every value one that Octavo can carry out; nothing is ignored in silence. Called by api/quantize.cc.
#include "quant/recipe.h"

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

struct Preset {
  const char* name;
  bool smooth;
};
constexpr Preset kPresets[] = {{"w8a8", true}, {"rtn-w8a8", false}};

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

Status check_number_formats(const Json& tree, const std::string& origin) {
  if (const Json* weights = tree.find("weights")) {
    const std::string where = origin + ": weights";
    OCTAVO_RETURN_IF_ERROR(check_object(*weights, where, {"bits", "type", "strategy", "symmetric"}));
    OCTAVO_RETURN_IF_ERROR(expect_only(*weights, where, "bits", 8));
    OCTAVO_RETURN_IF_ERROR(expect_only(*weights, where, "type", "int"));
    OCTAVO_RETURN_IF_ERROR(expect_only(*weights, where, "strategy", "channel"));
    OCTAVO_RETURN_IF_ERROR(expect_only(*weights, where, "symmetric", true));
  }
  if (const Json* activations = tree.find("activations")) {
    const std::string where = origin + ": activations";
    OCTAVO_RETURN_IF_ERROR(
        check_object(*activations, where, {"bits", "type", "strategy", "symmetric", "dynamic"}));
    OCTAVO_RETURN_IF_ERROR(expect_only(*activations, where, "bits", 8));
    OCTAVO_RETURN_IF_ERROR(expect_only(*activations, where, "type", "int"));
    OCTAVO_RETURN_IF_ERROR(expect_only(*activations, where, "strategy", "token"));
    OCTAVO_RETURN_IF_ERROR(expect_only(*activations, where, "symmetric", true));
    OCTAVO_RETURN_IF_ERROR(expect_only(*activations, where, "dynamic", true));
  }
  return {};
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
    if (!item.is_number() || !(item.as_double() >= 0 && item.as_double() <= 1)) {
      return invalid_argument(where + ": expected numbers from 0 to 1, found " + base::quoted(item.dump()));
    }
    recipe.strengths.push_back(item.as_double());
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
  keys.emplace_back("strengths");
  OCTAVO_RETURN_IF_ERROR(check_object(value, where, keys));
  for (const SmoothGroup group : kSmoothGroups) {
    OCTAVO_ASSIGN_OR_RETURN(recipe.smooth[static_cast<size_t>(group)],
                            read_flag(value, where, smooth_group_name(group), true));
  }
  if (const Json* strengths = value.find("strengths")) {
    OCTAVO_RETURN_IF_ERROR(read_strengths(*strengths, where + ".strengths", recipe));
  }
  return {};
}

Result<Scheme> read_scheme(const Json& value, const std::string& where) {
  static const std::vector<std::string> names = {"float", "w8a8"};
  if (value.is_string() && value.as_string() == names[0]) return Scheme::kFloat;
  if (value.is_string() && value.as_string() == names[1]) return Scheme::kW8A8;
  const std::string found = value.is_string() ? value.as_string() : value.dump();
  return invalid_argument(where + ": unknown scheme " + base::quoted(found) + ", expected float or w8a8" +
                          did_you_mean(found, names));
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
    LayerRule rule{.pattern = pattern.starts_with("re:") ? pattern.substr(3) : pattern, .policy = {}};
    OCTAVO_RETURN_IF_ERROR(check_pattern(rule.pattern, at));
    if (policy.is_string()) {
      OCTAVO_ASSIGN_OR_RETURN(rule.policy.scheme, read_scheme(policy, at));
    } else {
      OCTAVO_RETURN_IF_ERROR(check_object(policy, at, {"scheme", "smooth"}));
      if (const Json* scheme = policy.find("scheme")) {
        OCTAVO_ASSIGN_OR_RETURN(rule.policy.scheme, read_scheme(*scheme, at));
      }
      OCTAVO_ASSIGN_OR_RETURN(rule.policy.smooth, read_flag(policy, at, "smooth", true));
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

Recipe preset_recipe(const Preset& preset) {
  Recipe recipe;
  recipe.name = preset.name;
  recipe.smooth.fill(preset.smooth);
  recipe.strengths.assign(std::begin(kSearchStrengths), std::end(kSearchStrengths));
  recipe.ignore = {"lm_head"};
  return recipe;
}

}  // namespace

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
  for (const bool on : smooth) {
    if (on) return true;
  }
  return false;
}

Json Recipe::to_json() const {
  Json tree;
  tree.set("name", name);
  tree.set("weights", base::JsonObject{{"bits", 8}, {"type", "int"}, {"strategy", "channel"}});
  tree.set("activations",
           base::JsonObject{{"bits", 8}, {"type", "int"}, {"strategy", "token"}, {"dynamic", true}});
  Json smoothing;
  for (const SmoothGroup group : kSmoothGroups) smoothing.set(smooth_group_name(group), smooths(group));
  smoothing.set("strengths", base::JsonArray(strengths.begin(), strengths.end()));
  tree.set("smooth", std::move(smoothing));
  tree.set("ignore", base::JsonArray(ignore.begin(), ignore.end()));
  Json rules = base::JsonObject{};
  for (const LayerRule& rule : layers) {
    rules.set(rule.pattern,
              base::JsonObject{{"scheme", rule.policy.scheme == Scheme::kFloat ? "float" : "w8a8"},
                               {"smooth", rule.policy.smooth}});
  }
  tree.set("layers", std::move(rules));
  return tree;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

Result<Recipe> parse_recipe(const Json& tree, const std::string& origin) {
  OCTAVO_RETURN_IF_ERROR(
      check_object(tree, origin, {"name", "weights", "activations", "smooth", "ignore", "layers"}));
  Recipe recipe = preset_recipe(kPresets[0]);
  const std::string file_name = std::filesystem::path(origin).stem().string();
  OCTAVO_ASSIGN_OR_RETURN(recipe.name, base::get_string(tree, "name", file_name));
  if (recipe.name.empty()) recipe.name = file_name;
  OCTAVO_RETURN_IF_ERROR(check_number_formats(tree, origin));
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
  for (const Preset& preset : kPresets) {
    if (preset_or_path == preset.name) return preset_recipe(preset);
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
