// Perplexity of model folders on a text file: opens what eval/perplexity.cc measures and makes one report of
// it. Called by cli/cmd_eval.cc.
#include "octavo/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/text_format.h"
#include "engine/loaded_model.h"
#include "eval/perplexity.h"
#include "text/tokenizer.h"

namespace octavo {

namespace {

struct TextTokens {
  std::vector<int32_t> ids;
  std::optional<int32_t> bos;  // what the tokenizer puts before every text
};

Result<TextTokens> tokenize(const std::string& folder, const std::string& text) {
  OCTAVO_ASSIGN_OR_RETURN(const text::Tokenizer tokenizer, text::Tokenizer::load(folder));
  TextTokens tokens;
  OCTAVO_ASSIGN_OR_RETURN(tokens.ids, tokenizer.encode(text, /*add_special_tokens=*/false));
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<int32_t> around,
                          tokenizer.encode("", /*add_special_tokens=*/true));
  if (!around.empty() && around.front() != tokenizer.eos_id()) tokens.bos = around.front();
  return tokens;
}

Estimate to_estimate(const eval::MeanEstimate& estimate) { return {estimate.mean, estimate.half_width}; }

EvaluateReport to_report(const eval::PerplexityResult& result) {
  EvaluateReport report;
  report.n_windows = result.n_windows;
  report.n_tokens = result.n_predicted;
  report.perplexity = std::exp(result.nll.mean);
  report.nll = to_estimate(result.nll);
  if (const auto& against = result.against) {
    report.against = {std::exp(against->base_nll), to_estimate(against->nll_difference),
                      to_estimate(against->kl), against->max_kl, against->top1_agreement};
  }
  return report;
}

}  // namespace

Result<EvaluateReport> evaluate(const EvaluateOptions& options, Progress* progress) {
  const auto start = std::chrono::steady_clock::now();
  engine::LoadOptions load;
  load.n_threads = options.n_threads;
  OCTAVO_ASSIGN_OR_RETURN(load.kv_type, model::kv_type_from_name(options.kv_cache_dtype));
  OCTAVO_ASSIGN_OR_RETURN(load.head_type, model::head_type_from_name(options.lm_head_dtype));
  OCTAVO_ASSIGN_OR_RETURN(const std::string text, base::read_file(options.text_file));
  if (!base::is_valid_utf8(text)) {
    return invalid_argument(options.text_file + ": expected UTF-8, found an invalid byte at offset " +
                            std::to_string(base::valid_utf8_prefix(text)));
  }
  OCTAVO_ASSIGN_OR_RETURN(const TextTokens tokens, tokenize(options.model, text));
  OCTAVO_ASSIGN_OR_RETURN(const auto model, engine::LoadedModel::load(options.model, load));
  std::unique_ptr<engine::LoadedModel> base;
  if (!options.base.empty()) {
    OCTAVO_ASSIGN_OR_RETURN(const TextTokens base_tokens, tokenize(options.base, text));
    if (base_tokens.ids != tokens.ids || base_tokens.bos != tokens.bos) {
      return invalid_argument("cannot compare " + options.model + " with " + options.base +
                              ": their tokenizers cut the text differently");
    }
    OCTAVO_ASSIGN_OR_RETURN(base, engine::LoadedModel::load(options.base, {.n_threads = options.n_threads}));
  }
  eval::PerplexityOptions perplexity_options;
  perplexity_options.window_tokens = options.window_tokens;
  perplexity_options.max_windows = options.max_windows;
  perplexity_options.bos = tokens.bos;
  OCTAVO_ASSIGN_OR_RETURN(
      const eval::PerplexityResult result,
      eval::measure_perplexity(*model, base.get(), tokens.ids, perplexity_options, progress));
  EvaluateReport report = to_report(result);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace octavo
