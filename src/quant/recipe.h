#pragma once
// What to do to a model: which linears become int8, where SmoothQuant moves scale, what stays float. A
// preset's name or a small YAML or JSON file, checked key by key; docs/RECIPES.md describes the file.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::quant {

enum class Scheme { kFloat, kW8A8 };

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
  bool smooth = true;  // false: no factor is folded into this linear
};

// A pattern over module names ("model.layers.0.mlp.up_proj") with what it asks for.
struct LayerRule {
  std::string pattern;  // regular expression, anchored at the name's beginning
  LinearPolicy policy;
};

struct Recipe {
  std::string name;
  std::array<bool, kNSmoothGroups> smooth = {true, true, true, true};  // by SmoothGroup
  std::vector<double> strengths;                                       // candidates in [0, 1], beside "none"
  std::vector<std::string> ignore;  // module names, or "re:" and a pattern: stay float
  std::vector<LayerRule> layers;

  bool smooths(SmoothGroup group) const { return smooth[static_cast<size_t>(group)]; }
  bool needs_calibration() const;  // any group is smoothed
  base::Json to_json() const;      // reads back as the same recipe
};

// "w8a8" (SmoothQuant, the default) and "rtn-w8a8" (plain rounding).
std::vector<std::string> preset_names();
// `origin`, the file, is named in errors and names a recipe without a name. Unknown keys and values are
// refused by name, with the nearest right one.
Result<Recipe> parse_recipe(const base::Json& tree, const std::string& origin);
// The text of a JSON or YAML recipe; one without a name is called "recipe_text".
Result<Recipe> parse_recipe_text(const std::string& text);
// A preset's name, or the path of a .yaml, .yml or .json file.
Result<Recipe> load_recipe(const std::string& preset_or_path);

}  // namespace octavo::quant
