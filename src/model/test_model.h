#pragma once
// For tests: runs a model over tokens in many ways that must all give the same logits.
#include <gtest/gtest.h>

#include <bit>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "format/checkpoint.h"
#include "model/decoder.h"

namespace octavo::model {

inline kernels::Isa best_isa() { return kernels::cpu_isas().back(); }

inline std::unique_ptr<Model> load_model(const std::string& folder, base::ThreadPool& pool,
                                         kernels::Isa isa = best_isa()) {
  const auto checkpoint = format::Checkpoint::open(folder);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto model = Model::load(*checkpoint, {isa, &pool});
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

// A sequence with a cache's blocks of its own, last block first (a block's place must not matter).
class TestSequence {
 public:
  TestSequence(std::vector<int32_t> tokens, int32_t first_block) : tokens_(std::move(tokens)) {
    blocks_.resize(static_cast<size_t>(KvCache::blocks_for(static_cast<int64_t>(tokens_.size()))));
    std::iota(blocks_.rbegin(), blocks_.rend(), first_block);
  }
  int32_t end_block(int32_t first_block) const { return first_block + static_cast<int32_t>(blocks_.size()); }
  bool done() const { return position_ == tokens_.size(); }
  // The next `n` tokens (or what is left).
  BatchSequence take(size_t n) {
    n = std::min(n, tokens_.size() - position_);
    const BatchSequence part = {std::span(tokens_).subspan(position_, n), static_cast<int64_t>(position_),
                                blocks_};
    position_ += n;
    return part;
  }

 private:
  std::vector<int32_t> tokens_;
  std::vector<int32_t> blocks_;
  size_t position_ = 0;
};

// logits[tokens.size(), n_vocab], `chunk` tokens at a time.
inline std::vector<float> run(Model& model, const std::vector<int32_t>& tokens, size_t chunk,
                              KvType kv = KvType::kAuto, Tap* tap = nullptr) {
  KvCache cache = model.make_cache(static_cast<int64_t>(tokens.size()), kv);
  TestSequence sequence(tokens, 0);
  const auto n_vocab = static_cast<size_t>(model.config().n_vocab);
  std::vector<float> logits;
  while (!sequence.done()) {
    const std::vector<BatchSequence> batch = {sequence.take(chunk)};
    const Status status = model.forward(batch, cache, tap);
    EXPECT_TRUE(status.ok()) << status.message();
    std::vector<int64_t> rows(batch[0].tokens.size());
    std::iota(rows.begin(), rows.end(), 0);
    logits.resize(logits.size() + rows.size() * n_vocab);
    model.logits(rows, logits.data() + logits.size() - rows.size() * n_vocab);
  }
  return logits;
}

// FNV-1a over the bits: the fingerprint that must be the same however a model is run.
inline uint64_t fingerprint(std::span<const float> values) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const float value : values) {
    hash = (hash ^ std::bit_cast<uint32_t>(value)) * 0x100000001b3U;
  }
  return hash;
}

}  // namespace octavo::model
