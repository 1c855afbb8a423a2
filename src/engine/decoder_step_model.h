#pragma once
// A checkpoint's decoder on one paged cache of keys and values, as the batching engine steps it.
#include <optional>
#include <vector>

#include "engine/loaded_model.h"
#include "engine/step_model.h"

namespace octavo::engine {

class DecoderStepModel : public StepModel {
 public:
  // What is handed over outlives it; keys and values are of kv_type.
  DecoderStepModel(model::Model& model, base::ThreadPool& pool, base::FairMutex& mutex, int64_t max_context,
                   model::KvType kv_type)
      : model_(model), pool_(pool), mutex_(mutex), max_context_(max_context), kv_type_(kv_type) {}
  explicit DecoderStepModel(LoadedModel& loaded)
      : DecoderStepModel(loaded.model(), loaded.pool(), loaded.mutex(), loaded.max_context(),
                         loaded.kv_type()) {}

  int64_t n_vocab() const override { return model_.config().n_vocab; }
  int64_t max_context() const override { return max_context_; }
  base::ThreadPool& pool() override { return pool_; }
  base::FairMutex& mutex() override { return mutex_; }
  uint64_t page_bytes() const override;
  void make_pages(int64_t n_pages) override;
  void copy_page(int32_t from, int32_t to) override;
  Status forward(std::span<const StepSequence> batch, const Progress* progress) override;
  void logits(std::span<const int64_t> rows, float* logits) override;

 private:
  model::Model& model_;
  base::ThreadPool& pool_;
  base::FairMutex& mutex_;
  int64_t max_context_;
  model::KvType kv_type_;
  std::optional<model::KvCache> cache_;
  std::vector<model::BatchSequence> batch_;
};

}  // namespace octavo::engine
