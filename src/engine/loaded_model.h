#pragma once
// A checkpoint folder in memory, and the threads that run it.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "octavo/progress.h"
#include "octavo/status.h"

#include "base/fair_mutex.h"
#include "base/threads.h"
#include "format/checkpoint.h"
#include "kernels/isa.h"
#include "model/decoder.h"

namespace octavo::engine {

// How a model is held.
struct LoadOptions {
  int n_threads = 0;                                  // 0: every core this process may use
  std::optional<int64_t> max_context = std::nullopt;  // tokens; from 1 to what the model was made for
  model::KvType kv_type = model::KvType::kAuto;
  model::HeadType head_type = model::HeadType::kAuto;
};

class LoadedModel {
 public:
  // Errors name the folder's file, or the option.
  static Result<std::unique_ptr<LoadedModel>> load(const std::string& folder, const LoadOptions& options = {},
                                                   Progress* progress = nullptr);

  model::Model& model() { return *model_; }
  const model::ModelConfig& config() const { return model_->config(); }
  const format::Checkpoint& checkpoint() const { return checkpoint_; }
  base::ThreadPool& pool() { return *pool_; }
  kernels::Isa isa() const { return isa_; }
  // What caches of this model are to be made with: Model::kv_shape, Model::make_cache.
  model::KvType kv_type() const { return kv_type_; }
  // Tokens that one sequence may hold: asked for, or the model's, cut to what memory can keep keys and values
  // of.
  int64_t max_context() const { return max_context_; }
  // A Model runs one batch at a time and keeps its rows until the logits are read: hold this for both.
  base::FairMutex& mutex() { return mutex_; }

 private:
  LoadedModel(format::Checkpoint checkpoint, std::unique_ptr<base::ThreadPool> pool,
              std::unique_ptr<model::Model> model, kernels::Isa isa, model::KvType kv_type,
              int64_t max_context);

  format::Checkpoint checkpoint_;
  std::unique_ptr<base::ThreadPool> pool_;  // outlives model_
  std::unique_ptr<model::Model> model_;
  kernels::Isa isa_;
  model::KvType kv_type_;
  int64_t max_context_;
  base::FairMutex mutex_;
};

}  // namespace octavo::engine
