// Whole sequences through the model in chunks, and the logits of each chunk in groups of rows. Called by
// eval/perplexity.cc, api/engine.cc and api/engine_scores.cc. Chunk and group sizes change no bit
// (docs/NUMERICS.md); they bound memory.
#include "engine/logits_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace octavo::engine {

namespace {
// 256 rows keep a forward pass busy with products, and its activations small (Qwen3-8B: about 40 MB).
constexpr int64_t kChunkTokens = 256;
// 32 rows of a 151,936-token vocabulary are 19 MB, and share one pass over lm_head.
constexpr int64_t kGroupRows = 32;
}  // namespace

LogitsReader::LogitsReader(LoadedModel& loaded, std::span<const int32_t> tokens, const Progress* progress)
    : loaded_(loaded),
      tokens_(tokens),
      progress_(progress),
      cache_(loaded, static_cast<int64_t>(tokens.size())) {}

Result<LogitsReader::Rows> LogitsReader::next() {
  const auto n_tokens = static_cast<int64_t>(tokens_.size());
  if (position_ == n_tokens) return Rows{position_, 0, {}};
  if (position_ == chunk_end_) {
    chunk_begin_ = chunk_end_;
    chunk_end_ = std::min(n_tokens, chunk_begin_ + kChunkTokens);
    cache_.reserve(chunk_end_);
    const model::BatchSequence sequence{
        tokens_.subspan(static_cast<size_t>(chunk_begin_), static_cast<size_t>(chunk_end_ - chunk_begin_)),
        chunk_begin_, cache_.blocks()};
    OCTAVO_RETURN_IF_ERROR(loaded_.model().forward({&sequence, 1}, cache_.cache(), nullptr, progress_));
  }
  const int64_t n_rows = std::min(kGroupRows, chunk_end_ - position_);
  row_ids_.resize(static_cast<size_t>(n_rows));
  std::iota(row_ids_.begin(), row_ids_.end(), position_ - chunk_begin_);
  logits_.resize(static_cast<size_t>(n_rows * loaded_.config().n_vocab));
  loaded_.model().logits(row_ids_, logits_.data());
  const Rows rows{position_, n_rows, logits_};
  position_ += n_rows;
  return rows;
}

double log_sum_exp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return std::isinf(largest) ? std::numeric_limits<double>::quiet_NaN() : largest + std::log(sum);
}

}  // namespace octavo::engine
