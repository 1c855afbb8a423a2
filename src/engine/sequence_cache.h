#pragma once
// The keys and values of one sequence, grown as it does, so that a request costs the memory of its tokens and
// not of the model's whole context.
#include <cstdint>
#include <span>
#include <vector>

#include "engine/loaded_model.h"

namespace octavo::engine {

class SequenceCache {
 public:
  // Room for at most max_tokens, ever.
  SequenceCache(LoadedModel& loaded, int64_t max_tokens);

  // Room for n_tokens in all; what is stored stays. n_tokens <= max_tokens.
  void reserve(int64_t n_tokens);
  model::KvCache& cache() { return cache_; }
  // Block table over everything reserved.
  std::span<const int32_t> blocks() const { return blocks_; }

 private:
  LoadedModel& loaded_;
  int64_t max_tokens_;
  model::KvCache cache_;
  std::vector<int32_t> blocks_;
};

}  // namespace octavo::engine
