// Sixteen floats in plain C++: the definition that every other vec/<isa>.inl follows lane by lane, and with
// it the formulas written on top (exp.inl, elementwise/rows.inl, attention/tile.inl). Included inside an
// anonymous namespace, in an ISA's target region, after <bit>, <cmath>, <cstdint>, <cstring>,
// "tensor/dtype.h".

// Rows that share one pass over a B operand (attention/tile.inl). No row's bits depend on it; it
// differs from avx2.inl's, so that comparing the two shows that.
inline constexpr int kRowsPerPass = 3;
// Sums (F32x16) that a pass keeps at once; likewise without a trace in the bits.
inline constexpr int kSumsPerPass = 6;

struct F32x16 {
  float lane[16];
};
struct Mask16 {
  bool lane[16];
};
struct I32x16 {
  int32_t lane[16];
};
struct S16x32 {  // sixteen pairs
  int16_t lane[32];
};

template <class Op>
inline F32x16 each_lane(Op op) {
  F32x16 r;
  for (int i = 0; i < 16; ++i) r.lane[i] = op(i);
  return r;
}
inline F32x16 broadcast(float x) {
  return each_lane([&](int) { return x; });
}
inline F32x16 load(const float* x) {
  return each_lane([&](int i) { return x[i]; });
}
inline I32x16 load(const int32_t* x) {
  I32x16 r;
  std::memcpy(r.lane, x, sizeof r.lane);
  return r;
}
// The first n of 16 floats, zeros after them; n >= 16 loads all.
inline F32x16 load_first(const float* x, int64_t n) {
  return each_lane([&](int i) { return i < n ? x[i] : 0.0F; });
}
inline void store(float* to, const F32x16& x) { std::memcpy(to, x.lane, sizeof x.lane); }
inline void store_first(float* to, const F32x16& x, int64_t n) {
  for (int i = 0; i < 16 && i < n; ++i) to[i] = x.lane[i];
}

inline F32x16 operator+(const F32x16& a, const F32x16& b) {
  return each_lane([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline F32x16 operator-(const F32x16& a, const F32x16& b) {
  return each_lane([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline F32x16 operator*(const F32x16& a, const F32x16& b) {
  return each_lane([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline F32x16 operator/(const F32x16& a, const F32x16& b) {
  return each_lane([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline F32x16 fma(const F32x16& a, const F32x16& b, const F32x16& c) {  // a * b + c, rounded once
  F32x16 r;  // a loop of its own: the tests of unoptimized builds spend their time here
  for (int i = 0; i < 16; ++i) r.lane[i] = std::fma(a.lane[i], b.lane[i], c.lane[i]);
  return r;
}
// A comparison with NaN is false: b.
inline F32x16 max(const F32x16& a, const F32x16& b) {
  return each_lane([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F32x16 min(const F32x16& a, const F32x16& b) {
  return each_lane([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}

inline Mask16 first_lanes(int64_t n) {
  Mask16 r;
  for (int i = 0; i < 16; ++i) r.lane[i] = i < n;
  return r;
}
inline Mask16 less(const F32x16& a, const F32x16& b) {
  Mask16 r;
  for (int i = 0; i < 16; ++i) r.lane[i] = a.lane[i] < b.lane[i];
  return r;
}
inline Mask16 is_nan(const F32x16& x) {
  Mask16 r;
  for (int i = 0; i < 16; ++i) r.lane[i] = x.lane[i] != x.lane[i];
  return r;
}
inline F32x16 select(const Mask16& mask, const F32x16& yes, const F32x16& no) {
  return each_lane([&](int i) { return mask.lane[i] ? yes.lane[i] : no.lane[i]; });
}

// x with the low bits of `exponent` added to its exponent field: x * 2^n where the bits of `exponent` are n
// mod 2^9.
inline F32x16 add_to_exponent(const F32x16& x, const F32x16& exponent) {
  return each_lane([&](int i) {
    return std::bit_cast<float>(std::bit_cast<uint32_t>(x.lane[i]) +
                                (std::bit_cast<uint32_t>(exponent.lane[i]) << 23));
  });
}

// Bits of |x|: they order as the values do, with infinity and then NaN on top.
inline I32x16 magnitude_bits(const F32x16& x) {
  I32x16 r;
  for (int i = 0; i < 16; ++i) r.lane[i] = std::bit_cast<int32_t>(x.lane[i]) & 0x7fffffff;
  return r;
}
inline I32x16 max(const I32x16& a, const I32x16& b) {
  I32x16 r;
  for (int i = 0; i < 16; ++i) r.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
  return r;
}
inline int32_t max_of_lanes(const I32x16& x) {
  int32_t r = x.lane[0];
  for (int i = 1; i < 16; ++i) r = x.lane[i] > r ? x.lane[i] : r;
  return r;
}

inline F32x16 to_float(const I32x16& x) {
  return each_lane([&](int i) { return static_cast<float>(x.lane[i]); });
}

// Sixteen pairs of int8, widened.
inline S16x32 load_s8_pairs(const int8_t* x) {
  S16x32 r;
  for (int i = 0; i < 32; ++i) r.lane[i] = x[i];
  return r;
}
inline I32x16 no_sums() { return {}; }
// sum + a[0] * first of pair + a[1] * second of pair; stays inside int32.
inline I32x16 add_products(const I32x16& sum, const int16_t* a, const S16x32& pairs) {
  I32x16 r;
  for (int i = 0; i < 16; ++i)
    r.lane[i] = sum.lane[i] + a[0] * pairs.lane[2 * i] + a[1] * pairs.lane[2 * i + 1];
  return r;
}

template <class Op>
inline float fold_lanes(F32x16 x, Op op) {  // j with j + 8, then + 4, + 2, + 1
  for (int half = 8; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) x.lane[j] = op(x.lane[j], x.lane[j + half]);
  }
  return x.lane[0];
}
inline float sum_of_lanes(const F32x16& x) {
  return fold_lanes(x, [](float a, float b) { return a + b; });
}
inline float max_of_lanes(const F32x16& x) {
  return fold_lanes(x, [](float a, float b) { return a > b ? a : b; });
}

inline F32x16 round_to_bf16(const F32x16& x) {
  return each_lane([&](int i) { return tensor::round_to_bf16(x.lane[i]); });
}
inline void store_bf16_first(uint16_t* to, const F32x16& x, int64_t n) {
  for (int i = 0; i < 16 && i < n; ++i) to[i] = tensor::bf16_from_f32(x.lane[i]);
}
// Of sixteen pairs of bf16 the first ones (kWhich = 0) or the second ones (1).
template <int kWhich>
inline F32x16 load_bf16_of_pairs(const uint16_t* x) {
  return each_lane([&](int i) { return tensor::f32_from_bf16(x[2 * i + kWhich]); });
}
// Rounded half to even, plus `offset`, saturated; every |x| <= 2^24.
inline void store_s8_first(int8_t* to, const F32x16& x, int32_t offset, int64_t n) {
  for (int i = 0; i < 16 && i < n; ++i) {
    const int32_t code = static_cast<int32_t>(std::nearbyint(x.lane[i])) + offset;
    to[i] = static_cast<int8_t>(code < -128 ? -128 : code > 127 ? 127 : code);
  }
}
// Rounded half to even; every |x| < 2^15.
inline void store_s16_first(int16_t* to, const F32x16& x, int64_t n) {
  for (int i = 0; i < 16 && i < n; ++i) to[i] = static_cast<int16_t>(std::nearbyint(x.lane[i]));
}
