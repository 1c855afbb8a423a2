// Sixteen floats in two 256-bit registers: vec/ref.inl's functions, lane for lane. Included as that file
// says, with "kernels/x86_intrinsics.h".

// 4 rows x 2 registers of sums are the 8 chains that two multiply-adds a cycle need; 5 and 6 were no faster.
inline constexpr int kRowsPerPass = 4;
inline constexpr int kSumsPerPass = 4;

struct F32x16 {
  __m256 low, high;
};
struct Mask16 {
  __m256 low, high;
};
struct I32x16 {
  __m256i low, high;
};
struct S16x32 {
  __m256i low, high;
};

inline F32x16 broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline F32x16 load(const float* x) { return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}; }
inline I32x16 load(const int32_t* x) {
  const auto* halves = reinterpret_cast<const __m256i*>(x);
  return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}
inline void store(float* to, F32x16 x) {
  _mm256_storeu_ps(to, x.low);
  _mm256_storeu_ps(to + 8, x.high);
}

inline __m256i first_lanes_of(int64_t n, __m256i lanes) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < 16 ? n : 16)), lanes);
}
inline __m256i first_low(int64_t n) { return first_lanes_of(n, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
inline __m256i first_high(int64_t n) {
  return first_lanes_of(n, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15));
}
inline F32x16 load_first(const float* x, int64_t n) {
  if (n >= 16) return load(x);
  if (n <= 8) return {_mm256_maskload_ps(x, first_low(n)), _mm256_setzero_ps()};
  return {_mm256_loadu_ps(x), _mm256_maskload_ps(x + 8, first_high(n))};
}
inline void store_first(float* to, F32x16 x, int64_t n) {
  if (n >= 16) {
    store(to, x);
  } else if (n <= 8) {
    _mm256_maskstore_ps(to, first_low(n), x.low);
  } else {
    _mm256_storeu_ps(to, x.low);
    _mm256_maskstore_ps(to + 8, first_high(n), x.high);
  }
}

inline F32x16 operator+(F32x16 a, F32x16 b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline F32x16 operator-(F32x16 a, F32x16 b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline F32x16 operator*(F32x16 a, F32x16 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline F32x16 operator/(F32x16 a, F32x16 b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline F32x16 max(F32x16 a, F32x16 b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
inline F32x16 min(F32x16 a, F32x16 b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }

inline Mask16 first_lanes(int64_t n) {
  return {_mm256_castsi256_ps(first_low(n)), _mm256_castsi256_ps(first_high(n))};
}
inline Mask16 less(F32x16 a, F32x16 b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)};
}
inline Mask16 is_nan(F32x16 x) {
  return {_mm256_cmp_ps(x.low, x.low, _CMP_UNORD_Q), _mm256_cmp_ps(x.high, x.high, _CMP_UNORD_Q)};
}
inline F32x16 select(Mask16 mask, F32x16 yes, F32x16 no) {
  return {_mm256_blendv_ps(no.low, yes.low, mask.low), _mm256_blendv_ps(no.high, yes.high, mask.high)};
}

inline __m256 add_to_exponent(__m256 x, __m256 exponent) {
  return _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(_mm256_castps_si256(exponent), 23)));
}
inline F32x16 add_to_exponent(F32x16 x, F32x16 exponent) {
  return {add_to_exponent(x.low, exponent.low), add_to_exponent(x.high, exponent.high)};
}

inline I32x16 magnitude_bits(F32x16 x) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  return {_mm256_and_si256(_mm256_castps_si256(x.low), magnitude),
          _mm256_and_si256(_mm256_castps_si256(x.high), magnitude)};
}
inline I32x16 max(I32x16 a, I32x16 b) {
  return {_mm256_max_epi32(a.low, b.low), _mm256_max_epi32(a.high, b.high)};
}
inline int32_t max_of_lanes(I32x16 x) {
  const __m256i m8 = _mm256_max_epi32(x.low, x.high);
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(m8), _mm256_extracti128_si256(m8, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtsi128_si32(m);
}

inline F32x16 to_float(I32x16 x) { return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)}; }

