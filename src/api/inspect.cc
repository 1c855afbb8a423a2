// What a path is, for people and for programs: format/inspect.cc's findings, whether the model's own parts
// fit together, and whether this build can run it. Broken is what a tool that wrote the files got wrong; a
// whole checkpoint of a kind that Octavo does not run is healthy. Called by cli/cmd_inspect.cc.
#include "octavo/inspect.h"

#include <utility>

#include "api/generation_defaults.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text_format.h"
#include "format/checkpoint.h"
#include "format/inspect.h"
#include "model/config.h"
#include "model/weights.h"
#include "text/tokenizer.h"

namespace octavo {

namespace {

using base::Json;

// Sorts an error into what is broken ("problems") and what is merely not runnable.
void sort_finding(const Status& status, Json& problems, Status& obstacle) {
  if (status.ok()) return;
  if (status.code() != StatusCode::kUnsupported) problems.push_back(status.message());
  if (obstacle.ok()) obstacle = status;
}

// Config, tensors and tokenizer as running the model would read them.
Status check_folder(const std::string& path, Json& report, Json& problems) {
  OCTAVO_ASSIGN_OR_RETURN(const format::Checkpoint checkpoint, format::Checkpoint::open(path));
  Status obstacle;
  const auto config = model::parse_model_config(checkpoint.config(), base::join_path(path, "config.json"));
  sort_finding(config.status(), problems, obstacle);
  if (config.ok()) sort_finding(model::check_tensors(checkpoint, *config), problems, obstacle);
  const Status tokenizer = text::Tokenizer::load(path).status();
  if (config.ok()) {
    const auto defaults = api::read_generation_defaults(
        checkpoint.generation_config(), base::join_path(path, "generation_config.json"), config->n_vocab);
    sort_finding(defaults.status(), problems, obstacle);
  }
  const bool has_tokenizer =
      tokenizer.code() != StatusCode::kNotFound;  // without one it still runs on token ids
  if (has_tokenizer) sort_finding(tokenizer, problems, obstacle);
  report.set("has_tokenizer", has_tokenizer);
  const auto& found = problems.as_array();  // a NaN stops a model too
  if (obstacle.ok() && !found.empty()) obstacle = corrupt(found.front().as_string());
  report.set("runnable", obstacle.ok());
  report.set("not_runnable_reason", obstacle.ok() ? Json() : Json(obstacle.message()));
  return {};
}

std::string text_of(const Json* value) {
  if (value == nullptr || value->is_null()) return "";
  return value->is_string() ? value->as_string() : value->dump();
}

uint64_t count_of(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value != nullptr && value->is_number() ? static_cast<uint64_t>(value->as_double()) : 0;
}

// 7409024 -> "7,409,024"
std::string grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string tensors_and_bytes(const Json& object) {
  const uint64_t n_tensors = count_of(object, "n_tensors");
  return grouped(n_tensors) + (n_tensors == 1 ? " tensor, " : " tensors, ") +
         base::format_bytes(count_of(object, "n_bytes"));
}

std::string describe_quantization(const Json* quantization) {
  if (quantization == nullptr || quantization->is_null()) return "none";
  const std::string description = text_of(quantization->find("description"));
  return description.empty() ? base::quoted(text_of(quantization->find("method"))) : description;
}

template <class Line>
void describe_scheme(const Json* quantization, const Line& line) {
  if (quantization == nullptr || quantization->find("weight_bits") == nullptr) return;
  const auto value = [&](std::string_view key) { return text_of(quantization->find(key)); };
  line("  weights", "int" + value("weight_bits") + ", a scale per " + value("weight_strategy") + ", scales " +
                        (value("scale_dtype").empty() ? "missing" : value("scale_dtype")));
  const std::string bits = value("input_bits");
  line("  inputs", bits.empty() ? "float" : "int" + bits + ", " + value("input_strategy"));
  line("  linears", value("n_int8_linears") + " int8, " + value("n_float_linears") + " float");
  std::string ignored;
  const Json* ignore = quantization->find("ignore");
  for (const Json& name : ignore->is_array() ? ignore->as_array() : base::JsonArray{})
    ignored += (ignored.empty() ? "" : ", ") + text_of(&name);
  line("  ignore", ignored.empty() ? "none" : ignored);
}

std::string for_people(const Json& report) {
  std::string text;
  const auto line = [&text](std::string name, const std::string& value) {
    name.resize(15, ' ');
    text += name + value + "\n";
  };
  const bool is_folder = text_of(report.find("kind")) == "model folder";
  line("path", text_of(report.find("path")));
  line("kind", text_of(report.find("kind")));
  if (is_folder) {
    line("architecture",
         text_of(report.find("architecture")) + " (" + text_of(report.find("model_type")) + ")");
    const Json* quantization = report.find("quantization");
    line("quantization", describe_quantization(quantization));
    describe_scheme(quantization, line);
  }
  line("parameters", grouped(count_of(report, "n_parameters")));
  line("tensors", tensors_and_bytes(report));
  for (const auto& [name, count] : report.find("dtypes")->as_object())
    line("  " + name, tensors_and_bytes(count));
  for (const Json& file : report.find("files")->as_array()) {
    line("file", text_of(file.find("name")) + ": " + tensors_and_bytes(file));
  }
  for (const auto& [key, value] : report.find("metadata")->as_object()) {
    line("metadata", base::quoted(key) + " = " + base::quoted(text_of(&value)));
  }
  if (is_folder) {
    line("fingerprint", text_of(report.find("fingerprint")));
    const Json* reason = report.find("not_runnable_reason");
    line("tokenizer", report.find("has_tokenizer")->as_bool() ? "yes" : "no: runs on token ids alone");
    line("runs here", reason->is_null() ? "yes" : "no: " + text_of(reason));
  }
  const auto& problems = report.find("problems")->as_array();
  for (const Json& problem : problems) line("problem", text_of(&problem));
  line("healthy", problems.empty() ? "yes" : "no");
  return text;
}

}  // namespace

Result<InspectReport> inspect(const std::string& path) {
  OCTAVO_ASSIGN_OR_RETURN(Json report, format::inspect_path(path));
  Json problems = *report.find("problems");
  if (base::is_folder(path)) {
    OCTAVO_RETURN_IF_ERROR(check_folder(path, report, problems));
  }
  InspectReport out;
  out.healthy = problems.as_array().empty();
  if (!out.healthy) out.reason = problems.as_array().front().as_string();
  report.set("problems", std::move(problems));
  report.set("healthy", out.healthy);
  report.set("reason", out.healthy ? Json() : Json(out.reason));
  out.text = for_people(report);
  Json versioned;
  versioned.set("schema_version", 1);
  for (auto& [key, value] : report.as_object()) versioned.set(key, std::move(value));
  out.json = versioned.dump(2);
  return out;
}

}  // namespace octavo
