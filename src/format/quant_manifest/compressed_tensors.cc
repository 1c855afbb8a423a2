// compressed-tensors' quantization_config, read and written: config_groups of {targets, weights,
// input_activations}, `ignore`, a storage format. Octavo runs "int-quantized" W8A8: symmetric int8 weights
// with a scale a row (or one a matrix), and int8 inputs: dynamic, symmetric, with a scale a token, or static
// with one scale and, unless symmetric, one zero point. All else is refused by name, never approximated.
#include <algorithm>
#include <array>

#include "base/text_format.h"
#include "format/quant_manifest/quant_manifest.h"

namespace octavo::format {

namespace {

using base::Json;
using base::quoted;

constexpr const char* kFormat = "int-quantized";
constexpr size_t kMaxTargets = 100'000;
constexpr size_t kMaxPatterns = 1000;  // each is tried on each module

bool is_set(const Json* value) { return value != nullptr && !value->is_null(); }

// QuantizationArgs of weights or inputs, as written in the file.
struct Args {
  int64_t num_bits = 8;
  std::string type = "int";
  bool symmetric = true;
  std::string strategy;
  bool dynamic = false;
  int64_t group_size = 0;
};

Result<Args> parse_args(const Json& section) {
  if (!section.is_object()) return corrupt(std::string("expected an object, found ") + section.type_name());
  // compressed-tensors refuses other keys as well: what they mean for the numbers is unknown.
  constexpr std::array<std::string_view, 12> kKeys = {
      "num_bits", "type",     "symmetric", "group_size",      "strategy",    "block_structure",
      "dynamic",  "actorder", "observer",  "observer_kwargs", "scale_dtype", "zp_dtype"};
  for (const auto& [key, value] : section.as_object()) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
      return unsupported("unknown key " + quoted(key));
  }
  Args args;
  OCTAVO_ASSIGN_OR_RETURN(args.num_bits, base::get_int(section, "num_bits", 8));
  OCTAVO_ASSIGN_OR_RETURN(args.type, base::get_string(section, "type", "int"));
  OCTAVO_ASSIGN_OR_RETURN(args.symmetric, base::get_bool(section, "symmetric", true));
  OCTAVO_ASSIGN_OR_RETURN(args.group_size, base::get_int(section, "group_size", 0));
  OCTAVO_ASSIGN_OR_RETURN(args.strategy, base::get_string(section, "strategy", ""));
  if (const Json* dynamic = section.find("dynamic"); is_set(dynamic)) {
    if (dynamic->is_string() && dynamic->as_string() == "local")
      return unsupported("dynamic 'local' is not supported");
    OCTAVO_ASSIGN_OR_RETURN(args.dynamic, base::get_bool(section, "dynamic", false));
  }
  if (args.strategy.empty()) {  // the defaults of compressed-tensors
    args.strategy = args.group_size > 0 ? "group" : args.group_size == -1 ? "channel" : "tensor";
  }
  return args;
}

Status check_int8(const Args& args) {
  if (args.type == "int" && args.num_bits == 8) return {};
  return unsupported(args.type + std::to_string(args.num_bits) + " is not supported; expected int8");
}

Status read_weights(const Json& section, LinearQuant& quant) {
  OCTAVO_ASSIGN_OR_RETURN(const Args args, parse_args(section));
  OCTAVO_RETURN_IF_ERROR(check_int8(args));
  if (!args.symmetric) return unsupported("asymmetric quantization is not supported; expected symmetric");
  if (args.dynamic) return unsupported("dynamic weights are not supported");
  if (args.strategy == "channel") {
    quant.weight_strategy = WeightStrategy::kChannel;
  } else if (args.strategy == "tensor") {
    quant.weight_strategy = WeightStrategy::kTensor;
  } else {
    return unsupported("strategy " + quoted(args.strategy) +
                       " is not supported; expected 'channel' or 'tensor'");
  }
  return {};
}

Status read_inputs(const Json& section, LinearQuant& quant) {
  OCTAVO_ASSIGN_OR_RETURN(const Args args, parse_args(section));
  OCTAVO_RETURN_IF_ERROR(check_int8(args));
  quant.input = args.dynamic ? InputQuant::kDynamicToken : InputQuant::kStaticTensor;
  quant.input_symmetric = args.symmetric;
  const std::string_view strategy = args.dynamic ? "token" : "tensor";
  if (args.strategy != strategy) {
    return unsupported((args.dynamic ? "dynamic strategy " : "static strategy ") + quoted(args.strategy) +
                       " is not supported; expected " + quoted(strategy));
  }
  if (args.dynamic && !args.symmetric) {
    return unsupported("asymmetric dynamic inputs are not supported; expected symmetric ones");
  }
  return {};
}

Status check_format(const Json& section, std::string& format) {
  OCTAVO_ASSIGN_OR_RETURN(format, base::get_string(section, "format", format));
  // "naive-quantized" is what int-quantized was called first; the files are the same.
  if (format == kFormat || format == "naive-quantized") return {};
  return unsupported("format " + quoted(format) + " is not supported; expected '" + kFormat + "'");
}

// Rotations that are already in the weights need nothing from a reader; one on activations has to be run.
Status check_transforms(const Json* transforms) {
  if (!is_set(transforms)) return {};
  const Json* groups = transforms->find("config_groups");
  if (!is_set(groups)) return {};
  if (!groups->is_object()) return corrupt("transform_config: expected an object 'config_groups'");
  for (const auto& [name, group] : groups->as_object()) {
    const Json* apply = group.find("apply");
    if (apply == nullptr || !apply->is_array())
      return corrupt("transform_config: " + quoted(name) + ": no list 'apply'");
    for (const Json& place : apply->as_array()) {
      OCTAVO_ASSIGN_OR_RETURN(const std::string location, base::get_string(place, "location", ""));
      if (location != "weight_input" && location != "weight_output") {
        return unsupported("transform_config: " + quoted(name) + " transforms at " + quoted(location) +
                           " while the model runs, which is not supported");
      }
    }
  }
  return {};
}

Status check_section(const Json& section) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string status,
                          base::get_string(section, "quantization_status", "compressed"));
  // Until 0.6 compressed checkpoints said "frozen".
  if (status != "compressed" && status != "frozen") {
    return unsupported("quantization_status " + quoted(status) + ": the weights are not stored quantized");
  }
  if (is_set(section.find("kv_cache_scheme")))
    return unsupported("a kv_cache_scheme is not supported; expected null");
  if (const Json* sparsity = section.find("sparsity_config");
      is_set(sparsity) && sparsity->find("format") != nullptr) {
    OCTAVO_ASSIGN_OR_RETURN(const std::string format, base::get_string(*sparsity, "format", "dense"));
    if (format != "dense")
      return unsupported("sparsity_config: format " + quoted(format) + " is not supported");
  }
  return check_transforms(section.find("transform_config"));
}

