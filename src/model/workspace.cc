// The buffers of a forward pass and the batch in the shapes kernels take. Used by model/decoder.cc.
#include "model/workspace.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace octavo::model {

namespace {

tensor::Buffer floats(int64_t rows, int64_t width) {
  return tensor::Buffer(static_cast<size_t>(rows) * static_cast<size_t>(width) * sizeof(float));
}

size_t element_bytes(kernels::RowForm form) {
  switch (form) {
    case kernels::RowForm::kF32:
      return 4;
    case kernels::RowForm::kBF16:
      return 2;
    case kernels::RowForm::kS8:
      break;
  }
  return 1;
}

}  // namespace

Workspace::Workspace(const ModelConfig& config, base::ThreadPool& pool, RopeTable& rope)
    : config_(config), pool_(pool), rope_(rope) {}
Workspace::~Workspace() = default;

void Workspace::reserve(int64_t m) {
  if (m <= capacity_rows_) return;
  capacity_rows_ = m;
  hidden_ = floats(m, config_.d_model);
  q_ = floats(m, config_.q_width());
  k_ = floats(m, config_.kv_width());
  v_ = floats(m, config_.kv_width());
  attended_ = floats(m, config_.q_width());
  gate_ = floats(m, config_.d_ff);
  up_ = floats(m, config_.d_ff);
  row_scale_ = floats(m, 1);
  cosine_ = floats(m, config_.head_dim / 2);
  sine_ = floats(m, config_.head_dim / 2);
  for (tensor::Buffer& buffer : rows_) buffer = tensor::Buffer();
}

kernels::RowOut Workspace::rows(kernels::RowForm form, int64_t k) {
  const int64_t widest = std::max({config_.d_model, config_.q_width(), config_.d_ff});
  OCTAVO_CHECK(k <= widest);
  tensor::Buffer& buffer = rows_[static_cast<size_t>(form)];
  if (buffer.empty()) {
    buffer = tensor::Buffer(static_cast<size_t>(capacity_rows_ * widest) * element_bytes(form));
  }
  return {form, buffer.data(), form == kernels::RowForm::kS8 ? row_scale_.as<float>() : nullptr};
}

std::span<const kernels::AttentionSequence> Workspace::sequences(std::span<const BatchSequence> batch,
                                                                 int64_t layer, KvCache& cache) {
  blocks_.clear();
  for (const BatchSequence& sequence : batch) {
    for (const int32_t id : sequence.blocks) blocks_.push_back(cache.block(layer, id));
  }
  sequences_.clear();
  int64_t row = 0;
  size_t block = 0;
  for (const BatchSequence& sequence : batch) {
    const auto n_rows = static_cast<int64_t>(sequence.tokens.size());
    const std::span<void* const> blocks(blocks_.data() + block, sequence.blocks.size());
    sequences_.push_back({row, n_rows, sequence.position_begin, blocks});
    row += n_rows;
    block += sequence.blocks.size();
  }
  return sequences_;
}

Workspace::Angles Workspace::angles(std::span<const BatchSequence> batch) {
  int64_t n_positions = 0;
  for (const BatchSequence& sequence : batch) {
    n_positions =
        std::max(n_positions, sequence.position_begin + static_cast<int64_t>(sequence.tokens.size()));
  }
  rope_.reserve(n_positions);
  if (batch.size() == 1) {
    return {rope_.cosine(batch[0].position_begin), rope_.sine(batch[0].position_begin)};
  }
  const int64_t half = config_.head_dim / 2;
  int64_t row = 0;
  for (const BatchSequence& sequence : batch) {
    const size_t n_bytes = sequence.tokens.size() * static_cast<size_t>(half) * sizeof(float);
    std::memcpy(cosine_.as<float>() + row * half, rope_.cosine(sequence.position_begin), n_bytes);
    std::memcpy(sine_.as<float>() + row * half, rope_.sine(sequence.position_begin), n_bytes);
    row += static_cast<int64_t>(sequence.tokens.size());
  }
  return {cosine_.as<float>(), sine_.as<float>()};
}

void* Workspace::attention_scratch(const kernels::KvShape& shape) {
  const size_t n_bytes = kernels::attention_scratch_bytes(shape, config_.n_heads, pool_.n_threads());
  if (scratch_.size_bytes() < n_bytes) scratch_ = tensor::Buffer(n_bytes);
  return scratch_.data();
}

}  // namespace octavo::model
