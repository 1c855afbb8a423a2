// The token at output position i is the prompt's token i. Made by api/engine.cc and tests.
#include "engine/echo_model.h"

#include <algorithm>
#include <thread>

namespace octavo::engine {

namespace {
// Of a vocabulary of 10^6 tokens the echoed one has all but 10^-37 of the probability.
constexpr float kEchoLogit = 100;
}  // namespace

void EchoModel::make_pages(int64_t n_pages) { pages_.assign(static_cast<size_t>(n_pages * kPageTokens), 0); }

void EchoModel::copy_page(int32_t from, int32_t to) {
  std::copy_n(pages_.begin() + from * kPageTokens, kPageTokens, pages_.begin() + to * kPageTokens);
}

Status EchoModel::forward(std::span<const StepSequence> batch, const Progress* progress) {
  next_.clear();
  for (const StepSequence& sequence : batch) {
    const model::BatchSequence& rows = sequence.rows;
    const int64_t n_prompt = sequence.n_prompt;
    const auto slot = [&](int64_t position) -> int32_t& {
      const int32_t page = rows.blocks[static_cast<size_t>(position / kPageTokens)];
      return pages_[static_cast<size_t>(page * kPageTokens + position % kPageTokens)];
    };
    int64_t position = rows.position_begin;
    for (const int32_t token : rows.tokens) {
      slot(position) = token;
      const int64_t n_output = ++position - n_prompt;
      next_.push_back(n_output >= 0 && n_output < n_prompt ? slot(n_output) : options_.end_token);
    }
  }
  if (options_.step_time.count() > 0) std::this_thread::sleep_for(options_.step_time);
  if (progress != nullptr && progress->cancelled()) return cancelled("the step was interrupted");
  return {};
}

void EchoModel::logits(std::span<const int64_t> rows, float* logits) {
  std::fill_n(logits, static_cast<int64_t>(rows.size()) * options_.n_vocab, 0.0F);
  for (size_t i = 0; i < rows.size(); ++i) {
    const int32_t token = next_[static_cast<size_t>(rows[i])];
    logits[static_cast<int64_t>(i) * options_.n_vocab + token] = kEchoLogit;
  }
}

}  // namespace octavo::engine
