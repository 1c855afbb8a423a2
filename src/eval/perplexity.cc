// Windows through one model or two, row by row (eval/row_distance.h), and the means over windows. The base's
// rows are recomputed beside the model's, so nothing the size of the vocabulary is kept. Called by
// api/evaluate.cc.
//   perplexity = exp(mean nll); intervals treat a window's mean as one sample, paired when comparing
#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <string>

#include "base/check.h"
#include "engine/logits_reader.h"
#include "eval/row_distance.h"

namespace octavo::eval {

namespace {

struct WindowSum {
  double nll = 0, base_nll = 0, kl = 0, max_kl = 0;
  int64_t n_predicted = 0, n_same_top = 0;
};

Status not_finite(const char* which, int64_t position) {
  return internal_error(std::string("the ") + which + "'s logits at position " + std::to_string(position) +
                        " of a window are not finite: its weights or this build's arithmetic are broken");
}

// Adds up one window. Rows are measured in parallel and summed in order.
Result<WindowSum> measure_window(engine::LoadedModel& model, engine::LoadedModel* base,
                                 std::span<const int32_t> window, const Progress* progress) {
  WindowSum sum;
  engine::LogitsReader model_reader(model, window);
  std::optional<engine::LogitsReader> base_reader;
  if (base != nullptr) base_reader.emplace(*base, window);
  std::vector<RowDistance> distances;
  for (;;) {
    if (progress != nullptr && progress->cancelled()) return cancelled("evaluation cancelled");
    OCTAVO_ASSIGN_OR_RETURN(const engine::LogitsReader::Rows rows, model_reader.next());
    engine::LogitsReader::Rows base_rows;
    if (base_reader) {
      OCTAVO_ASSIGN_OR_RETURN(base_rows, base_reader->next());
      OCTAVO_CHECK(base_rows.begin == rows.begin && base_rows.n_rows == rows.n_rows);
    }
    // The row after the window's last token predicts nothing that is known.
    const int64_t n_rows = std::min(rows.n_rows, static_cast<int64_t>(window.size()) - 1 - rows.begin);
    if (n_rows <= 0) return sum;
    distances.resize(static_cast<size_t>(n_rows));
    model.pool().parallel_for(n_rows, [&](int64_t i, int) {
      const int32_t target = window[static_cast<size_t>(rows.begin + i + 1)];
      RowDistance& distance = distances[static_cast<size_t>(i)];
      if (base_reader) {
        distance = row_distance(rows.row(i), base_rows.row(i), target);
      } else {
        distance.nll = negative_log_likelihood(rows.row(i), target);
      }
    });
    for (int64_t i = 0; i < n_rows; ++i) {
      const RowDistance& distance = distances[static_cast<size_t>(i)];
      if (!std::isfinite(distance.nll)) return not_finite("model", rows.begin + i);
      if (!std::isfinite(distance.base_nll) || !std::isfinite(distance.kl))
        return not_finite("base", rows.begin + i);
      sum.nll += distance.nll;
      sum.base_nll += distance.base_nll;
      sum.kl += distance.kl;
      sum.max_kl = std::max(sum.max_kl, distance.kl);
      sum.n_same_top += distance.same_top ? 1 : 0;
    }
    sum.n_predicted += n_rows;
  }
}

PerplexityResult summarize(const std::vector<WindowSum>& windows, int64_t window_tokens, bool compared) {
  PerplexityResult result;
  result.window_tokens = window_tokens;
  result.n_windows = static_cast<int64_t>(windows.size());
  std::vector<double> nll, difference, kl;
  double max_kl = 0;
  double base_nll = 0;
  int64_t n_same_top = 0;
  for (const WindowSum& window : windows) {
    const auto n = static_cast<double>(window.n_predicted);
    nll.push_back(window.nll / n);
    difference.push_back((window.nll - window.base_nll) / n);
    kl.push_back(window.kl / n);
    base_nll += window.base_nll / n;
    max_kl = std::max(max_kl, window.max_kl);
    n_same_top += window.n_same_top;
    result.n_predicted += window.n_predicted;
  }
  result.nll = estimate_mean(nll);
  if (compared) {
    result.against = {base_nll / static_cast<double>(windows.size()), estimate_mean(difference),
                      estimate_mean(kl), max_kl,
                      static_cast<double>(n_same_top) / static_cast<double>(result.n_predicted)};
  }
  return result;
}

}  // namespace

std::vector<std::vector<int32_t>> cut_windows(std::span<const int32_t> tokens, int64_t length,
                                              std::optional<int64_t> max_windows,
                                              std::optional<int32_t> bos) {
  const auto n_tokens = static_cast<int64_t>(tokens.size());
  length = std::min(length, n_tokens);
  const int64_t n_windows = std::min(n_tokens / length, max_windows.value_or(n_tokens));
  std::vector<std::vector<int32_t>> windows;
  for (int64_t w = 0; w < n_windows; ++w) {
    const auto part = tokens.subspan(static_cast<size_t>(w * length), static_cast<size_t>(length));
    windows.emplace_back(part.begin(), part.end());
    if (bos) windows.back().front() = *bos;
  }
  return windows;
}

Result<PerplexityResult> measure_perplexity(engine::LoadedModel& model, engine::LoadedModel* base,
                                            std::span<const int32_t> tokens, const PerplexityOptions& options,
                                            Progress* progress) {
  if (options.window_tokens < 2) {
    return invalid_argument("window: expected at least 2 tokens, found " +
                            std::to_string(options.window_tokens));
  }
  if (options.max_windows.value_or(1) < 1) {
    return invalid_argument("max_windows: expected at least 1, found " +
                            std::to_string(*options.max_windows));
  }
  if (tokens.size() < 2) {
    return invalid_argument("the text has " + std::to_string(tokens.size()) +
                            " tokens; perplexity needs at least 2 (one to predict the other from)");
  }
  int64_t length = std::min(options.window_tokens, model.max_context());
  std::unique_lock model_lock(model.mutex(), std::defer_lock);
  std::unique_lock<base::FairMutex> base_lock;
  if (base != nullptr) {
    if (base->config().n_vocab != model.config().n_vocab) {
      return invalid_argument("cannot compare models of different vocabularies: the model has " +
                              std::to_string(model.config().n_vocab) + " tokens, the base " +
                              std::to_string(base->config().n_vocab));
    }
    length = std::min(length, base->max_context());
    base_lock = std::unique_lock(base->mutex(), std::defer_lock);
    std::lock(model_lock, base_lock);
  } else {
    model_lock.lock();
  }

  const auto windows = cut_windows(tokens, length, options.max_windows, options.bos);
  const auto n_windows = static_cast<int64_t>(windows.size());
  std::vector<WindowSum> sums;
  for (int64_t w = 0; w < n_windows; ++w) {
    if (progress != nullptr) {
      progress->update("window " + std::to_string(w + 1) + "/" + std::to_string(n_windows), w, n_windows);
    }
    OCTAVO_ASSIGN_OR_RETURN(const WindowSum sum,
                            measure_window(model, base, windows[static_cast<size_t>(w)], progress));
    sums.push_back(sum);
  }
  if (progress != nullptr) progress->update("done", n_windows, n_windows);
  return summarize(sums, static_cast<int64_t>(windows.front().size()), base != nullptr);
}

}  // namespace octavo::eval
