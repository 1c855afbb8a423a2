#pragma once
// What the batching engine steps: something that keeps pages of a sequence's past and gives logits. The
// decoder of a checkpoint (decoder_step_model.h), or an echo without weights (echo_model.h).
#include <cstdint>
#include <span>

#include "octavo/progress.h"
#include "octavo/status.h"

#include "base/fair_mutex.h"
#include "base/threads.h"
#include "kernels/attention/attention.h"
#include "model/decoder.h"

namespace octavo::engine {

inline constexpr int64_t kPageTokens = kernels::kKvBlockTokens;

struct StepSequence {
  model::BatchSequence rows;  // its block table names pages of make_pages()
  int64_t n_prompt = 0;       // how many of the sequence's tokens are its prompt
};

class StepModel {
 public:
  virtual ~StepModel() = default;
  virtual int64_t n_vocab() const = 0;
  virtual int64_t max_context() const = 0;  // tokens of one sequence
  virtual base::ThreadPool& pool() = 0;
  // Held from forward() until the last of its logits() was read.
  virtual base::FairMutex& mutex() = 0;

  virtual uint64_t page_bytes() const = 0;  // of kPageTokens tokens
  virtual void make_pages(int64_t n_pages) = 0;
  virtual void copy_page(int32_t from, int32_t to) = 0;

  // Runs the batch. Errors: kCancelled when progress says so; then no row counts as run.
  virtual Status forward(std::span<const StepSequence> batch, const Progress* progress) = 0;
  // logits[rows.size(), n_vocab] after the given rows, counted through the last batch.
  virtual void logits(std::span<const int64_t> rows, float* logits) = 0;
};

}  // namespace octavo::engine
