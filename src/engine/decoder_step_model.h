#pragma once
// A checkpoint's decoder on one paged cache of keys and values, as the batching engine steps it.
#include <optional>
#include <vector>

#include "engine/loaded_model.h"
#include "engine/step_model.h"

namespace octavo::engine {

class DecoderStepModel : public StepModel {
 public:
  explicit DecoderStepModel(LoadedModel& loaded) : loaded_(loaded) {}  // `loaded` outlives it

  int64_t n_vocab() const override { return loaded_.config().n_vocab; }
  int64_t max_context() const override { return loaded_.max_context(); }
  base::ThreadPool& pool() override { return loaded_.pool(); }
  base::FairMutex& mutex() override { return loaded_.mutex(); }
  uint64_t page_bytes() const override;
  void make_pages(int64_t n_pages) override;
  void copy_page(int32_t from, int32_t to) override;
  Status forward(std::span<const StepSequence> batch, const Progress* progress) override;
  void logits(std::span<const int64_t> rows, float* logits) override;

 private:
  LoadedModel& loaded_;
  std::optional<model::KvCache> cache_;
  std::vector<model::BatchSequence> batch_;
};

}  // namespace octavo::engine