Json args_json(const char* strategy, bool dynamic, bool symmetric) {
  Json args;
  args.set("num_bits", 8);
  args.set("type", "int");
  args.set("symmetric", symmetric);
  args.set("strategy", strategy);
  args.set("group_size", nullptr);
  args.set("block_structure", nullptr);
  args.set("dynamic", dynamic);
  args.set("actorder", nullptr);
  args.set("observer", dynamic ? Json() : Json("minmax"));
  args.set("observer_kwargs", base::JsonObject{});
  return args;
}

Json string_array(std::span<const std::string> texts) {
  return Json(base::JsonArray(texts.begin(), texts.end()));
}

}  // namespace

Result<std::vector<QuantManifest::Target>> QuantManifest::parse_targets(const Json* list,
                                                                        std::string_view key) {
  std::vector<Target> targets;
  if (!is_set(list)) return targets;
  if (!list->is_array())
    return corrupt("key " + quoted(key) + ": expected an array, found " + list->type_name());
  if (list->as_array().size() > kMaxTargets) {
    return resource_exhausted("key " + quoted(key) + ": more than " + std::to_string(kMaxTargets) + " names");
  }
  size_t n_patterns = 0;
  for (const Json& entry : list->as_array()) {
    if (!entry.is_string())
      return corrupt("key " + quoted(key) + ": expected names, found " + entry.type_name());
    Target target;
    target.text = entry.as_string();
    if (target.text.starts_with("re:")) {
      if (++n_patterns > kMaxPatterns) {
        return resource_exhausted("key " + quoted(key) + ": more than " + std::to_string(kMaxPatterns) +
                                  " patterns");
      }
      Result<base::Regex> pattern = base::Regex::compile(std::string_view(target.text).substr(3));
      if (!pattern.ok()) return pattern.status().with_context("key " + quoted(key));
      target.pattern = std::move(*pattern);
    }
    targets.push_back(std::move(target));
  }
  return targets;
}

