// Calibration samples with their hidden states, and which of them a search looks at. Made by pipeline.cc,
// advanced from layer to layer by collect.cc.
#include "quant/calibration_set.h"

#include <algorithm>
#include <string>
#include <utility>

#include "tensor/dtype.h"

namespace octavo::quant {

Result<CalibrationSet> CalibrationSet::embed(std::vector<data::TokenSample> samples,
                                             const model::LinearWeight& embedding) {
  if (samples.empty()) return invalid_argument("the calibration set has no sample");
  CalibrationSet set;
  set.samples_ = std::move(samples);
  set.d_model_ = embedding.k;
  set.row_begin_ = {0};
  for (size_t i = 0; i < set.samples_.size(); ++i) {
    const std::vector<int32_t>& ids = set.samples_[i].ids;
    if (ids.empty()) return invalid_argument("calibration sample " + std::to_string(i) + " has no token");
    for (const int32_t id : ids) {
      if (id >= 0 && id < embedding.n) continue;
      return invalid_argument("calibration sample " + std::to_string(i) + " has token id " +
                              std::to_string(id) + ", the model's vocabulary has " +
                              std::to_string(embedding.n) + "; is the tokenizer the model's own?");
    }
    set.row_begin_.push_back(set.row_begin_.back() + static_cast<int64_t>(ids.size()));
  }
  const int64_t row_bytes = embedding.k * tensor::dtype_bytes(embedding.dtype);
  set.hidden_ = tensor::Buffer(static_cast<size_t>(set.n_rows() * set.d_model_) * sizeof(float));
  float* to = set.hidden(0);
  for (const data::TokenSample& sample : set.samples_) {
    for (const int32_t id : sample.ids) {
      tensor::convert_to_f32(embedding.dtype, embedding.data.as<std::byte>() + id * row_bytes, to,
                             embedding.k);
      to += embedding.k;
    }
  }
  return set;
}

std::vector<SampleBatch> CalibrationSet::batches() const {
  std::vector<SampleBatch> batches;
  for (size_t i = 0; i < n_samples(); ++i) {
    const bool starts = batches.empty() || row_begin(i + 1) - batches.back().row_begin > kMaxBatchRows ||
                        i - batches.back().sample_begin >= kMaxBatchSamples;
    if (starts) batches.push_back({.sample_begin = i, .row_begin = row_begin(i)});
    batches.back().sample_end = i + 1;
    batches.back().row_end = row_begin(i + 1);
  }
  return batches;
}

SearchSamples choose_search_samples(const CalibrationSet& set) {
  constexpr size_t kFewest = 4;
  const size_t n = set.n_samples();
  const auto fitting = static_cast<size_t>(static_cast<int64_t>(n) * kMaxSearchTokens / set.n_rows());
  const size_t n_wanted = std::clamp(fitting, std::min(kFewest, n), n);
  std::vector<size_t> chosen;
  int64_t n_tokens = 0;
  for (size_t i = 0; i < n_wanted; ++i) {
    const size_t sample = i * n / n_wanted;
    n_tokens += static_cast<int64_t>(set.tokens(sample).size());
    if (chosen.size() >= kFewest && n_tokens > kMaxSearchTokens) break;
    chosen.push_back(sample);
  }
  if (chosen.size() == 1) return {chosen, chosen};
  SearchSamples split;
  for (size_t i = 0; i < chosen.size(); ++i) {
    const bool last_chance = i + 1 == chosen.size() && split.held_out.empty();
    (i % 4 == 3 || last_chance ? split.held_out : split.fit).push_back(chosen[i]);
  }
  return split;
}

}  // namespace octavo::quant
