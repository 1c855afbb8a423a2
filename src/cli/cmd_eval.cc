// octavo eval: perplexity of a model on a text, and its distance from the model it was made from.
#include <cmath>
#include <cstdio>

#include "octavo/evaluate.h"

#include "base/json.h"
#include "base/text_format.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/diagnostics.h"
#include "cli/progress_bar.h"

namespace octavo::cli {

namespace {

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char buffer[160];
  std::snprintf(buffer, sizeof(buffer), pattern, args...);
  return buffer;
}

std::string interval(const Estimate& estimate) {
  return std::isfinite(estimate.half_width) ? format("%.5f ± %.5f", estimate.mean, estimate.half_width)
                                            : format("%.5f (one window: no interval)", estimate.mean);
}

base::Json interval_json(const Estimate& estimate) {
  base::Json out;
  out.set("mean", estimate.mean);
  out.set("half_width_95", estimate.half_width);
  return out;
}

class Eval : public Command {
 public:
  void declare(Options& options) override {
    options.positional("MODEL", options_.model, "A model folder");
    options.option("--text", "FILE", options_.text_file, "UTF-8 text to predict");
    options.required();
    options.option("--window", "N", options_.window_tokens,
                   "Tokens a window, capped at the model's context; default: 2048");
    options.option("--max-windows", "N", options_.max_windows,
                   "Stop after so many windows; default: the whole text");
    options.option("--against", "BASE", options_.base,
                   "A model folder to compare with: KL(BASE || MODEL), agreement");
    options.option("--kv-cache-dtype", "TYPE", options_.kv_cache_dtype,
                   "Keys and values of MODEL: auto (its own type) or int8; default: auto");
    options.option("--lm-head-dtype", "TYPE", options_.lm_head_dtype,
                   "lm_head of MODEL: auto (as it is) or int8; default: auto");
    options.threads(options_.n_threads);
    options.flag("--json", json_, "One JSON object instead of text");
    options.epilogue(
        "The text is tokenized whole and cut into windows that do not overlap; a last, shorter one is "
        "dropped. A model\n"
        "that expects a BOS token sees one in the place of each window's first token. ± is a 95 % interval "
        "over\n"
        "windows (Student's t), paired when comparing.");
  }

  int run() override {
    if (options_.window_tokens < 2) return report_usage("--window: expected at least 2 tokens", "eval");
    if (options_.max_windows.value_or(1) < 1)
      return report_usage("--max-windows: expected at least 1", "eval");
    Result<EvaluateReport> report = [&] {
      ProgressBar bar;
      return evaluate(options_, &bar);
    }();
    if (!report.ok()) return report_error(report.status());
    const Status printed = print(json_ ? to_json(*report).dump(2) + "\n" : to_text(*report));
    return printed.ok() ? kExitOk : report_error(printed);
  }

 private:
  static std::string to_text(const EvaluateReport& report) {
    std::string text = format("perplexity            %.4f\n", report.perplexity);
    text += "nats a token          " + interval(report.nll) + "\n";
    if (const auto& against = report.against) {
      text += format("perplexity of base    %.4f\n", against->base_perplexity);
      text += "nats over base        " + interval(against->nll_difference) + "\n";
      text +=
          "KL(base || model)     " + interval(against->kl) + format(", largest %.4f", against->max_kl) + "\n";
      text += format("same first choice     %.2f %%\n", 100 * against->top1_agreement);
    }
    return text + "windows, tokens       " + std::to_string(report.n_windows) + ", " +
           std::to_string(report.n_tokens) + "\ntime                  " +
           base::format_duration(report.seconds) + "\n";
  }

  static base::Json to_json(const EvaluateReport& report) {
    base::Json out;
    out.set("schema_version", 1);
    out.set("perplexity", report.perplexity);
    out.set("nll", interval_json(report.nll));
    out.set("n_windows", report.n_windows);
    out.set("n_tokens", report.n_tokens);
    if (const auto& against = report.against) {
      base::Json inner;
      inner.set("base_perplexity", against->base_perplexity);
      inner.set("nll_difference", interval_json(against->nll_difference));
      inner.set("kl", interval_json(against->kl));
      inner.set("max_kl", against->max_kl);
      inner.set("top1_agreement", against->top1_agreement);
      out.set("against", std::move(inner));
    }
    out.set("seconds", report.seconds);
    return out;
  }

  EvaluateOptions options_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_eval() { return std::make_unique<Eval>(); }

}  // namespace octavo::cli
