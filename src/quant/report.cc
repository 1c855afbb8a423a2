// The report's JSON. Errors of a block are means of squares at its output over samples that no choice has
// seen, against the float block; "relative" divides by the mean square of the float output. Called by
// pipeline.cc.
#include "quant/report.h"

#include <map>

#include "octavo/version.h"

#include "base/hash.h"
#include "model/arch/arch_spec.h"

namespace octavo::quant {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;

Json block_json(const BlockError& plain, const BlockError& chosen) {
  return JsonObject{{"mse_plain", plain.error},
                    {"mse", chosen.error},
                    {"relative_plain", plain.relative()},
                    {"relative", chosen.relative()}};
}

Json group_json(const GroupChoice& choice, SmoothRule rule) {
  if (choice.rule == FoldRule::kNone) return JsonObject{{"strength", nullptr}, {"smoothed", false}};
  Json tree = JsonObject{{"strength", choice.strength ? Json(*choice.strength) : Json()},
                         {"smoothed", choice.strength.has_value()},
                         {"powers_of_two", choice.rule == FoldRule::kPowersOfTwo}};
  if (rule == SmoothRule::kSearch) {
    tree.set("mse_none", choice.held_out_none.error);
    tree.set("mse_best", choice.held_out_best.error);
  }
  return tree;
}

Json layer_json(const model::ModelConfig& config, int64_t layer, const LayerRecord& record, SmoothRule rule,
                bool calibrated) {
  Json tree;
  tree.set("layer", layer);
  if (calibrated) {
    Json groups, blocks;
    for (const SmoothGroup group : kSmoothGroups) {
      groups.set(smooth_group_name(group),
                 group_json(record.choice.groups[static_cast<size_t>(group)], rule));
    }
    for (const Block block : kBlocks) {
      const auto index = static_cast<size_t>(block);
      blocks.set(block_name(block),
                 block_json(record.choice.held_out_plain[index], record.choice.held_out_chosen[index]));
    }
    tree.set("smooth", std::move(groups));
    tree.set("blocks", std::move(blocks));
  }
  Json linears;
  for (size_t slot = 0; slot < record.policy.size(); ++slot) {
    const bool is_float = record.policy[slot].scheme == Scheme::kFloat;
    Json linear = JsonObject{{"scheme", is_float ? "float" : "w8a8"}};
    if (!is_float) {
      linear.set("weight_sqnr_db", record.rounding[slot].sqnr_db());
      linear.set("activations", activations_name(record.policy[slot].activations));
    }
    if (const auto& input = record.input[slot]) {
      linear.set("input_scale", static_cast<double>(input->scale[0]));
      linear.set("input_zero_point", input->zero_point);
    }
    linears.set(config.arch->linear[slot], std::move(linear));
  }
  tree.set("linears", std::move(linears));
  return tree;
}

Json calibration_json(const Job& job, const Preflight& flight, const RunRecord& run) {
  if (flight.samples.empty()) return nullptr;
  struct Count {
    int64_t samples = 0, tokens = 0;
  };
  std::map<std::string, Count> subjects;
  Count all;
  for (const data::TokenSample& sample : flight.samples) {
    for (Count* count : {&all, &subjects[sample.subject]}) {
      ++count->samples;
      count->tokens += static_cast<int64_t>(sample.ids.size());
    }
  }
  Json tree = job.calibration.is_object() ? job.calibration : Json(JsonObject{});
  tree.set("n_samples", all.samples);
  tree.set("n_tokens", all.tokens);
  tree.set("n_fit_samples", static_cast<int64_t>(run.n_fit_samples));
  tree.set("n_held_out_samples", static_cast<int64_t>(run.n_held_out_samples));
  subjects.erase("");  // of samples that have none
  if (subjects.empty()) return tree;
  Json by_subject = JsonObject{};
  for (const auto& [subject, count] : subjects) {
    by_subject.set(subject, JsonObject{{"n_samples", count.samples}, {"n_tokens", count.tokens}});
  }
  tree.set("subjects", std::move(by_subject));
  return tree;
}

}  // namespace

Json make_report(const Job& job, const Preflight& flight, const RunRecord& run) {
  Json tree;
  tree.set("schema_version", kReportSchemaVersion);
  tree.set("octavo_version", kVersion);
  tree.set("numerics_version", kNumericsVersion);
  tree.set("source", JsonObject{{"architecture", flight.config.arch->architecture},
                                {"fingerprint", base::hex(flight.source.fingerprint())},
                                {"n_bytes", flight.source_bytes}});
  tree.set("target", JsonObject{{"layout", format::layout_name(job.layout)},
                                {"n_bytes", flight.plan.n_bytes},
                                {"n_int8_linears", flight.policy.n_quantized},
                                {"n_static_inputs", flight.policy.n_static}});
  tree.set("recipe", job.recipe.to_json());
  tree.set("calibration", calibration_json(job, flight, run));
  tree.set("warnings", JsonArray(flight.warnings.begin(), flight.warnings.end()));
  JsonArray layers;
  for (size_t layer = 0; layer < run.layers.size(); ++layer) {
    layers.push_back(layer_json(flight.config, static_cast<int64_t>(layer), run.layers[layer],
                                job.recipe.rule, !flight.samples.empty()));
  }
  tree.set("layers", std::move(layers));
  JsonArray passes;
  for (const PassSeconds& pass : run.passes) {
    passes.push_back(JsonObject{{"name", pass.name}, {"seconds", pass.seconds}});
  }
  tree.set("passes", std::move(passes));
  tree.set("seconds", run.seconds);
  tree.set("peak_resident_bytes", run.peak_resident_bytes);
  tree.set("isa", run.isa);
  tree.set("n_threads", run.n_threads);
  return tree;
}

}  // namespace octavo::quant
