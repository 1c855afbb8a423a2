#pragma once
// A checkpoint's tensors, by what they are in a decoder, shapes checked against the config and values against
// NaN and infinity. Read one layer at a time: nothing here holds a whole model. These are plain matrices;
// packing for a kernel is model/linear.h's business.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "format/checkpoint.h"
#include "model/stored_rows.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace octavo::model {

struct ModelConfig;

enum class LinearSlot { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr int kNLinearSlots = 7;

// int8 input codes that calibration has fixed, instead of a scale per token:
//   code = clamp(round_half_even(x[k] / scale[k]) + zero_point, -128, 127)
//   y[j] = (sum_k code[k] w[j,k] - zero_point * sum_k w[j,k]) * w.scale[j] * product_scale  (+ bias)  (+ y)
// The division is a true fp32 one, the zero point is added to the integer, the parenthesis is exact in int32.
struct StaticInput {
  std::vector<float> scale;  // [1], or [k] where smoothing was not folded into the layer before
  int32_t zero_point = 0;    // [-128, 127]
  float product_scale = 1;   // scale[0] of a scale for all; 1 where w.scale already holds x_scale * w_scale

  bool operator==(const StaticInput&) const = default;
};

// w[n,k] row-major.
struct LinearWeight {
  int64_t n = 0, k = 0;
  tensor::DType dtype = tensor::DType::kBF16;  // kF32, kBF16, or kI8 with a scale per output channel (row)
  tensor::Buffer data;                         // empty where the rows are still in their file:
  std::optional<StoredRows> stored = std::nullopt;  // whose checkpoint outlives it
  std::vector<float> scale;                         // [n], kI8 only
  std::vector<float> bias;                          // [n] or empty
  std::optional<StaticInput> input;                 // kI8 only; nothing: codes with a scale per token
};

struct LayerWeights {
  std::vector<float> input_norm, post_attention_norm;  // [d_model]
  std::vector<float> q_norm, k_norm;                   // [head_dim] or empty
  std::array<LinearWeight, kNLinearSlots> linear;
  LinearWeight& operator[](LinearSlot slot) { return linear[static_cast<size_t>(slot)]; }
  const LinearWeight& operator[](LinearSlot slot) const { return linear[static_cast<size_t>(slot)]; }
};

// What stands outside the layers.
struct OuterWeights {
  LinearWeight embedding;         // [n_vocab, d_model], F32 or BF16
  std::vector<float> final_norm;  // [d_model]
  LinearWeight lm_head;           // empty (n == 0) when tied
};

// Brings rows that are still in their file into memory, on the threads of `pool`.
Status read_rows(LinearWeight& weight, base::ThreadPool& pool);

// Where the weights of a model come from, one layer at a time: a checkpoint, which may leave the rows of its
// matrices in their file, or a generator.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual Result<LayerWeights> layer(int64_t layer) const = 0;
  virtual Result<OuterWeights> outer() const = 0;
};

// F16 tensors become F32 (exact). A linear may be F32, BF16, F16 or int8 (W8A8 in the layouts of
// format::QuantLayout). Errors name the file and the tensor.
Result<LayerWeights> read_layer(const format::Checkpoint& checkpoint, const ModelConfig& config,
                                int64_t layer);
Result<OuterWeights> read_outer(const format::Checkpoint& checkpoint, const ModelConfig& config);
// The same with the rows of matrices left in their file (LinearWeight::stored).
Result<LayerWeights> open_layer(const format::Checkpoint& checkpoint, const ModelConfig& config,
                                int64_t layer);
Result<OuterWeights> open_outer(const format::Checkpoint& checkpoint, const ModelConfig& config);
// The final norm alone, or the embedding rows of some tokens, without the rest: what quantizing needs.
Result<LinearWeight> read_embedding(const format::Checkpoint& checkpoint, const ModelConfig& config);

// The first of n elements (F32, BF16 or F16) that is NaN or infinite.
std::optional<int64_t> find_non_finite(tensor::DType dtype, const void* data, int64_t n);

// Shapes, dtypes and presence of every tensor of the model, from headers alone (no data is read): the
// pre-flight check of quantizing and loading. Names the first that is missing or does not fit; unknown extra
// tensors are refused too.
Status check_tensors(const format::Checkpoint& checkpoint, const ModelConfig& config);

}  // namespace octavo::model
