// Steps a Model by hand. Called by bench/model_rows.cc for prefill and decode, and by bench/engine_rows.cc
// for the rate that the engine is compared with.
#include "bench/loop.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <random>

#include "base/check.h"
#include "bench/row.h"

namespace octavo::bench {

namespace {

// The first of the largest; eight at a time, which a compiler turns into vectors.
int32_t argmax(const float* values, int64_t n) {
  std::array<float, 8> most;
  most.fill(-std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t j = 0; j < 8; ++j) most[j] = std::max(most[j], values[i + static_cast<int64_t>(j)]);
  }
  float best = *std::max_element(most.begin(), most.end());
  for (; i < n; ++i) best = std::max(best, values[i]);
  return static_cast<int32_t>(std::find(values, values + n, best) - values);
}

}  // namespace

Loop::Loop(model::Model& model, int64_t batch, int64_t max_tokens, model::KvType kv_type)
    : model_(model),
      batch_size_(batch),
      blocks_per_sequence_(model::KvCache::blocks_for(max_tokens)),
      cache_(model.make_cache(batch * blocks_per_sequence_ * kernels::kKvBlockTokens, kv_type)),
      block_ids_(static_cast<size_t>(batch * blocks_per_sequence_)),
      next_tokens_(static_cast<size_t>(batch), 1),
      logits_(static_cast<size_t>(batch * model.config().n_vocab)) {
  std::iota(block_ids_.begin(), block_ids_.end(), 0);
}

std::span<const int32_t> Loop::blocks(int64_t sequence) const {
  return std::span(block_ids_)
      .subspan(static_cast<size_t>(sequence * blocks_per_sequence_),
               static_cast<size_t>(blocks_per_sequence_));
}

Status Loop::step(std::span<const int64_t> last_rows, std::span<const int64_t> sequences,
                  LoopSeconds& seconds) {
  const Stopwatch forward;
  OCTAVO_RETURN_IF_ERROR(model_.forward(batch_, cache_));
  seconds.layers += forward.seconds();
  const Stopwatch rest;
  if (!last_rows.empty()) model_.logits(last_rows, logits_.data());
  const int64_t n_vocab = model_.config().n_vocab;
  for (size_t i = 0; i < sequences.size(); ++i) {
    next_tokens_[static_cast<size_t>(sequences[i])] =
        argmax(logits_.data() + static_cast<int64_t>(i) * n_vocab, n_vocab);
  }
  seconds.rest += rest.seconds();
  return {};
}

Result<LoopSeconds> Loop::prefill(std::span<const int32_t> tokens, int64_t max_rows) {
  OCTAVO_CHECK(max_rows > 0 && !tokens.empty());
  LoopSeconds seconds;
  std::vector<int64_t> last_rows, ended;
  int64_t n_rows = 0;
  const auto run = [&]() -> Status {
    OCTAVO_RETURN_IF_ERROR(step(last_rows, ended, seconds));
    batch_.clear();
    last_rows.clear();
    ended.clear();
    n_rows = 0;
    return {};
  };
  batch_.clear();
  for (int64_t sequence = 0; sequence < batch_size_; ++sequence) {
    for (size_t done = 0; done < tokens.size();) {
      const size_t n = std::min(tokens.size() - done, static_cast<size_t>(max_rows - n_rows));
      batch_.push_back({tokens.subspan(done, n), position_ + static_cast<int64_t>(done), blocks(sequence)});
      done += n;
      n_rows += static_cast<int64_t>(n);
      if (done == tokens.size()) {
        last_rows.push_back(n_rows - 1);
        ended.push_back(sequence);
      }
      if (n_rows == max_rows) OCTAVO_RETURN_IF_ERROR(run());
    }
  }
  if (n_rows > 0) OCTAVO_RETURN_IF_ERROR(run());
  position_ += static_cast<int64_t>(tokens.size());
  return seconds;
}

Result<LoopSeconds> Loop::decode(int64_t n_steps) {
  LoopSeconds seconds;
  std::vector<int64_t> rows(static_cast<size_t>(batch_size_));
  std::iota(rows.begin(), rows.end(), 0);
  for (int64_t i = 0; i < n_steps; ++i) {
    batch_.clear();
    for (int64_t sequence = 0; sequence < batch_size_; ++sequence) {
      batch_.push_back(
          {std::span(next_tokens_).subspan(static_cast<size_t>(sequence), 1), position_, blocks(sequence)});
    }
    OCTAVO_RETURN_IF_ERROR(step(rows, rows, seconds));
    ++position_;
  }
  return seconds;
}

Status Loop::pretend(int64_t n_tokens) {
  clear();
  if (n_tokens == 0) return {};
  OCTAVO_CHECK(n_tokens % kernels::kKvBlockTokens == 0);
  const std::vector<int32_t> tokens = random_tokens(kernels::kKvBlockTokens, model_.config().n_vocab, 1);
  batch_.assign(1, {tokens, 0, blocks(0)});
  OCTAVO_RETURN_IF_ERROR(model_.forward(batch_, cache_));
  const size_t n_bytes = kernels::kv_block_bytes(cache_.shape());
  for (int64_t layer = 0; layer < model_.config().n_layers; ++layer) {
    for (const int32_t id : block_ids_) {
      if (id != 0) std::memcpy(cache_.block(layer, id), cache_.block(layer, 0), n_bytes);
    }
  }
  position_ = n_tokens;
  return {};
}

std::vector<int32_t> random_tokens(int64_t n, int64_t n_vocab, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % static_cast<uint64_t>(n_vocab));
  return tokens;
}

}  // namespace octavo::bench
