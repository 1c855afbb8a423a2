// The pre-flight check: headers, names and sizes only (and the calibration texts), so it answers in seconds
// whatever the model's size. Called by pipeline.cc first, and alone for a dry run.
#include "quant/preflight.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/text_format.h"
#include "format/quant_manifest/quant_manifest.h"
#include "model/arch/arch_spec.h"
#include "quant/calibration_set.h"
#include "quant/write.h"
#include "tensor/dtype.h"
#include "text/tokenizer.h"

namespace octavo::quant {
namespace {

using base::format_bytes;

// Whether `inner` is `outer` or lies in it, links resolved.
bool lies_within(const std::string& inner, const std::string& outer) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path a = fs::weakly_canonical(inner, error), b = fs::weakly_canonical(outer, error);
  if (error) return false;
  const auto [at_a, at_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return at_b == b.end();
}

// Whether Octavo or another quantizer made the folder: a float model is someone's original.
bool is_quantized_model(const std::string& folder) {
  if (!base::is_folder(folder)) return false;
  if (base::path_exists(base::join_path(folder, "quant_report.json"))) return true;
  const auto config = base::read_json_file(base::join_path(folder, "config.json"));
  return config.ok() && config->find("quantization_config") != nullptr;
}

Status check_target(const Job& job) {
  if (job.target.empty()) return invalid_argument("no target folder was named");
  if (lies_within(job.source, job.target)) {
    return invalid_argument("the target " + base::quoted(job.target) + " holds the source " +
                            base::quoted(job.source) + "; name another folder");
  }
  if (!base::path_exists(job.target)) return {};
  if (!job.overwrite) {
    return invalid_argument("the target " + base::quoted(job.target) +
                            " exists; name another folder, or replace it with --overwrite");
  }
  if (is_quantized_model(job.target)) return {};
  return invalid_argument(
      "the target " + base::quoted(job.target) +
      " exists and is no quantized model (it has no quant_report.json, and no config.json "
      "with quantization_config), so --overwrite does not replace it; name another folder");
}

Status check_is_float(const format::Checkpoint& source) {
  std::string how;
  if (const base::Json* section = source.config().find("quantization_config");
      section != nullptr && !section->is_null()) {  // of whatever method: none need be one that Octavo knows
    const base::Json* method = section->find("quant_method");
    how = method != nullptr && method->is_string() ? method->as_string() : "quantization_config";
  } else {
    OCTAVO_ASSIGN_OR_RETURN(const format::QuantManifest manifest, format::QuantManifest::read(source));
    if (manifest.empty()) return {};
    how = manifest.description();
  }
  return invalid_argument(source.folder() + " is already quantized (" + base::quoted(how) +
                          "); quantize the float checkpoint that it was made from");
}

// The files that the target takes over unchanged: a broken one would make a folder that cannot be used.
Status check_carried_files(const std::string& source, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (!name.ends_with(".json")) continue;
    const std::string path = base::join_path(source, name);
    OCTAVO_ASSIGN_OR_RETURN(const base::Json tree, base::read_json_file(path));
    if (!tree.is_object()) {
      return corrupt(path + ": expected a JSON object, found " + tree.type_name());
    }
    if (name == "tokenizer.json") {
      const auto tokenizer = text::Tokenizer::load(source);
      if (!tokenizer.ok()) return tokenizer.status();
    }
  }
  return {};
}

uint64_t linear_elements(const model::ModelConfig& c) {
  const int64_t attention = c.d_model * (2 * c.q_width() + 2 * c.kv_width());
  return static_cast<uint64_t>(attention + 3 * c.d_model * c.d_ff);
}

// Peak of each stage, from what it holds; independent of the number of layers.
uint64_t estimate_memory(const Preflight& flight) {
  const model::ModelConfig& c = flight.config;
  uint64_t widest = 2, embedding = 0;  // bytes of a weight in memory
  for (const format::TensorInfo* info : flight.source.tensors()) {
    if (info->dtype != tensor::DType::kBF16) widest = 4;
    embedding = std::max(embedding, static_cast<uint64_t>(info->n_elements()) * widest);
  }
  const uint64_t n_linear = linear_elements(c);
  // The float layer; beside it a candidate's codes, once plain and once packed, or the packed float layer.
  uint64_t layer = n_linear * (widest + 3);
  uint64_t samples = 0;
  if (!flight.samples.empty()) {
    uint64_t n_tokens = 0, longest = 0;
    for (const data::TokenSample& sample : flight.samples) {
      n_tokens += sample.ids.size();
      longest = std::max<uint64_t>(longest, sample.ids.size());
    }
    const uint64_t row = static_cast<uint64_t>(c.d_model) * sizeof(float);
    const uint64_t searched = std::min<uint64_t>(n_tokens, kMaxSearchTokens + 4 * longest);
    const uint64_t batch = std::max<uint64_t>(longest, CalibrationSet::kMaxBatchRows);
    const int64_t widths = 2 * c.d_model + 2 * c.q_width() + 2 * c.kv_width() + 2 * c.d_ff;
    const int64_t rows_read = std::max({c.d_model, c.q_width(), c.d_ff}) * 2;
    samples = n_tokens * row + 4 * searched * row +
              batch * static_cast<uint64_t>(widths + rows_read) * sizeof(float);
    layer = std::max(layer, 2 * n_linear * widest);
    layer = std::max(layer, embedding);
  }
  constexpr uint64_t kProgram = uint64_t{64} << 20;  // code, tokenizer, buffers of reading and writing
  return kProgram + layer + samples;
}

constexpr size_t kFewSamples = 2;   // of one, what a choice is searched on is also what it is judged on
constexpr size_t kFewTokens = 256;  // fewer do not show every outlier channel

void warn_of_little_calibration(Preflight& flight) {
  if (flight.samples.empty()) return;
  size_t n_tokens = 0;
  for (const data::TokenSample& sample : flight.samples) n_tokens += sample.ids.size();
  const size_t n_samples = flight.samples.size();
  if (n_samples >= kFewSamples && n_tokens >= kFewTokens) return;
  flight.warnings.push_back("calibration: samples: " + std::to_string(n_samples) +
                            ", tokens: " + std::to_string(n_tokens) + "; with fewer than " +
                            std::to_string(kFewSamples) + " samples or " + std::to_string(kFewTokens) +
                            " tokens, smoothing is chosen on too little text to be trusted");
}

Status check_room(const Job& job, const Preflight& flight) {
  OCTAVO_RETURN_IF_ERROR(base::check_disk_room(job.target, flight.plan.n_bytes, "the target"));
  const uint64_t available = base::available_memory_bytes();
  if (flight.memory_bytes <= available) return {};
  return resource_exhausted(
      "quantizing needs about " + format_bytes(flight.memory_bytes) + " of memory, " +
      format_bytes(available) + " are available" +
      (flight.samples.empty() ? "" : "; fewer or shorter calibration samples need less"));
}

Result<std::vector<data::TokenSample>> load_samples(const Job& job, const model::ModelConfig& config) {
  const std::string recipe = "recipe " + base::quoted(job.recipe.name);
  if (job.load_samples) {
    auto samples = job.load_samples(config.max_positions);
    if (samples.ok() && samples->empty() && job.recipe.needs_calibration()) {
      return invalid_argument(recipe + " needs calibration samples, and there is not one");
    }
    return samples;
  }
  if (!job.recipe.needs_calibration()) return std::vector<data::TokenSample>();
  return invalid_argument(
      recipe +
      " smooths, or fixes the scales of activations, and needs calibration text: name some "
      "(ceval:FOLDER, text:FILE or jsonl:FILE), or take the recipe rtn-w8a8, which needs none");
}

}  // namespace

