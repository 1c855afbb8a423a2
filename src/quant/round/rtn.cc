// Round to nearest: scale = max|w| / 127 over a row, rounded to the type in which the file stores it before
// any code is computed; code = round_half_even(w / scale) by a true fp32 division of the original weights (a
// bf16 division would cost about 0.5 dB). Rows are independent, so threads change nothing. Called by
// layer_candidate.cc for every candidate and, with the chosen folds, for what is written.
#include "quant/round/rtn.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/check.h"

namespace octavo::quant {
namespace {

using model::LinearWeight;
using tensor::DType;

// Rows per task: a few thousand weights, well above the cost of handing a task out.
constexpr int64_t kRowsPerTask = 16;
// 1.5 * 2^23: adding and subtracting it rounds a float of at most 2^22 half to even, without SSE4.1.
constexpr float kRounder = 12582912.0F;
constexpr float kExactness = 0x1p-16F;

const void* row_bytes(const LinearWeight& weight, int64_t row) {
  return weight.data.as<std::byte>() + row * weight.k * tensor::dtype_bytes(weight.dtype);
}
void* row_bytes(LinearWeight& weight, int64_t row) {
  return weight.data.as<std::byte>() + row * weight.k * tensor::dtype_bytes(weight.dtype);
}

void load_folded_row(const LinearWeight& weight, const WeightFold& fold, int64_t row, float* out) {
  tensor::convert_to_f32(weight.dtype, row_bytes(weight, row), out, weight.k);
  if (!fold.column_factor.empty()) {
    for (int64_t c = 0; c < weight.k; ++c) out[c] *= fold.column_factor[static_cast<size_t>(c)];
  }
  if (!fold.row_divisor.empty()) {
    const float divisor = fold.row_divisor[static_cast<size_t>(row)];
    for (int64_t c = 0; c < weight.k; ++c) out[c] /= divisor;
  }
}

// NaN and infinity come out as such: the bits of magnitudes are ordered, NaN on top.
float row_absmax(const float* x, int64_t k) {
  uint32_t largest = 0;
  for (int64_t c = 0; c < k; ++c) {
    largest = std::max(largest, std::bit_cast<uint32_t>(x[c]) & 0x7fffffffU);
  }
  return std::bit_cast<float>(largest);
}

RoundingError row_error(const float* w, const int8_t* codes, float scale, int64_t k) {
  // Eight partial sums: one chain of additions would take longer than the rounding itself.
  std::array<double, 8> signal{}, noise{}, worst{};
  for (int64_t c = 0; c < k; ++c) {
    const auto lane = static_cast<size_t>(c % 8);
    const double value = w[c];
    const double delta = value - static_cast<double>(codes[c]) * static_cast<double>(scale);
    signal[lane] += value * value;
    noise[lane] += delta * delta;
    worst[lane] = std::max(worst[lane], std::fabs(delta));
  }
  RoundingError error;
  for (size_t lane = 0; lane < 8; ++lane) {
    error.signal += signal[lane];
    error.noise += noise[lane];
    error.worst_steps = std::max(error.worst_steps, worst[lane] / static_cast<double>(scale));
  }
  return error;
}

std::vector<float> folded_bias(const LinearWeight& weight, const WeightFold& fold) {
  std::vector<float> bias = weight.bias;
  if (fold.row_divisor.empty()) return bias;
  for (size_t r = 0; r < bias.size(); ++r) bias[r] /= fold.row_divisor[r];
  return bias;
}

float next_up_in(DType storage, float value) {
  uint32_t bits = 0;
  tensor::convert_from_f32(storage, &value, &bits, 1);
  ++bits;  // positive and finite: the next bit pattern is the next number
  float next = 0;
  tensor::convert_to_f32(storage, &bits, &next, 1);
  return next;
}

// Rounds x[k] to what `storage` holds; false when that moves a value by more than kExactness of the largest.
bool hold_exactly(float* x, int64_t k, DType storage) {
  const float tolerance = kExactness * row_absmax(x, k);
  bool exact = true;
  for (int64_t c = 0; c < k; ++c) {
    const float held = tensor::round_to_dtype(storage, x[c]);
    exact = exact && std::fabs(held - x[c]) <= tolerance;
    x[c] = held;
  }
  return exact;
}

void check_fold(const LinearWeight& weight, const WeightFold& fold) {
  const auto fits = [](std::span<const float> factors, int64_t n) {
    return factors.empty() || static_cast<int64_t>(factors.size()) == n;
  };
  OCTAVO_CHECK(fits(fold.column_factor, weight.k) && fits(fold.row_divisor, weight.n));
}

// Calls rows(row, scratch[k]) for every row of the matrix.
template <class Rows>
void for_each_row(const LinearWeight& weight, base::ThreadPool& pool, const Rows& rows) {
  std::vector<float> scratch(static_cast<size_t>(pool.n_threads() * weight.k));
  pool.parallel_for((weight.n + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int thread) {
    const int64_t end = std::min(weight.n, (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) {
      rows(row, scratch.data() + thread * weight.k);
    }
  });
}

// The smallest row for which something holds, found by whichever thread.
class FirstRow {
 public:
  void report(int64_t row) {
    int64_t known = row_.load();
    while (row < known && !row_.compare_exchange_weak(known, row)) {
    }
  }
  bool found() const { return row_.load() != kNone; }
  std::string text() const { return std::to_string(row_.load()); }

 private:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> row_{kNone};
};

}  // namespace

double RoundingError::sqnr_db() const {
  return noise == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(signal / noise);
}

float row_scale(float absmax, DType storage) {
  if (absmax == 0) return 1;
  const float exact = absmax / 127.0F;
  // Below the smallest normal number of fp32 the engine, which flushes denormals, would read a zero scale.
  if (exact < std::numeric_limits<float>::min()) {
    return storage == DType::kF16 ? 0x1p-24F : std::numeric_limits<float>::min();
  }
  const float rounded = tensor::round_to_dtype(storage, exact);
  return absmax <= 127.5F * rounded ? rounded : next_up_in(storage, exact);
}

void round_row(const float* w, int64_t k, float scale, int8_t* codes) {
  for (int64_t c = 0; c < k; ++c) {
    const float quotient = std::clamp(w[c] / scale, -127.0F, 127.0F);
    codes[c] = static_cast<int8_t>((quotient + kRounder) - kRounder);
  }
}

Result<RoundedLinear> round_to_nearest(const LinearWeight& weight, const WeightFold& fold, DType storage,
                                       base::ThreadPool& pool, bool measures_error) {
  check_fold(weight, fold);
  RoundedLinear rounded;
  LinearWeight& out = rounded.weight;
  out.n = weight.n;
  out.k = weight.k;
  out.dtype = DType::kI8;
  out.data = tensor::Buffer(static_cast<size_t>(weight.n * weight.k));
  out.scale.resize(static_cast<size_t>(weight.n));
  out.bias = folded_bias(weight, fold);
  std::vector<RoundingError> errors(static_cast<size_t>(weight.n));
  FirstRow bad;
  for_each_row(weight, pool, [&](int64_t row, float* scratch) {
    load_folded_row(weight, fold, row, scratch);
    const float absmax = row_absmax(scratch, weight.k);
    const float scale = std::isfinite(absmax) ? row_scale(absmax, storage) : absmax;
    if (!std::isfinite(scale)) return bad.report(row);
    int8_t* codes = out.data.as<int8_t>() + row * weight.k;
    round_row(scratch, weight.k, scale, codes);
    out.scale[static_cast<size_t>(row)] = scale;
    if (measures_error) errors[static_cast<size_t>(row)] = row_error(scratch, codes, scale, weight.k);
  });
  if (bad.found()) {
    return corrupt("row " + bad.text() + " holds a NaN, an infinity, or values too large for a scale in " +
                   tensor::dtype_name(storage));
  }
  for (const RoundingError& error : errors) {
    rounded.error.signal += error.signal;
    rounded.error.noise += error.noise;
    rounded.error.worst_steps = std::max(rounded.error.worst_steps, error.worst_steps);
  }
  return rounded;
}

Result<LinearWeight> fold_float(const LinearWeight& weight, const WeightFold& fold, DType storage,
                                base::ThreadPool& pool) {
  check_fold(weight, fold);
  LinearWeight out;
  out.n = weight.n;
  out.k = weight.k;
  out.dtype = weight.dtype;
  out.data = tensor::Buffer(weight.data.size_bytes());
  out.bias = folded_bias(weight, fold);
  FirstRow bad;
  for_each_row(weight, pool, [&](int64_t row, float* scratch) {
    load_folded_row(weight, fold, row, scratch);
    if (!hold_exactly(scratch, weight.k, storage)) return bad.report(row);
    tensor::convert_from_f32(out.dtype, scratch, row_bytes(out, row), out.k);
  });
  for (size_t row = 0; row < out.bias.size(); ++row) {
    if (!hold_exactly(&out.bias[row], 1, storage)) bad.report(static_cast<int64_t>(row));
  }
  if (bad.found()) {
    return unsupported("row " + bad.text() + " cannot take the factors exactly in " +
                       tensor::dtype_name(storage));
  }
  return out;
}

void raise_column_absmax(const LinearWeight& weight, base::ThreadPool& pool, std::span<float> column_absmax) {
  OCTAVO_CHECK(static_cast<int64_t>(column_absmax.size()) == weight.k);
  std::vector<float> partial(static_cast<size_t>(pool.n_threads() * weight.k), 0.0F);
  std::vector<float> rows(static_cast<size_t>(pool.n_threads() * weight.k));
  pool.parallel_for((weight.n + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int thread) {
    float* row_values = rows.data() + thread * weight.k;
    float* largest = partial.data() + thread * weight.k;
    const int64_t end = std::min(weight.n, (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) {
      tensor::convert_to_f32(weight.dtype, row_bytes(weight, row), row_values, weight.k);
      for (int64_t c = 0; c < weight.k; ++c) largest[c] = std::max(largest[c], std::fabs(row_values[c]));
    }
  });
  for (int thread = 0; thread < pool.n_threads(); ++thread) {
    for (int64_t c = 0; c < weight.k; ++c) {
      float& to = column_absmax[static_cast<size_t>(c)];
      to = std::max(to, partial[static_cast<size_t>(thread * weight.k + c)]);
    }
  }
}

}  // namespace octavo::quant