Status QuantManifest::parse_group(const std::string& name, const Json& section, const std::string& format) {
  Group group;
  if (section.is_array()) {  // a preset: "W8A8": [targets]
    OCTAVO_ASSIGN_OR_RETURN(group.targets, parse_targets(&section, name));
    std::string preset = name;
    std::transform(preset.begin(), preset.end(), preset.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    if (preset == "W8A8" || preset == "INT8") {
      group.quant = LinearQuant{};
    } else if (preset != "UNQUANTIZED") {
      return unsupported("preset " + quoted(name) + " is not supported; expected 'W8A8'");
    }
    if (group.quant) {
      std::string group_format = format;
      OCTAVO_RETURN_IF_ERROR(check_format(Json(base::JsonObject{}), group_format));
    }
    groups_.push_back(std::move(group));
    return {};
  }
  if (!section.is_object())
    return corrupt(std::string("expected an object or a list, found ") + section.type_name());
  OCTAVO_ASSIGN_OR_RETURN(group.targets, parse_targets(section.find("targets"), "targets"));
  if (group.targets.empty()) return corrupt("key 'targets': expected at least one name");
  const Json* weights = section.find("weights");
  const Json* inputs = section.find("input_activations");
  if (is_set(section.find("output_activations"))) return unsupported("output_activations are not supported");
  if (is_set(weights)) {
    std::string group_format = format;
    OCTAVO_RETURN_IF_ERROR(check_format(section, group_format));
    LinearQuant quant;
    OCTAVO_RETURN_IF_ERROR(read_weights(*weights, quant).with_context("weights"));
    if (!is_set(inputs)) {
      return unsupported(
          "int8 weights with inputs in float are not supported; expected int8 input_activations");
    }
    OCTAVO_RETURN_IF_ERROR(read_inputs(*inputs, quant).with_context("input_activations"));
    group.quant = quant;
  } else if (is_set(inputs)) {
    return unsupported("quantized inputs with float weights are not supported");
  }
  groups_.push_back(std::move(group));
  return {};
}

Status QuantManifest::parse_compressed_tensors(const Json& section) {
  OCTAVO_RETURN_IF_ERROR(check_section(section));
  OCTAVO_ASSIGN_OR_RETURN(std::string format, base::get_string(section, "format", kFormat));
  const Json* groups = section.find("config_groups");
  if (groups == nullptr || !groups->is_object()) return corrupt("expected an object 'config_groups'");
  for (const auto& [name, group] : groups->as_object()) {
    OCTAVO_RETURN_IF_ERROR(parse_group(name, group, format).with_context("config group " + quoted(name)));
  }
  OCTAVO_ASSIGN_OR_RETURN(ignore_, parse_targets(section.find("ignore"), "ignore"));
  return {};
}

Result<Json> compressed_tensors_config(std::span<const QuantGroup> groups,
                                       std::span<const std::string> ignore) {
  Json config_groups(base::JsonObject{});
  for (size_t i = 0; i < groups.size(); ++i) {
    const LinearQuant& quant = groups[i].quant;
    const bool is_static = quant.input == InputQuant::kStaticTensor;
    LinearQuant writable;
    writable.weight_strategy = quant.weight_strategy;
    writable.input = is_static ? InputQuant::kStaticTensor : InputQuant::kDynamicToken;
    writable.input_symmetric = !is_static || quant.input_symmetric;
    if (quant != writable || quant.weight_strategy == WeightStrategy::kGroup) {
      return unsupported("config group " + std::to_string(i) +
                         ": only W8A8 with symmetric weights, a scale a row or a matrix, and dynamic "
                         "symmetric or static inputs can be written");
    }
    const bool per_row = quant.weight_strategy == WeightStrategy::kChannel;
    Json group;
    group.set("targets", string_array(groups[i].targets));
    group.set("weights", args_json(per_row ? "channel" : "tensor", false, true));
    group.set("input_activations",
              args_json(is_static ? "tensor" : "token", !is_static, writable.input_symmetric));
    group.set("output_activations", nullptr);
    if (groups.size() > 1) group.set("format", kFormat);
    config_groups.set("group_" + std::to_string(i), std::move(group));
  }
  // Keys added after compressed-tensors 0.9 (scale_dtype, zp_dtype, and the format of a group where it is the
  // only one) are left out: absent ones are legal everywhere, unknown ones fail in older readers.
  Json config;
  config.set("quant_method", "compressed-tensors");
  config.set("version", "0.13.0");
  config.set("format", kFormat);
  config.set("quantization_status", "compressed");
  config.set("global_compression_ratio", nullptr);
  config.set("kv_cache_scheme", nullptr);
  config.set("ignore", string_array(ignore));
  config.set("sparsity_config", base::JsonObject{});
  config.set("transform_config", base::JsonObject{});
  config.set("config_groups", std::move(config_groups));
  return config;
}

}  // namespace octavo::format