Result<Preflight> preflight(const Job& job) {
  OCTAVO_CHECK(job.layout != QuantLayout::kAscend);  // read only; no option asks for it
  OCTAVO_RETURN_IF_ERROR(check_target(job));
  OCTAVO_ASSIGN_OR_RETURN(format::Checkpoint source, format::Checkpoint::open(job.source));
  OCTAVO_RETURN_IF_ERROR(check_is_float(source));
  Preflight flight(std::move(source));
  OCTAVO_ASSIGN_OR_RETURN(
      flight.config,
      model::parse_model_config(flight.source.config(), base::join_path(job.source, "config.json")));
  OCTAVO_RETURN_IF_ERROR(model::check_tensors(flight.source, flight.config));
  OCTAVO_ASSIGN_OR_RETURN(flight.policy, resolve_policy(job.recipe, flight.config));
  flight.warnings = flight.policy.warnings;
  flight.plan = plan_target(flight.source, flight.config, flight.policy, job.layout);
  for (const format::TensorInfo* info : flight.source.tensors()) flight.source_bytes += info->n_bytes;
  OCTAVO_ASSIGN_OR_RETURN(flight.carried_files, carried_files(job.source));
  OCTAVO_RETURN_IF_ERROR(check_carried_files(job.source, flight.carried_files));
  OCTAVO_ASSIGN_OR_RETURN(flight.samples, load_samples(job, flight.config));
  warn_of_little_calibration(flight);
  flight.memory_bytes = estimate_memory(flight);
  OCTAVO_RETURN_IF_ERROR(check_room(job, flight));
  return flight;
}

std::string Preflight::text() const {
  const int64_t n_linear = config.n_layers * model::kNLinearSlots;
  std::string text =
      std::string(config.arch->architecture) + ": " + std::to_string(config.n_layers) + " layers, " +
      std::to_string(policy.n_quantized) + " of " + std::to_string(n_linear) + " linears become int8" +
      (policy.n_static > 0 ? ", " + std::to_string(policy.n_static) + " with static inputs" : "") + "\n";
  text += "weights: " + format_bytes(source_bytes) + " -> " + format_bytes(plan.n_bytes) + "\n";
  if (!samples.empty()) {
    size_t n_tokens = 0;
    for (const data::TokenSample& sample : samples) n_tokens += sample.ids.size();
    text += "calibration: " + std::to_string(samples.size()) + " samples, " + std::to_string(n_tokens) +
            " tokens\n";
  }
  text += "memory: about " + format_bytes(memory_bytes) + "\n";
  for (const std::string& warning : warnings) text += "warning: " + warning + "\n";
  return text;
}

}  // namespace octavo::quant
