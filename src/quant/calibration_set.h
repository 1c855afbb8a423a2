#pragma once
// The calibration samples on their way through the model: their tokens and, for each token, the residual
// stream in front of the layer under work. All samples are held; of the model, one layer at a time.
#include <cstdint>
#include <span>
#include <vector>

#include "octavo/status.h"

#include "data/dataset.h"
#include "model/weights.h"
#include "tensor/buffer.h"

namespace octavo::quant {

// Consecutive samples that run through a layer together.
struct SampleBatch {
  size_t sample_begin = 0, sample_end = 0;
  int64_t row_begin = 0, row_end = 0;
};

class CalibrationSet {
 public:
  // The hidden states are the embedding's rows (F32 or BF16 [n_vocab, d_model]). Errors: no sample, an empty
  // sample, a token id that the embedding does not have.
  static Result<CalibrationSet> embed(std::vector<data::TokenSample> samples,
                                      const model::LinearWeight& embedding);

  size_t n_samples() const { return samples_.size(); }
  int64_t n_rows() const { return row_begin_.back(); }
  int64_t d_model() const { return d_model_; }
  std::span<const int32_t> tokens(size_t sample) const { return samples_[sample].ids; }
  int64_t row_begin(size_t sample) const { return row_begin_[sample]; }        // sample n_samples(): the end
  float* hidden(int64_t row) { return hidden_.as<float>() + row * d_model_; }  // [d_model], rows end to end

  // All samples in order, each whole, in batches of at most kMaxBatchRows rows unless one sample has more.
  std::vector<SampleBatch> batches() const;
  static constexpr int64_t kMaxBatchRows = 1024;  // products are at full speed from about 256 rows on
  static constexpr size_t kMaxBatchSamples = 64;  // a sample takes at least one block of keys and values

 private:
  CalibrationSet() = default;
  std::vector<data::TokenSample> samples_;
  std::vector<int64_t> row_begin_;  // [n_samples + 1]
  int64_t d_model_ = 0;
  tensor::Buffer hidden_;  // [n_rows, d_model] f32
};

// The samples on which a choice is searched, and those it is then judged on, unseen until then.
struct SearchSamples {
  std::vector<size_t> fit, held_out;
};
// Evenly spread over the set, whole samples, at most kMaxSearchTokens tokens but at least four samples if
// there are so many; every fourth is held out. A set of one sample is both.
SearchSamples choose_search_samples(const CalibrationSet& set);
inline constexpr int64_t kMaxSearchTokens = 4096;

}  // namespace octavo::quant
