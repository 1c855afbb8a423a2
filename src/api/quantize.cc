// octavo::quantize: names become a job (recipe, calibration samples), the job passes its pre-flight check,
// and quant/pipeline.cc carries it out. Called by cli/cmd_quantize.cc.
#include "octavo/quantize.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/text_format.h"
#include "data/ceval.h"
#include "data/dataset.h"
#include "quant/pipeline.h"
#include "quant/preflight.h"
#include "quant/recipe.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace octavo {
namespace {

constexpr std::array<const char*, 2> kFormatNames = {"compressed-tensors",
                                                     "golden-stick"};  // by OutputFormat

// A model without a chat template still takes texts; only messages then have their error.
std::optional<text::ChatTemplate> chat_template_of(const std::string& folder) {
  auto loaded = text::load_chat_template(folder);
  if (!loaded.ok()) return std::nullopt;
  return std::move(loaded).value();
}

Result<std::vector<data::TokenSample>> calibration_samples(const QuantizeOptions& options,
                                                           const data::DatasetSpec& spec,
                                                           int64_t max_positions) {
  OCTAVO_ASSIGN_OR_RETURN(const text::Tokenizer tokenizer, text::Tokenizer::load(options.source));
  const std::optional<text::ChatTemplate> chat_template = chat_template_of(options.source);
  const data::SampleOptions wanted{.n_samples = options.n_samples,
                                   .length_tokens = std::min(options.length_tokens, max_positions),
                                   .seed = options.seed};
  return data::load_samples(spec, wanted, tokenizer, chat_template ? &*chat_template : nullptr);
}

std::vector<data::TokenSample> cut_samples(const QuantizeOptions& options, int64_t max_positions) {
  const auto length = static_cast<size_t>(std::min(options.length_tokens, max_positions));
  std::vector<data::TokenSample> samples;
  for (const std::vector<int32_t>& ids : options.token_samples) {
    const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(length, ids.size()));
    samples.push_back({.ids = {ids.begin(), end}, .subject = ""});
  }
  return samples;
}

base::Json describe_calibration(const QuantizeOptions& options, const data::DatasetSpec& spec) {
  base::Json tree;
  tree.set("data", options.calibration);
  if (!spec.split.empty()) tree.set("split", spec.split);
  tree.set("length_tokens", options.length_tokens);
  tree.set("seed", options.seed);
  return tree;
}

Status set_calibration(const QuantizeOptions& options, quant::Job& job) {
  if (!options.token_samples.empty()) {
    if (options.length_tokens < 2) {
      return invalid_argument("tokens of a calibration sample: expected at least 2, found " +
                              std::to_string(options.length_tokens));
    }
    job.load_samples = [options](int64_t max_positions) -> Result<std::vector<data::TokenSample>> {
      return cut_samples(options, max_positions);
    };
    job.calibration.set("data", "token samples");
    job.calibration.set("length_tokens", options.length_tokens);
  } else if (!options.calibration.empty()) {
    OCTAVO_ASSIGN_OR_RETURN(data::DatasetSpec spec, data::parse_dataset_spec(options.calibration));
    if (spec.kind == data::DatasetSpec::Kind::kCeval) {
      OCTAVO_ASSIGN_OR_RETURN(spec.split, data::ceval_split(spec.path, spec.split));
    }
    job.load_samples = [options, spec](int64_t max_positions) {
      return calibration_samples(options, spec, max_positions);
    };
    job.calibration = describe_calibration(options, spec);
  }
  return {};
}

Result<quant::Job> make_job(const QuantizeOptions& options) {
  quant::Job job;
  job.source = options.source;
  job.target = options.target;
  OCTAVO_ASSIGN_OR_RETURN(job.recipe, options.recipe_text.empty()
                                          ? quant::load_recipe(options.recipe)
                                          : quant::parse_recipe_text(options.recipe_text));
  OCTAVO_RETURN_IF_ERROR(set_calibration(options, job));
  job.layout = options.format == OutputFormat::kGoldenStick ? format::QuantLayout::kGoldenStick
                                                            : format::QuantLayout::kCompressedTensors;
  job.n_threads = options.n_threads;
  job.max_shard_bytes = options.max_shard_bytes;
  job.overwrite = options.overwrite;
  return job;
}

}  // namespace

std::vector<std::string> output_format_names() { return {kFormatNames.begin(), kFormatNames.end()}; }

Result<OutputFormat> parse_output_format(std::string_view name) {
  const std::vector<std::string> names = output_format_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<OutputFormat>(found - names.begin());
  const std::string near = base::nearest(name, names);
  return invalid_argument("no output format " + base::quoted(name) +
                          (near.empty() ? "; expected " + names[0] + " or " + names[1]
                                        : "; did you mean " + base::quoted(near) + "?"));
}

std::vector<std::string> quantize_presets() { return quant::preset_names(); }

Result<QuantizeReport> quantize(const QuantizeOptions& options, Progress* progress) {
  OCTAVO_ASSIGN_OR_RETURN(const quant::Job job, make_job(options));
  OCTAVO_ASSIGN_OR_RETURN(quant::Preflight flight, quant::preflight(job));
  QuantizeReport report;
  report.plan = flight.text();
  report.source_bytes = flight.source_bytes;
  report.target_bytes = flight.plan.n_bytes;
  if (options.dry_run) return report;
  OCTAVO_ASSIGN_OR_RETURN(quant::Outcome outcome, quant::run_pipeline(job, std::move(flight), progress));
  report.peak_resident_bytes = outcome.run.peak_resident_bytes;
  report.seconds = outcome.run.seconds;
  for (const quant::PassSeconds& pass : outcome.run.passes)
    report.passes.push_back({pass.name, pass.seconds});
  report.json = std::move(outcome.report);
  return report;
}

}  // namespace octavo
