// From the engine's batch to Model::forward. Made by api/engine.cc, called by engine/batch_engine.cc.
#include "engine/decoder_step_model.h"

#include <cstring>

namespace octavo::engine {

uint64_t DecoderStepModel::page_bytes() const {
  return kernels::kv_block_bytes(model_.kv_shape(kv_type_)) * static_cast<uint64_t>(model_.config().n_layers);
}

void DecoderStepModel::make_pages(int64_t n_pages) {
  cache_.emplace(model_.make_cache(n_pages * kPageTokens, kv_type_));
}

void DecoderStepModel::copy_page(int32_t from, int32_t to) {
  const size_t n_bytes = kernels::kv_block_bytes(cache_->shape());
  for (int64_t layer = 0; layer < model_.config().n_layers; ++layer) {
    std::memcpy(cache_->block(layer, to), cache_->block(layer, from), n_bytes);
  }
}

Status DecoderStepModel::forward(std::span<const StepSequence> batch, const Progress* progress) {
  batch_.clear();
  for (const StepSequence& sequence : batch) batch_.push_back(sequence.rows);
  return model_.forward(batch_, *cache_, nullptr, progress);
}

void DecoderStepModel::logits(std::span<const int64_t> rows, float* logits) { model_.logits(rows, logits); }

}  // namespace octavo::engine
