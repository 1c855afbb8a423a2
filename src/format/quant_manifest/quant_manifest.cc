// Finds what says how a checkpoint is quantized (a section of config.json, a description file, or the names
// of the tensors), gives it to the format that wrote it, and answers which scheme a module has. Called by
// model/weights.cc, quant/ and inspect.cc. An exact name wins over a pattern and a pattern over a class, as
// in compressed-tensors; `ignore` wins over all.
#include "format/quant_manifest/quant_manifest.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/text_format.h"
#include "format/checkpoint.h"

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

const char* layout_name(QuantLayout layout) {
  switch (layout) {
    case QuantLayout::kCompressedTensors:
      return "compressed-tensors";
    case QuantLayout::kGoldenStick:
      return "golden-stick";
    case QuantLayout::kAscend:
      break;
  }
  return "ascend";
}

Result<QuantManifest> QuantManifest::read(const Checkpoint& checkpoint) {
  OCTAVO_ASSIGN_OR_RETURN(QuantManifest manifest,
                          parse(checkpoint.config(), base::join_path(checkpoint.folder(), "config.json")));
  OCTAVO_ASSIGN_OR_RETURN(const std::optional<std::string> description,
                          find_quant_description(checkpoint.folder()));
  if (description) {
    if (!manifest.empty()) {
      return invalid_argument("folder " + quoted(checkpoint.folder()) + " has both " + quoted(*description) +
                              " and a quantization_config in config.json; remove whichever is not true");
    }
    OCTAVO_RETURN_IF_ERROR(manifest.read_description(checkpoint, *description));
  } else if (manifest.empty()) {
    OCTAVO_RETURN_IF_ERROR(manifest.read_mindformers(checkpoint));
  }
  return manifest;
}

std::string QuantManifest::description() const {
  bool is_static = false, is_dynamic = false;
  const auto add = [&](const LinearQuant& quant) {
    is_static |= quant.input == InputQuant::kStaticTensor;
    is_dynamic |= quant.input == InputQuant::kDynamicToken;
  };
  for (const Group& group : groups_) {
    if (group.quant) add(*group.quant);
  }
  for (const auto& [module, quant] : modules_) add(quant);
  if (!is_static && !is_dynamic) return empty() ? "" : layout_name(layout_);
  return std::string(layout_name(layout_)) + " w8a8" +
         (!is_static   ? ""
          : is_dynamic ? " static and dynamic"
                       : " static");
}

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
  if (layout_ != QuantLayout::kCompressedTensors) {
    const auto found = modules_.find(module);
    return found != modules_.end() ? std::optional(found->second) : std::nullopt;
  }
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
