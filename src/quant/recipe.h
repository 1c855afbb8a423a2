#pragma once
// What to do to a model: which linears become int8, where SmoothQuant moves scale, what stays float. A
// preset's name or a small YAML or JSON file, checked key by key; docs/RECIPES.md describes the file.
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::quant {

enum class Scheme { kFloat, kW8A8 };

// How an int8 linear's input becomes int8: with a scale per token, found while the model runs, or with one
// scale and zero point for all, fixed by calibration.
enum class Activations { kDynamic, kStatic };
const char* activations_name(Activations activations);  // "dynamic", "static"

// The four places of a decoder layer where scale moves from activations into the weights that read them.
enum class SmoothGroup {
  kNormQkv,  // input_layernorm -> q, k, v
  kVO,       // v -> o, one factor per kv head and dimension
  kNormMlp,  // post_attention_layernorm -> gate, up
  kUpDown,   // up -> down
};
inline constexpr int kNSmoothGroups = 4;
inline constexpr std::array<SmoothGroup, kNSmoothGroups> kSmoothGroups = {
    SmoothGroup::kNormQkv, SmoothGroup::kVO, SmoothGroup::kNormMlp, SmoothGroup::kUpDown};
const char* smooth_group_name(
    SmoothGroup group);  // "norm_qkv", "v_o", "norm_mlp", "up_down": the recipe's keys

struct LinearPolicy {
  Scheme scheme = Scheme::kW8A8;
  bool smooth = true;  // false: what this linear (and who reads the same) reads is not smoothed
  Activations activations = Activations::kDynamic;
  std::optional<double> strength =
      {};  // of the group whose columns this is, instead of the recipe's (kFixed)

  bool has_static_input() const { return scheme != Scheme::kFloat && activations == Activations::kStatic; }
};

// kSearch: each candidate strength is tried on each layer, beside "none". kFixed: equation 4 of SmoothQuant
// with one strength, not judged.
enum class SmoothRule { kSearch, kFixed };

// A pattern over module names ("model.layers.0.mlp.up_proj") with what it asks for.
struct LayerRule {
  std::string pattern;  // regular expression, anchored at the name's beginning
  LinearPolicy policy;
};

struct Recipe {
  std::string name;
  Activations activations = Activations::kDynamic;                     // of linears that no rule names
  std::array<bool, kNSmoothGroups> smooth = {true, true, true, true};  // by SmoothGroup
  SmoothRule rule = SmoothRule::kSearch;
  std::vector<double> strengths;    // in [0, 1]: candidates of a search, or the one that is fixed
  std::vector<std::string> ignore;  // module names, or "re:" and a pattern: stay float
  std::vector<LayerRule> layers;

  bool smooths(SmoothGroup group) const { return smooth[static_cast<size_t>(group)]; }
  bool needs_calibration() const;  // any group is smoothed, any input static
  base::Json to_json() const;      // reads back as the same recipe
};

// "w8a8" (SmoothQuant searched, dynamic inputs; the default), "rtn-w8a8" (plain rounding), "w8a8-smoothquant"
// (SmoothQuant 0.5 with static inputs, down_proj dynamic and unsmoothed).
std::vector<std::string> preset_names();
// `origin`, the file, is named in errors and names a recipe without a name. Unknown keys and values are
// refused by name, with the nearest right one.
Result<Recipe> parse_recipe(const base::Json& tree, const std::string& origin);
// The text of a JSON or YAML recipe; one without a name is called "recipe_text".
Result<Recipe> parse_recipe_text(const std::string& text);
// A preset's name, or the path of a .yaml, .yml or .json file.
Result<Recipe> load_recipe(const std::string& preset_or_path);

}  // namespace octavo::quant
