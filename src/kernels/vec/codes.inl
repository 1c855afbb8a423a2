// Integer codes of a row of values and their scale, absmax over the largest code, or as calibration has fixed
// them. Included after vec/<isa>.inl and elementwise.h. Activations, int8 keys and values, and what attention
// multiplies these with take them.

// A row gives its values by at(i, n): n <= 16 of them from i on, and anything after them.
struct PlainRow {
  const float* x;
  F32x16 at(int64_t i, int64_t n) const { return load_first(x + i, n); }
};
// n of `values`, and zeros in the lanes after them.
inline F32x16 only_first(F32x16 values, int64_t n) {
  return n >= 16 ? values : select(first_lanes(n), values, broadcast(0.0F));
}

inline bool is_finite(float absmax) { return absmax <= 0x1.fffffep+127F; }  // and no NaN

template <class Row>
inline float absmax_of(const Row& row, int64_t k) {
  I32x16 largest = magnitude_bits(broadcast(0.0F));
  for (int64_t i = 0; i < k; i += 16) {
    largest = max(largest, magnitude_bits(only_first(row.at(i, k - i), k - i)));
  }
  return std::bit_cast<float>(max_of_lanes(largest));
}

// absmax / kLargest; 1 where that would be a denormal, which is flushed: all codes are then zero. NaN where
// absmax is not finite: the codes are zeros too, and whatever the scale multiplies shows it.
template <int kLargest>
inline float code_scale(float absmax) {
  constexpr float kSmallestAbsmax = static_cast<float>(kLargest + 1) * 0x1p-126F;
  if (!is_finite(absmax)) return __builtin_nanf("");
  return absmax < kSmallestAbsmax ? 1.0F : absmax / static_cast<float>(kLargest);
}

// Codes of the first 16 of n values, from column i on, as calibration has fixed them (StaticCodes); returns
// the values' magnitude bits. Quotients beyond +-256 are cut before they become integers: their codes are the
// ends whatever the zero point. NaN becomes the lower bound, for a row that is not a number anyway.
inline I32x16 write_static_codes(const StaticCodes& codes, int64_t i, F32x16 values, int64_t n, int8_t* to) {
  const F32x16 divisor = codes.per_column ? load_first(codes.divisor + i, n) : broadcast(codes.divisor[0]);
  const F32x16 cut = min(max(values / divisor, broadcast(-256.0F)), broadcast(256.0F));
  store_s8_first(to, cut, codes.zero_point, n);
  return magnitude_bits(only_first(values, n));
}

// codes[i] = round(row[i] / scale); returns the scale. Two passes that compute the values twice: a row may be
// longer than any buffer on the stack.
template <class Row>
inline float write_s8_codes(const Row& row, int64_t k, int8_t* codes) {
  const float absmax = absmax_of(row, k);
  const float scale = code_scale<127>(absmax);
  if (!is_finite(absmax)) {
    std::memset(codes, 0, static_cast<size_t>(k));
    return scale;
  }
  for (int64_t i = 0; i < k; i += 16)
    store_s8_first(codes + i, row.at(i, k - i) / broadcast(scale), 0, k - i);
  return scale;
}