inline S16x32 load_s8_pairs(const int8_t* x) {
  const auto* halves = reinterpret_cast<const __m128i*>(x);
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(halves)), _mm256_cvtepi8_epi16(_mm_loadu_si128(halves + 1))};
}
inline I32x16 no_sums() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline I32x16 add_products(I32x16 sum, const int16_t* a, S16x32 pairs) {
  int32_t pair;
  std::memcpy(&pair, a, sizeof pair);
  const __m256i factors = _mm256_set1_epi32(pair);
  return {_mm256_add_epi32(sum.low, _mm256_madd_epi16(factors, pairs.low)),
          _mm256_add_epi32(sum.high, _mm256_madd_epi16(factors, pairs.high))};
}

inline float sum_of_lanes(F32x16 x) {
  const __m256 s8 = _mm256_add_ps(x.low, x.high);
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ps(s, _mm_shuffle_ps(s, s, 0x55));
  return _mm_cvtss_f32(s);
}
inline float max_of_lanes(F32x16 x) {
  const __m256 m8 = _mm256_max_ps(x.low, x.high);
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(m8), _mm256_extractf128_ps(m8, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ps(m, _mm_shuffle_ps(m, m, 0x55));
  return _mm_cvtss_f32(m);
}

// The bf16 is in the upper half of each 32-bit lane; what the lower half holds does not matter.
inline __m256i bf16_bits(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(last, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, quiet, nan);
}
inline __m256 round_to_bf16(__m256 x) {
  return _mm256_castsi256_ps(
      _mm256_and_si256(bf16_bits(x), _mm256_set1_epi32(static_cast<int>(0xffff0000U))));
}
inline F32x16 round_to_bf16(F32x16 x) { return {round_to_bf16(x.low), round_to_bf16(x.high)}; }
inline void store_bf16_first(uint16_t* to, F32x16 x, int64_t n) {
  const __m256i packed =
      _mm256_packus_epi32(_mm256_srli_epi32(bf16_bits(x.low), 16), _mm256_srli_epi32(bf16_bits(x.high), 16));
  const __m256i halves = _mm256_permute4x64_epi64(packed, 0xd8);  // packing works within 128-bit halves
  if (n >= 16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), halves);
    return;
  }
  alignas(32) uint16_t all[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(all), halves);
  std::memcpy(to, all, static_cast<size_t>(n) * sizeof(uint16_t));
}
template <int kWhich>
inline __m256 load_bf16_of_pairs_8(const uint16_t* x) {
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  return _mm256_castsi256_ps(kWhich == 0
                                 ? _mm256_slli_epi32(pairs, 16)
                                 : _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000U))));
}
template <int kWhich>
inline F32x16 load_bf16_of_pairs(const uint16_t* x) {
  return {load_bf16_of_pairs_8<kWhich>(x), load_bf16_of_pairs_8<kWhich>(x + 16)};
}
inline void store_s8_first(int8_t* to, F32x16 x, int32_t offset, int64_t n) {
  const __m256i offsets = _mm256_set1_epi32(offset);
  const __m256i packed = _mm256_packs_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(x.low), offsets),
                                            _mm256_add_epi32(_mm256_cvtps_epi32(x.high), offsets));
  const __m256i words = _mm256_permute4x64_epi64(packed, 0xd8);
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  if (n >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    return;
  }
  alignas(16) int8_t all[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(all), bytes);
  std::memcpy(to, all, static_cast<size_t>(n));
}
inline void store_s16_first(int16_t* to, F32x16 x, int64_t n) {
  const __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(x.low), _mm256_cvtps_epi32(x.high));
  const __m256i words = _mm256_permute4x64_epi64(packed, 0xd8);
  if (n >= 16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), words);
    return;
  }
  alignas(32) int16_t all[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(all), words);
  std::memcpy(to, all, static_cast<size_t>(n) * sizeof(int16_t));
}
