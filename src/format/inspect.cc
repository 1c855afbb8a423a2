// Describes a checkpoint; the facade shows the result as `octavo inspect`. Beside counting it looks for what
// would fail or mislead later: values that are no numbers, quantized weights without scales, scales without
// weights, an index whose sum is wrong.
#include "format/inspect.h"

#include <map>
#include <set>
#include <span>
#include <utility>

#include "base/file.h"
#include "base/hash.h"
#include "base/text_format.h"
#include "format/checkpoint.h"
#include "format/quant_manifest/quant_manifest.h"
#include "format/tensor_values.h"

namespace octavo::format {

namespace {

using base::Json;
using base::quoted;
using tensor::DType;

constexpr size_t kMaxProblems = 100;

class Problems {
 public:
  void add(std::string text) {
    if (list_.size() < kMaxProblems) list_.emplace_back(std::move(text));
    ++n_found_;
  }
  Json take() {
    if (n_found_ > kMaxProblems)
      list_.emplace_back("… and " + std::to_string(n_found_ - kMaxProblems) + " more");
    return Json(std::move(list_));
  }

 private:
  base::JsonArray list_;
  size_t n_found_ = 0;
};

// What belongs to quantization beside the weights themselves.
bool is_quant_parameter(std::string_view name) {
  for (const std::string_view suffix :
       {"_scale", "_zero_point", "_offset", ".quant_bias", ".scales", ".qzeros", ".g_idx", "_shape"}) {
    if (name.ends_with(suffix)) return true;
  }
  return false;
}

void add_counts(std::span<const SafetensorsFile> files, Json& report) {
  struct Count {
    int64_t n_tensors = 0, n_elements = 0;
    uint64_t n_bytes = 0;
  };
  std::map<std::string, Count> dtypes;
  Count all;
  int64_t n_parameters = 0;
  base::JsonArray file_list;
  for (const SafetensorsFile& file : files) {
    for (const TensorInfo& info : file.tensors()) {
      for (Count* count : {&dtypes[tensor::dtype_name(info.dtype)], &all}) {
        ++count->n_tensors;
        count->n_elements += info.n_elements();
        count->n_bytes += info.n_bytes;
      }
      if (!is_quant_parameter(info.name)) n_parameters += info.n_elements();
    }
    const std::string& path = file.path();
    file_list.emplace_back(
        base::JsonObject{{"name", Json(path.substr(path.rfind('/') + 1))},
                         {"n_bytes", Json(file.size_bytes())},
                         {"n_tensors", Json(static_cast<int64_t>(file.tensors().size()))}});
  }
  Json dtype_object(base::JsonObject{});
  for (const auto& [name, count] : dtypes) {
    dtype_object.set(name, base::JsonObject{{"n_tensors", Json(count.n_tensors)},
                                            {"n_elements", Json(count.n_elements)},
                                            {"n_bytes", Json(count.n_bytes)}});
  }
  report.set("n_tensors", all.n_tensors);
  report.set("n_parameters", n_parameters);
  report.set("n_bytes", all.n_bytes);
  report.set("dtypes", std::move(dtype_object));
  report.set("files", std::move(file_list));
  Json metadata(base::JsonObject{});
  if (!files.empty()) {
    for (const auto& [key, value] : files.front().metadata())
      metadata.as_object().emplace_back(key, Json(value));
  }
  report.set("metadata", std::move(metadata));
}

// `find(name)` gives a tensor of the file or folder. Scales of int8 weights W[out, in]: one a row, or one in
// all, or one for some columns of a row.
template <class Find>
void check_scales(const TensorInfo& weight, const Find& find, Problems& problems) {
  const std::string stem = weight.name.substr(0, weight.name.size() - std::string_view("weight").size());
  const TensorInfo* scale = find(stem + "weight_scale");
  if (scale == nullptr) scale = find(stem + "scales");
  if (scale == nullptr) scale = find(stem + "deq_scale");
  if (scale == nullptr) {
    problems.add("tensor " + quoted(weight.name) + " is " + tensor::dtype_name(weight.dtype) +
                 ", but there is no " + quoted(stem + "weight_scale"));
    return;
  }
  const int64_t n_out = weight.shape.empty() ? 1 : weight.shape[0];
  const bool fits = scale->n_elements() == 1 || (!scale->shape.empty() && scale->shape[0] == n_out);
  if (!fits) {
    problems.add("tensor " + quoted(scale->name) + " has shape " + shape_text(scale->shape) +
                 "; expected one scale, or one for each of the " + std::to_string(n_out) + " rows of " +
                 quoted(weight.name) + " " + shape_text(weight.shape));
  }
}

template <class Find>
void check_tensor(const TensorInfo& info, const Find& find, Problems& problems) {
  constexpr std::string_view kScale = ".weight_scale";
  if (info.name.ends_with(".weight") && tensor::dtype_bytes(info.dtype) == 1)
    check_scales(info, find, problems);
  if (info.name.ends_with(kScale)) {
    const std::string module = info.name.substr(0, info.name.size() - kScale.size());
    if (find(module + ".weight") == nullptr && find(module + ".weight_packed") == nullptr) {
      problems.add("tensor " + quoted(info.name) + " has no weight " + quoted(module + ".weight"));
    }
  }
}

Status check_values(std::span<const SafetensorsFile> files, Problems& problems) {
  for (const SafetensorsFile& file : files) {
    for (const TensorInfo& info : file.tensors()) {
      OCTAVO_ASSIGN_OR_RETURN(std::string bad, find_bad_value(file, info));
      if (!bad.empty()) problems.add(std::move(bad));
    }
  }
  return {};
}

struct QuantCounts {
  std::set<WeightStrategy> strategies;  // of the quantized linears
  std::set<InputQuant> inputs;
  int64_t n_int8 = 0, n_float = 0;
  std::string scale_dtype;  // of the first quantized linear that has a scale
};

Result<QuantCounts> count_linears(const Checkpoint& checkpoint, const QuantManifest& manifest) {
  constexpr std::string_view kWeight = ".weight";
  QuantCounts counts;
  for (const TensorInfo* info : checkpoint.tensors()) {
    if (!info->name.ends_with(kWeight) || info->shape.size() != 2) continue;
    const std::string module = info->name.substr(0, info->name.size() - kWeight.size());
    if (module.ends_with("embed_tokens")) continue;
    OCTAVO_ASSIGN_OR_RETURN(const auto quant, manifest.find(module));
    ++(info->dtype == DType::kI8 ? counts.n_int8 : counts.n_float);
    if (!quant || info->dtype != DType::kI8) continue;
    counts.strategies.insert(quant->weight_strategy);
    counts.inputs.insert(quant->input);
    const TensorInfo* scale = checkpoint.find(module + ".weight_scale");
    if (scale == nullptr) scale = checkpoint.find(module + ".deq_scale");
    if (scale != nullptr && counts.scale_dtype.empty()) counts.scale_dtype = tensor::dtype_name(scale->dtype);
  }
  return counts;
}

// Bits, strategy, inputs, ignore list and counts of a quantized model that Octavo can read.
Status describe_scheme(const Checkpoint& checkpoint, const QuantManifest& manifest, const Json* section,
                       Json& out) {
  OCTAVO_ASSIGN_OR_RETURN(const QuantCounts counts, count_linears(checkpoint, manifest));
  const bool per_tensor = counts.strategies.contains(WeightStrategy::kTensor);
  const bool has_static = counts.inputs.contains(InputQuant::kStaticTensor);
  const bool has_dynamic = counts.inputs.contains(InputQuant::kDynamicToken);
  out.set("weight_bits", 8);
  out.set("weight_strategy", counts.strategies.size() > 1 ? "mixed" : per_tensor ? "tensor" : "channel");
  out.set("input_bits", 8);
  out.set("input_strategy", has_static && has_dynamic ? "static per tensor, dynamic per token"
                            : has_static              ? "static per tensor"
                                                      : "dynamic per token");
  const Json* ignore = section != nullptr ? section->find("ignore") : nullptr;
  out.set("ignore", ignore != nullptr ? *ignore : Json(base::JsonArray{}));
  out.set("n_int8_linears", counts.n_int8);
  out.set("n_float_linears", counts.n_float);
  out.set("scale_dtype", counts.scale_dtype.empty() ? Json() : Json(counts.scale_dtype));
  return {};
}

// What the config says against what the files hold.
Status check_against_manifest(const Checkpoint& checkpoint, const QuantManifest& manifest,
                              Problems& problems) {
  constexpr std::string_view kWeight = ".weight";
  for (const TensorInfo* info : checkpoint.tensors()) {
    if (!info->name.ends_with(kWeight) || info->shape.size() != 2) continue;
    const std::string module = info->name.substr(0, info->name.size() - kWeight.size());
    const bool is_embedding = module.ends_with("embed_tokens");
    OCTAVO_ASSIGN_OR_RETURN(const auto quant, manifest.find(module, is_embedding ? "Embedding" : "Linear"));
    if (quant && info->dtype != DType::kI8) {
      problems.add("tensor " + quoted(info->name) + " is " + tensor::dtype_name(info->dtype) + ", but " +
                   manifest.source() + " says that it is quantized to int8");
    }
    if (!quant && info->dtype == DType::kI8) {
      problems.add("tensor " + quoted(info->name) + " is I8, but " + manifest.source() +
                   " does not say that it is quantized");
    }
  }
  return {};
}

Result<Json> inspect_quantization(const Checkpoint& checkpoint, Problems& problems) {
  const Json& config = checkpoint.config();
  const Json* section = config.find("quantization_config");
  if (section == nullptr) section = config.find("compression_config");
  const Result<QuantManifest> manifest = QuantManifest::read(checkpoint);
  if (manifest.ok()) {
    OCTAVO_RETURN_IF_ERROR(check_against_manifest(checkpoint, *manifest, problems));
    if (manifest->empty()) return Json();
  }
  Json out;
  const Json* method = section != nullptr ? section->find("quant_method") : nullptr;
  out.set("method", manifest.ok()       ? Json(layout_name(manifest->layout()))
                    : method != nullptr ? *method
                                        : Json());
  out.set("description", manifest.ok() ? Json(manifest->description()) : Json());
  out.set("runnable", manifest.ok());
  out.set("reason", manifest.ok() ? Json() : Json(manifest.status().message()));
  if (manifest.ok()) OCTAVO_RETURN_IF_ERROR(describe_scheme(checkpoint, *manifest, section, out));
  return out;
}

void check_index_sum(const Checkpoint& checkpoint, const Json& report, Problems& problems) {
  const std::string path = base::join_path(checkpoint.folder(), "model.safetensors.index.json");
  if (!base::path_exists(path)) return;
  const Result<Json> index = base::read_json_file(path);
  if (!index.ok()) return;  // Checkpoint::open has read it; it changes under us
  const Json* metadata = index->find("metadata");
  const Json* total = metadata != nullptr ? metadata->find("total_size") : nullptr;
  if (total != nullptr && total->is_number() && total->as_double() != report.find("n_bytes")->as_double()) {
    problems.add(path + ": total_size is " + total->dump() + ", but the tensors take " +
                 report.find("n_bytes")->dump() + " bytes");
  }
}

Result<Json> inspect_folder(const std::string& path) {
  OCTAVO_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(path));
  Problems problems;
  Json report;
  report.set("path", path);
  report.set("kind", "model folder");
  const Json& config = checkpoint.config();
  const Json* architectures = config.find("architectures");
  const bool is_named =
      architectures != nullptr && architectures->is_array() && !architectures->as_array().empty();
  report.set("architecture", is_named ? architectures->as_array()[0] : Json());
  const Json* model_type = config.find("model_type");
  report.set("model_type", model_type != nullptr ? *model_type : Json());
  OCTAVO_ASSIGN_OR_RETURN(Json quantization, inspect_quantization(checkpoint, problems));
  report.set("quantization", std::move(quantization));
  add_counts(checkpoint.files(), report);
  for (const TensorInfo* info : checkpoint.tensors()) {
    check_tensor(
        *info, [&](const std::string& name) { return checkpoint.find(name); }, problems);
  }
  check_index_sum(checkpoint, report, problems);
  OCTAVO_RETURN_IF_ERROR(check_values(checkpoint.files(), problems));
  report.set("fingerprint", base::hex(checkpoint.fingerprint()));
  report.set("problems", problems.take());
  return report;
}

Result<Json> inspect_file(const std::string& path) {
  OCTAVO_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::open(path));
  Problems problems;
  Json report;
  report.set("path", path);
  report.set("kind", "safetensors file");
  add_counts(std::span(&file, 1), report);
  for (const TensorInfo& info : file.tensors()) {
    check_tensor(
        info, [&](const std::string& name) { return file.find(name); }, problems);
  }
  OCTAVO_RETURN_IF_ERROR(check_values(std::span(&file, 1), problems));
  report.set("problems", problems.take());
  return report;
}

}  // namespace

Result<Json> inspect_path(const std::string& path) {
  if (!base::path_exists(path)) return not_found(quoted(path) + " does not exist");
  if (base::is_folder(path)) return inspect_folder(path);
  for (const std::string_view suffix : {".gguf", ".bin", ".pt", ".pth"}) {
    if (path.ends_with(suffix)) {
      return unsupported(quoted(path) + ": " + std::string(suffix) +
                         " files are not read; expected .safetensors or a model folder");
    }
  }
  return inspect_file(path);
}

}  // namespace octavo::format
