// octavo quantize: a float checkpoint to a quantized one.
#include <algorithm>

#include "octavo/quantize.h"

#include "base/file.h"
#include "base/json.h"
#include "base/text_format.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/diagnostics.h"
#include "cli/progress_bar.h"

namespace octavo::cli {

namespace {

std::string preset_names() {
  std::string text;
  for (const std::string& name : quantize_presets()) text += (text.empty() ? "" : ", ") + name;
  return text;
}

class Quantize : public Command {
 public:
  void declare(Options& options) override {
    options.positional("SRC", options_.source, "A float model folder");
    options.option("-o,--output", "DST", options_.target, "The folder to write; it must not exist");
    options.required();
    options.option(
        "--recipe", "NAME|FILE", options_.recipe,
        "How to quantize: " + preset_names() + ", or a YAML or JSON file; default: " + options_.recipe);
    options.option("--calib", "DATA", options_.calibration,
                   "Calibration texts: ceval:DIR[@split], text:FILE or jsonl:FILE");
    options.option("--samples", "N", options_.n_samples, "Calibration samples; default: 128");
    options.option("--length", "N", options_.length_tokens, "Tokens a sample is cut to; default: 512");
    options.option("--seed", "N", options_.seed, "Of the choice of samples; default: 0");
    options.option("--format", "NAME", format_,
                   "Layout of DST: compressed-tensors or golden-stick; default: " + format_);
    options.threads(options_.n_threads);
    options.flag("--overwrite", options_.overwrite, "Replace DST if it exists");
    options.flag("--dry-run", options_.dry_run, "Check and plan, write nothing");
    options.flag("--json", json_, "One JSON object instead of text");
  }

  int run() override {
    for (const Status& status : {check_recipe(), check_calibration(), read_format()}) {
      if (!status.ok()) return report_usage(status.message(), "quantize");
    }
    Result<QuantizeReport> report = [&] {
      ProgressBar bar;
      return quantize(options_, &bar);
    }();
    if (!report.ok()) return report_error(report.status());
    const Status printed = print(json_ ? to_json(*report).dump(2) + "\n" : to_text(*report));
    return printed.ok() ? kExitOk : report_error(printed);
  }

 private:
  // A word that is neither a file nor a preset is a misspelt preset.
  Status check_recipe() const {
    const std::vector<std::string> presets = quantize_presets();
    const bool known = std::find(presets.begin(), presets.end(), options_.recipe) != presets.end();
    if (known || base::path_exists(options_.recipe)) return {};
    const std::string near = base::nearest(options_.recipe, presets);
    return invalid_argument(
        "--recipe: no preset or file " + base::quoted(options_.recipe) +
        (near.empty() ? "; the presets are " + preset_names() : "; did you mean '" + near + "'?"));
  }

  Status check_calibration() const {
    const std::string& data = options_.calibration;
    if (!data.empty()) {
      const std::vector<std::string> kinds = {"ceval", "text", "jsonl"};
      const std::string kind = data.substr(0, data.find(':'));
      if (kind == data || std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
        const std::string near = base::nearest(kind, kinds);
        return invalid_argument(
            "--calib: expected ceval:DIR, text:FILE or jsonl:FILE, found " + base::quoted(data) +
            (near.empty() || near == kind ? std::string() : "; did you mean '" + near + ":'?"));
      }
    }
    if (options_.n_samples < 1) return invalid_argument("--samples: expected at least 1");
    if (options_.length_tokens < 1) return invalid_argument("--length: expected at least 1");
    return {};
  }

  Status read_format() {
    const Result<OutputFormat> format = parse_output_format(format_);
    if (!format.ok()) return format.status().with_context("--format");
    options_.format = *format;
    return {};
  }

  std::string to_text(const QuantizeReport& report) const {
    std::string text = report.plan;
    if (!text.empty() && text.back() != '\n') text += '\n';
    if (options_.dry_run) return text;
    text += "\nwrote " + options_.target + ": " + base::format_bytes(report.target_bytes) + " from " +
            base::format_bytes(report.source_bytes) + " in " + base::format_duration(report.seconds) +
            ", at most " + base::format_bytes(report.peak_resident_bytes) + " resident\n";
    size_t width = 0;
    for (const PassTime& pass : report.passes) width = std::max(width, pass.name.size());
    for (const PassTime& pass : report.passes) {
      text += "  " + pass.name + std::string(width - pass.name.size() + 2, ' ') +
              base::format_duration(pass.seconds) + "\n";
    }
    return text;
  }

  base::Json to_json(const QuantizeReport& report) const {
    base::Json out;
    out.set("schema_version", 1);
    out.set("target", options_.target);
    out.set("dry_run", options_.dry_run);
    out.set("plan", report.plan);
    out.set("source_bytes", report.source_bytes);
    out.set("target_bytes", report.target_bytes);
    out.set("peak_resident_bytes", report.peak_resident_bytes);
    out.set("seconds", report.seconds);
    base::JsonArray passes;
    for (const PassTime& pass : report.passes) {
      base::Json entry;
      entry.set("name", pass.name);
      entry.set("seconds", pass.seconds);
      passes.push_back(std::move(entry));
    }
    out.set("passes", std::move(passes));
    if (auto details = base::parse_json(report.json); details.ok())
      out.set("report", std::move(details).value());
    return out;
  }

  QuantizeOptions options_;
  std::string format_ = output_format_names().front();
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_quantize() { return std::make_unique<Quantize>(); }

}  // namespace octavo::cli
