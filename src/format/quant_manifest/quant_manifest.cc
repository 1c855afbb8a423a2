// Finds the quantization section of a config.json, gives it to the format that wrote it, and answers which
// scheme a module has. Called by model/weights.cc, quant/ and inspect.cc. An exact name wins over a pattern
// and a pattern over a class, as in compressed-tensors; `ignore` wins over all.
#include "format/quant_manifest/quant_manifest.h"

#include <array>

#include "base/text_format.h"

namespace octavo::format {

namespace {

using base::Json;
using base::quoted;

constexpr uint64_t kMaxSteps =
    1'000'000;  // of all patterns on one module: 50 ms; real configs take some hundred

// The module's name without the prefixes that wrappers add or drop.
std::string_view core_name(std::string_view module) {
  for (bool stripped = true; stripped;) {
    stripped = false;
    for (const std::string_view prefix : {"model.", "language_model."}) {
      if (module.starts_with(prefix)) {
        module.remove_prefix(prefix.size());
        stripped = true;
      }
    }
  }
  return module;
}

}  // namespace

Result<QuantManifest> QuantManifest::parse(const Json& config, const std::string& path) {
  QuantManifest manifest;
  const char* key = "quantization_config";
  const Json* section = config.find(key);
  if (section == nullptr || section->is_null()) {
    key = "compression_config";  // compressed-tensors before 0.7
    section = config.find(key);
  }
  if (section == nullptr || section->is_null()) return manifest;
  const std::string in_section = path + ": " + key;
  if (!section->is_object())
    return corrupt(in_section + ": expected an object, found " + section->type_name());
  const bool has_groups = section->find("config_groups") != nullptr;
  auto method = base::get_string(*section, "quant_method", has_groups ? "compressed-tensors" : "");
  if (!method.ok()) return method.status().with_context(in_section);
  if (*method != "compressed-tensors") {
    return unsupported(in_section + ": quant_method " + quoted(*method) +
                       " is not supported; expected 'compressed-tensors' (format int-quantized, W8A8) or an "
                       "unquantized model");
  }
  const Status status = manifest.parse_compressed_tensors(*section);
  if (!status.ok()) return status.with_context(in_section);
  return manifest;
}

Result<bool> QuantManifest::matches(const Target& target, Match how, std::string_view module,
                                    std::string_view class_name, base::RegexBudget& budget) {
  switch (how) {
    case Match::kName:
      return !target.pattern && core_name(target.text) == core_name(module);
    case Match::kClass:
      return !target.pattern && target.text == class_name;
    case Match::kPattern:
      break;
  }
  if (!target.pattern) return false;
  const std::string_view core = core_name(module);
  for (const std::string& name : {std::string(module), std::string(core), "model." + std::string(core)}) {
    OCTAVO_ASSIGN_OR_RETURN(const bool matched, target.pattern->matches_start(name, budget));
    if (matched) return true;
  }
  return false;
}

Result<std::optional<LinearQuant>> QuantManifest::find(std::string_view module,
                                                       std::string_view class_name) const {
  base::RegexBudget budget{.steps = kMaxSteps};
  constexpr std::array kOrder = {Match::kName, Match::kPattern, Match::kClass};
  for (const Match how : kOrder) {
    for (const Target& target : ignore_) {
      OCTAVO_ASSIGN_OR_RETURN(const bool ignored, matches(target, how, module, class_name, budget));
      if (ignored) return std::optional<LinearQuant>();
    }
  }
  for (const Match how : kOrder) {
    for (const Group& group : groups_) {
      for (const Target& target : group.targets) {
        OCTAVO_ASSIGN_OR_RETURN(const bool matched, matches(target, how, module, class_name, budget));
        if (matched) return group.quant;
      }
    }
  }
  return std::optional<LinearQuant>();
}

}  // namespace octavo::format
