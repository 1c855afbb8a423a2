#pragma once
// Float weights to int8 codes, one scale per output channel (row), and the folds of SmoothQuant applied on
// the way: a folded matrix never exists whole in fp32.
#include <cstdint>
#include <span>

#include "octavo/status.h"

#include "base/threads.h"
#include "model/weights.h"
#include "tensor/dtype.h"

namespace octavo::quant {

// A linear's share of a smoothing: w[r, c] * column_factor[c] / row_divisor[r], in fp32. Empty means 1. A row
// divisor also divides the bias.
struct WeightFold {
  std::span<const float> column_factor;  // [k]
  std::span<const float> row_divisor;    // [n]
};

// Over a matrix: sums of squares of the folded weights and of what rounding changed in them, and the largest
// change in steps (scales) of its row.
struct RoundingError {
  double signal = 0, noise = 0, worst_steps = 0;
  double sqnr_db() const;  // 10 log10(signal / noise); infinity when nothing changed
};

struct RoundedLinear {
  model::LinearWeight weight;  // kI8
  RoundingError error;
};

// The scale of a row whose largest magnitude is `absmax`: absmax / 127 as `storage` (F32, BF16, F16) holds
// it, never so small that a code would pass 127, and a normal number; 1 for a row of zeros.
float row_scale(float absmax, tensor::DType storage);

// codes[k] = round_half_even(w / scale), within [-127, 127].
void round_row(const float* w, int64_t k, float scale, int8_t* codes);

// Errors: a NaN or an infinity, before or after folding, naming its place. Hold a base::FlushDenormals. What
// a search only tries need not have its error measured (it stays 0): that takes longer than the rounding.
Result<RoundedLinear> round_to_nearest(const model::LinearWeight& weight, const WeightFold& fold,
                                       tensor::DType storage, base::ThreadPool& pool,
                                       bool measures_error = true);

// The same matrix and bias folded and kept float, as `storage` holds them. Unsupported when that is not exact
// (beyond 2^-16 of a row's largest magnitude): factors that are powers of two are, unless they overflow.
Result<model::LinearWeight> fold_float(const model::LinearWeight& weight, const WeightFold& fold,
                                       tensor::DType storage, base::ThreadPool& pool);

// column_absmax[k] = max(itself, max over rows |w|).
void raise_column_absmax(const model::LinearWeight& weight, base::ThreadPool& pool,
                         std::span<float> column_absmax);

}  // namespace octavo::quant
