// Logits and log-probabilities of given tokens, outside the batching engine but on its model: the mutex is
// handed to the engine's steps between chunks. Called by every surface.
#include <mutex>
#include <optional>
#include <utility>

#include "octavo/engine.h"

#include "api/engine_state.h"
#include "api/public_logprobs.h"
#include "base/memory.h"
#include "base/text_format.h"
#include "engine/logits_reader.h"

namespace octavo {

namespace {

// A sequence that the model can run whole.
Status check_ids(const std::vector<int32_t>& token_ids, const engine::LoadedModel& loaded) {
  const int64_t n_vocab = loaded.config().n_vocab;
  if (token_ids.empty()) return invalid_argument("ids: expected at least one token, found none");
  if (static_cast<int64_t>(token_ids.size()) > loaded.max_context()) {
    return invalid_argument("ids: expected at most " + std::to_string(loaded.max_context()) +
                            " tokens (the context), found " + std::to_string(token_ids.size()));
  }
  for (size_t i = 0; i < token_ids.size(); ++i) {
    if (token_ids[i] >= 0 && token_ids[i] < n_vocab) continue;
    return invalid_argument("ids[" + std::to_string(i) + "]: expected a token id from 0 to " +
                            std::to_string(n_vocab - 1) + ", found " + std::to_string(token_ids[i]));
  }
  return {};
}

// Lets the engine's steps, and whoever else waits, in between.
void give_way(std::unique_lock<base::FairMutex>& lock) {
  lock.unlock();
  lock.lock();
}

}  // namespace

Result<std::vector<float>> Engine::logits(const std::vector<int32_t>& token_ids, const Progress* progress) {
  if (state_->loaded == nullptr) return unsupported("an echo has no logits");
  engine::LoadedModel& loaded = *state_->loaded;
  OCTAVO_RETURN_IF_ERROR(check_ids(token_ids, loaded));
  const size_t n_logits = token_ids.size() * static_cast<size_t>(loaded.config().n_vocab);
  const uint64_t available = base::available_memory_bytes();
  if (n_logits * sizeof(float) > available) {
    return resource_exhausted("the logits of " + std::to_string(token_ids.size()) + " tokens need " +
                              base::format_bytes(n_logits * sizeof(float)) + " of memory, " +
                              base::format_bytes(available) + " are available; ask for fewer tokens");
  }
  std::vector<float> all;
  all.reserve(n_logits);
  std::unique_lock lock(loaded.mutex());
  engine::LogitsReader reader(loaded, token_ids, progress);
  for (;;) {
    if (reader.begins_chunk()) give_way(lock);
    OCTAVO_ASSIGN_OR_RETURN(const engine::LogitsReader::Rows rows, reader.next());
    if (rows.n_rows == 0) return all;
    all.insert(all.end(), rows.logits.begin(), rows.logits.end());
  }
}

Result<std::vector<ScoredPosition>> Engine::score(const std::vector<int32_t>& token_ids, int32_t top_n,
                                                  const Progress* progress) {
  if (state_->loaded == nullptr) return unsupported("an echo has no logits");
  engine::LoadedModel& loaded = *state_->loaded;
  const int64_t n_vocab = loaded.config().n_vocab;
  OCTAVO_RETURN_IF_ERROR(check_ids(token_ids, loaded));
  if (top_n < 0 || top_n > n_vocab) {
    return invalid_argument("top: expected 0 to " + std::to_string(n_vocab) + " (the vocabulary), found " +
                            std::to_string(top_n));
  }
  std::unique_lock lock(loaded.mutex());
  engine::LogitsReader reader(loaded, token_ids, progress);
  std::vector<ScoredPosition> positions(token_ids.size());
  std::vector<int32_t> order;
  for (;;) {
    if (reader.begins_chunk()) give_way(lock);
    OCTAVO_ASSIGN_OR_RETURN(const engine::LogitsReader::Rows rows, reader.next());
    if (rows.n_rows == 0) return positions;
    for (int64_t i = 0; i < rows.n_rows; ++i) {
      const auto position = static_cast<size_t>(rows.begin + i);
      const auto row = engine::LogprobRow::read(rows.row(i));
      if (!row.ok()) return row.status().with_context("position " + std::to_string(position));
      if (position + 1 < token_ids.size()) {
        positions[position + 1].token = api::public_logprob(row->of(token_ids[position + 1]));
      }
      positions[position].top = api::public_logprobs(row->top(top_n, order));
    }
  }
}

}  // namespace octavo
