#pragma once
// The logits after every token of a sequence, a few rows at a time: a vocabulary of 150,000 times a window of
// 2,048 tokens (1.2 GB) never lies in memory. Pulled, so that two models can be read side by side.
#include <cstdint>
#include <span>
#include <vector>

#include "octavo/status.h"

#include "engine/loaded_model.h"
#include "engine/sequence_cache.h"

namespace octavo::engine {

class LogitsReader {
 public:
  struct Rows {
    int64_t begin = 0;              // position of the first row
    int64_t n_rows = 0;             // 0: the sequence is at its end
    std::span<const float> logits;  // [n_rows, n_vocab], valid until the next call
    std::span<const float> row(int64_t i) const {
      const size_t n_vocab = logits.size() / static_cast<size_t>(n_rows);
      return logits.subspan(static_cast<size_t>(i) * n_vocab, n_vocab);
    }
  };

  // tokens: not empty, at most loaded.max_context(); they and the model outlive the reader. Nobody else may
  // run the model while the reader is in use (loaded.mutex()).
  // progress: may cancel; outlives the reader.
  LogitsReader(LoadedModel& loaded, std::span<const int32_t> tokens, const Progress* progress = nullptr);

  // Whether next() will run the model: until then nobody else may, and after the chunk's last rows anybody.
  bool begins_chunk() const { return position_ == chunk_end_; }
  // The next rows, in order. Errors: those of Model::forward.
  Result<Rows> next();

 private:
  LoadedModel& loaded_;
  std::span<const int32_t> tokens_;
  const Progress* progress_;
  SequenceCache cache_;
  int64_t chunk_begin_ = 0, chunk_end_ = 0, position_ = 0;
  std::vector<int64_t> row_ids_;
  std::vector<float> logits_;
};

// log(sum(exp(logits))) in double; NaN if a logit is NaN or +infinity.
double log_sum_exp(std::span<const float> logits);

}  // namespace octavo::engine
