// Golden Stick's and msModelSlim's ways to say what is quantized: a JSON file beside the weights that gives
// each tensor a type, {"model.layers.0.self_attn.q_proj.weight": "W8A8", …}; msModelSlim's also has
// properties, "model_quant_type" first. Golden Stick's MindFormers checkpoints have no such file: there the
// tensors of a layer tell. Octavo runs FLOAT, W8A8 (static inputs) and W8A8_DYNAMIC (a scale per token);
// other types are refused by name.
#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/text_format.h"
#include "format/checkpoint.h"
#include "format/quant_manifest/golden_stick_write.h"
#include "format/quant_manifest/quant_manifest.h"

namespace octavo::format {

namespace {

using base::Json;
using base::quoted;
using tensor::DType;

constexpr size_t kMaxDescriptionBytes = size_t{100} << 20;
constexpr std::string_view kWeight = ".weight";
constexpr LinearQuant kStaticW8A8 = {.input = InputQuant::kStaticTensor, .input_symmetric = false};
constexpr LinearQuant kDynamicW8A8 = {};

std::string_view module_of(std::string_view tensor) { return tensor.substr(0, tensor.rfind('.')); }

// msModelSlim's statements about more than the weights.
Status check_property(const std::string& key, const Json& value) {
  constexpr std::array<std::string_view, 4> kOfCaches = {"kv_quant_type", "kv_cache_type", "fa_quant_type",
                                                         "reduce_quant_type"};
  const bool is_set = value.is_string() && !value.as_string().empty() && value.as_string() != "FLOAT";
  if (is_set && std::find(kOfCaches.begin(), kOfCaches.end(), key) != kOfCaches.end()) {
    return unsupported("key " + quoted(key) + ": " + quoted(value.as_string()) +
                       " is not supported; expected linear layers alone to be quantized");
  }
  return {};
}

}  // namespace

Result<std::optional<std::string>> find_quant_description(const std::string& folder) {
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<std::string> names, base::list_folder(folder));
  std::optional<std::string> found;
  for (const std::string& name : names) {
    const bool is_ascend = name.starts_with("quant_model_description") && name.ends_with(".json");
    if (!is_ascend && name != kGoldenStickDescription) continue;
    if (name.ends_with("_w8a8sc.json")) {
      return unsupported(base::join_path(folder, name) + ": sparse W8A8SC weights are not supported");
    }
    if (found) {
      return invalid_argument("folder " + quoted(folder) + " has two descriptions of its quantization, " +
                              quoted(*found) + " and " + quoted(name) + "; remove whichever is not true");
    }
    found = name;
  }
  return found;
}

Status QuantManifest::read_description(const Checkpoint& checkpoint, const std::string& file_name) {
  const std::string path = base::join_path(checkpoint.folder(), file_name);
  base::JsonLimits limits;
  limits.max_bytes = kMaxDescriptionBytes;
  OCTAVO_ASSIGN_OR_RETURN(const Json types, base::read_json_file(path, limits));
  if (!types.is_object()) return corrupt(path + ": expected an object, found " + types.type_name());
  layout_ = types.find("model_quant_type") != nullptr ? QuantLayout::kAscend : QuantLayout::kGoldenStick;
  source_ = file_name;

  std::map<std::string, const std::string*, std::less<>> type_of;  // quantized tensors
  for (const auto& [name, type] : types.as_object()) {
    if (name.find('.') == std::string::npos) {
      OCTAVO_RETURN_IF_ERROR(check_property(name, type).with_context(path));
      continue;
    }
    const std::string in_tensor = path + ": tensor " + quoted(name);
    if (!type.is_string()) return corrupt(in_tensor + ": expected a type, found " + type.type_name());
    const std::string& text = type.as_string();
    if (text != "FLOAT" && text != "W8A8" && text != "W8A8_DYNAMIC") {
      return unsupported(in_tensor + ": type " + quoted(text) +
                         " is not supported; expected 'W8A8', 'W8A8_DYNAMIC' or 'FLOAT'");
    }
    // A head that is tied to the embedding is described and not stored.
    if (checkpoint.find(name) == nullptr && !(text == "FLOAT" && name == "lm_head.weight")) {
      return corrupt(in_tensor + " is in none of the files");
    }
    if (text != "FLOAT") type_of.emplace(name, &text);
  }
  for (const auto& [name, type] : type_of) {
    const std::string module(module_of(name));
    const auto weight = type_of.find(module + std::string(kWeight));
    if (weight == type_of.end() || *weight->second != *type) {
      return corrupt(path + ": tensor " + quoted(name) + " is " + quoted(*type) + ", but " +
                     quoted(module + std::string(kWeight)) + " is " +
                     quoted(weight == type_of.end() ? "FLOAT" : *weight->second) +
                     "; expected one type for all tensors of a layer");
    }
    modules_.emplace(module, *type == "W8A8" ? kStaticW8A8 : kDynamicW8A8);
  }
  return {};
}

Status QuantManifest::read_mindformers(const Checkpoint& checkpoint) {
  for (const TensorInfo* info : checkpoint.tensors()) {
    if (info->dtype != DType::kI8 || !info->name.ends_with(kWeight)) continue;
    const std::string module(module_of(info->name));
    const auto has = [&](const char* leaf) { return checkpoint.find(module + leaf) != nullptr; };
    if (!checkpoint.has_mindformers_names()) {
      if (!has(".deq_scale")) continue;
      return not_found(checkpoint.folder() + ": tensor " + quoted(module + ".deq_scale") +
                       " is Golden Stick's, but its " + kGoldenStickDescription + " is missing");
    }
    if (has(".weight_offset")) {
      return unsupported(checkpoint.folder() + ": tensor " + quoted(module + ".weight_offset") +
                         ": weights with inputs in float (A16W8, A16W4) are not supported");
    }
    modules_.emplace(module, has(".input_scale") ? kStaticW8A8 : kDynamicW8A8);
  }
  if (!modules_.empty()) {
    layout_ = QuantLayout::kGoldenStick;
    source_ = "the names of the tensors";
  }
  return {};
}

}  // namespace octavo::format
