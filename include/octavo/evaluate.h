#pragma once
// Measuring a model: perplexity on non-overlapping windows of a text, and how far it is from a base model.
#include <cstdint>
#include <optional>
#include <string>

#include "octavo/progress.h"
#include "octavo/status.h"

namespace octavo {

struct EvaluateOptions {
  std::string model;  // folder
  // UTF-8; tokenized whole, without special tokens, then cut into windows. A tokenizer that begins every text
  // with a BOS begins every window with it, in the place of the window's first token.
  std::string text_file;
  int64_t window_tokens =
      2048;  // capped at the model's context; a last, shorter window is dropped unless it is the only one
  std::optional<int64_t> max_windows;
  std::string base;  // folder of the model to compare with, or empty; its keys and values are "auto"
  // What the model's keys and values are held as: "auto", its own type, or "int8" (codes, one scale per token
  // and kv head). With the same folder as base: what int8 costs.
  std::string kv_cache_dtype = "auto";
  std::string lm_head_dtype = "auto";  // of the model, in the same way: "auto", as it is, or "int8"
  int n_threads = 0;
};

// mean ± 95 % half-width over windows (Student's t; paired when comparing; infinite with one window).
struct Estimate {
  double mean = 0, half_width = 0;
};

struct EvaluateReport {
  int64_t n_windows = 0, n_tokens = 0;  // tokens predicted: window - 1 each
  double perplexity = 0;                // exp(mean negative log-likelihood)
  Estimate nll;                         // nats a token
  struct Against {
    double base_perplexity = 0;
    Estimate nll_difference;  // model - base, paired by window
    Estimate kl;              // mean KL(base || model), nats a token
    double max_kl = 0;
    double top1_agreement = 0;  // share of positions where both rank the same token first
  };
  std::optional<Against> against;
  double seconds = 0;
};

Result<EvaluateReport> evaluate(const EvaluateOptions& options, Progress* progress = nullptr);

}  // namespace octavo
