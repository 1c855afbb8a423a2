#pragma once
// Perplexity of a model on windows of tokens, alone or beside a base model. The protocol:
// - The text is tokenized whole, without special tokens, and cut into windows of equal length that do not
//   overlap; a last, shorter one is dropped unless it is the only one.
// - A model whose tokenizer begins every text with a BOS sees it first in every window, in the place of the
//   window's first token; both kinds of model then predict the same window - 1 tokens.
// - Every token of a window but its first is predicted from those before it in the window.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "octavo/progress.h"
#include "octavo/status.h"

#include "engine/loaded_model.h"
#include "eval/estimate.h"

namespace octavo::eval {

struct PerplexityOptions {
  int64_t window_tokens = 2048;        // >= 2; capped at max_context of the models
  std::optional<int64_t> max_windows;  // >= 1
  std::optional<int32_t> bos;
};

struct PerplexityResult {
  int64_t window_tokens = 0, n_windows = 0;
  int64_t n_predicted = 0;
  MeanEstimate nll;  // nats a token, over windows
  struct Against {
    double base_nll = 0;
    MeanEstimate nll_difference;  // model - base, paired by window
    MeanEstimate kl;              // KL(base || model)
    double max_kl = 0;            // of one token
    double top1_agreement = 0;    // share of predicted tokens
  };
  std::optional<Against> against;
};

// base: nullptr, or a model of the same vocabulary. Holds both models' mutexes. Errors: options out of range,
// fewer than two tokens, vocabularies that differ, logits that are not finite, kCancelled.
Result<PerplexityResult> measure_perplexity(engine::LoadedModel& model, engine::LoadedModel* base,
                                            std::span<const int32_t> tokens, const PerplexityOptions& options,
                                            Progress* progress);

// The windows of the protocol above, each of `length` tokens at most.
std::vector<std::vector<int32_t>> cut_windows(std::span<const int32_t> tokens, int64_t length,
                                              std::optional<int64_t> max_windows, std::optional<int32_t> bos);

}  // namespace octavo::eval
