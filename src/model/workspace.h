#pragma once
// Every activation of a forward pass, named, with its shape, allocated for a number of rows and grown only
// when a batch is larger than any before. Owned by Model (or by the quantizing pipeline for single layers).
#include <cstdint>
#include <span>
#include <vector>

#include "base/threads.h"
#include "model/decoder.h"
#include "model/step_profile.h"
#include "tensor/buffer.h"

namespace octavo::model {

class Workspace {
 public:
  Workspace(const ModelConfig& config, base::ThreadPool& pool, RopeTable& rope);  // all outlive it
  ~Workspace();
  base::ThreadPool& pool() { return pool_; }

  // Told of each operation as it ends; nullptr: nobody is. The profile outlives the runs.
  void set_profile(StepProfile* profile) { profile_ = profile; }
  void begun() {
    if (profile_ != nullptr) profile_->begin();
  }
  void ended(Operation operation) {
    if (profile_ != nullptr) profile_->end(operation);
  }

  // Room for m rows; the contents of a smaller capacity are lost.
  void reserve(int64_t m);
  // Where m rows of width k in a form go; one buffer a form, so the next call for that form reuses it.
  kernels::RowOut rows(kernels::RowForm form, int64_t k);
  // The batch as attention wants it: row numbers, and `layer`'s blocks by address. Valid until the next call.
  std::span<const kernels::AttentionSequence> sequences(std::span<const BatchSequence> batch, int64_t layer,
                                                        KvCache& cache);
  // cos and sin of the batch's positions, [m, head_dim / 2] each. Valid until the next call.
  struct Angles {
    const float* cosine;
    const float* sine;
  };
  Angles angles(std::span<const BatchSequence> batch);
  void* attention_scratch(const kernels::KvShape& shape);

 private:
  friend class DecoderLayer;
  friend class Model;

  const ModelConfig& config_;
  base::ThreadPool& pool_;
  RopeTable& rope_;
  StepProfile* profile_ = nullptr;
  int64_t capacity_rows_ = 0;

  tensor::Buffer hidden_;         // [m, d_model] f32, the residual stream
  tensor::Buffer q_;              // [m, n_heads * head_dim] f32
  tensor::Buffer k_, v_;          // [m, n_kv_heads * head_dim] f32
  tensor::Buffer attended_;       // [m, n_heads * head_dim] f32, attention's output
  tensor::Buffer gate_, up_;      // [m, d_ff] f32, or down_proj's codes and their scales
  tensor::Buffer rows_[3];        // [m, widest] per RowForm, made at first use: what the products read
  tensor::Buffer row_scale_;      // [m] f32
  tensor::Buffer cosine_, sine_;  // [m, head_dim / 2] f32, batches of several sequences only
  tensor::Buffer scratch_;        // kernels::attention_scratch_bytes
  std::vector<kernels::AttentionSequence> sequences_;
  std::vector<void*> blocks_;  // of all sequences, one after the other
};

}  // namespace octavo::model
