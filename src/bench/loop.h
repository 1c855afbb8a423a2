#pragma once
// The bare model loop: sequences of one length side by side on a cache of their own, forward, logits, the
// likeliest token. No scheduler, no sampler, no thread of its own: what an engine can at best be as fast as.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/decoder.h"

namespace octavo::bench {

// Seconds of what was run; layers and the rest apart, so that a model of fewer layers can be extrapolated.
struct LoopSeconds {
  double layers = 0, rest = 0;  // rest: logits and the choice of tokens

  // Of `n_layers` instead of the `n_run` that ran.
  double total(int64_t n_layers, int64_t n_run) const {
    return layers * static_cast<double>(n_layers) / static_cast<double>(n_run) + rest;
  }
};

class Loop {
 public:
  // Room for `batch` sequences of `max_tokens`.
  Loop(model::Model& model, int64_t batch, int64_t max_tokens, model::KvType kv_type);

  // Every sequence forgets what it holds.
  void clear() { position_ = 0; }
  // Every sequence goes on by `tokens`, the same for each, in steps of at most max_rows rows: sequence after
  // sequence, a step holding the rest of one and the beginning of the next.
  Result<LoopSeconds> prefill(std::span<const int32_t> tokens, int64_t max_rows);
  // `n_steps` tokens more for each sequence, the likeliest each time.
  Result<LoopSeconds> decode(int64_t n_steps);
  // Makes every sequence `n_tokens` long without computing: the first block's keys and values stand in for
  // all. Multiples of kernels::kKvBlockTokens.
  Status pretend(int64_t n_tokens);
  // The likeliest token of each sequence: what the next step of decode() runs. [batch]
  std::span<const int32_t> next_tokens() const { return next_tokens_; }

 private:
  std::span<const int32_t> blocks(int64_t sequence) const;
  // Runs batch_ and, for the rows that end a sequence's part, chooses its next token.
  Status step(std::span<const int64_t> last_rows, std::span<const int64_t> sequences, LoopSeconds& seconds);

  model::Model& model_;
  int64_t batch_size_, blocks_per_sequence_;
  model::KvCache cache_;
  std::vector<int32_t> block_ids_;    // [batch, blocks_per_sequence]
  std::vector<int32_t> next_tokens_;  // [batch]
  std::vector<float> logits_;         // [rows, n_vocab]
  std::vector<model::BatchSequence> batch_;
  int64_t position_ = 0;  // of every sequence
};

// Where the time of a step goes.
struct Profile {
  std::string work;  // prefill, decode
  int64_t m = 0, batch = 0, context = 0;
  struct Part {
    std::string operation;
    double seconds = 0;  // of a step, layers extrapolated
  };
  std::vector<Part> parts;
};

// Tokens without a pattern, 0 <= id < n_vocab.
std::vector<int32_t> random_tokens(int64_t n, int64_t n_vocab, uint64_t seed);

}  // namespace octavo::bench
