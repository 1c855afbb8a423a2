// Opens a checkpoint for running: threads, instruction set, weights, and how long a sequence may grow. Called
// by api/engine.cc and api/evaluate.cc.
#include "engine/loaded_model.h"

#include <utility>

#include "base/log.h"
#include "base/memory.h"
#include "base/text_format.h"
#include "kernels/attention/attention.h"

namespace octavo::engine {

namespace {

constexpr int kMaxThreads = 1024;

// Left to everything that is not keys and values, once the weights are in memory.
constexpr double kKvMemoryShare = 0.9;

Result<int64_t> choose_context(const model::Model& model, model::KvType kv_type,
                               std::optional<int64_t> wanted, const std::string& folder) {
  const int64_t trained = model.config().max_positions;
  if (wanted && (*wanted < 1 || *wanted > trained)) {
    return invalid_argument("max_context: expected 1 to " + std::to_string(trained) +
                            " (the model's), found " + std::to_string(*wanted));
  }
  const uint64_t block_bytes =
      kernels::kv_block_bytes(model.kv_shape(kv_type)) * static_cast<uint64_t>(model.config().n_layers);
  const auto usable_bytes =
      static_cast<uint64_t>(kKvMemoryShare * static_cast<double>(base::available_memory_bytes()));
  const auto affordable = static_cast<int64_t>(usable_bytes / block_bytes) * kernels::kKvBlockTokens;
  const int64_t context = wanted.value_or(trained);
  if (context <= affordable) return context;
  const std::string shortage =
      folder + ": keys and values of " + std::to_string(context) + " tokens need " +
      base::format_bytes(static_cast<uint64_t>(model::KvCache::blocks_for(context)) * block_bytes) +
      ", and " + base::format_bytes(usable_bytes) + " can be had beside the weights";
  if (wanted || affordable == 0) return resource_exhausted(shortage + "; ask for a shorter context");
  base::log_warning(shortage + "; the context is cut to " + std::to_string(affordable) + " tokens");
  return affordable;
}

}  // namespace

Result<std::unique_ptr<LoadedModel>> LoadedModel::load(const std::string& folder, const LoadOptions& options,
                                                       Progress* progress) {
  if (options.n_threads < 0 || options.n_threads > kMaxThreads) {
    return invalid_argument("threads: expected 0 (every core) to " + std::to_string(kMaxThreads) +
                            ", found " + std::to_string(options.n_threads));
  }
  OCTAVO_ASSIGN_OR_RETURN(const kernels::Isa isa, kernels::active_isa());
  OCTAVO_ASSIGN_OR_RETURN(format::Checkpoint checkpoint, format::Checkpoint::open(folder));
  auto pool = std::make_unique<base::ThreadPool>(options.n_threads);
  OCTAVO_ASSIGN_OR_RETURN(std::unique_ptr<model::Model> model,
                          model::Model::load(checkpoint, {isa, pool.get(), options.head_type}, progress));
  OCTAVO_ASSIGN_OR_RETURN(const int64_t context,
                          choose_context(*model, options.kv_type, options.max_context, folder));
  return std::unique_ptr<LoadedModel>(new LoadedModel(std::move(checkpoint), std::move(pool),
                                                      std::move(model), isa, options.kv_type, context));
}

LoadedModel::LoadedModel(format::Checkpoint checkpoint, std::unique_ptr<base::ThreadPool> pool,
                         std::unique_ptr<model::Model> model, kernels::Isa isa, model::KvType kv_type,
                         int64_t max_context)
    : checkpoint_(std::move(checkpoint)),
      pool_(std::move(pool)),
      model_(std::move(model)),
      isa_(isa),
      kv_type_(kv_type),
      max_context_(max_context) {}

}  // namespace octavo::engine
