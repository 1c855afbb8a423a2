// Sixteen floats in one 512-bit register: vec/ref.inl's functions, lane for lane. Included as that file says,
// with "kernels/x86_intrinsics.h". bf16 is rounded by integer steps as on AVX2: vcvtneps2bf16 needs
// AVX512-BF16.

// 8 rows of sums are twice the 4 chains that one multiply-add a cycle needs.
inline constexpr int kRowsPerPass = 8;
// Of 32 registers, the rest being operands.
inline constexpr int kSumsPerPass = 24;

struct F32x16 {
  __m512 lanes;
};
struct Mask16 {
  uint16_t lanes;
};
struct I32x16 {
  __m512i lanes;
};
struct S16x32 {
  __m512i lanes;
};

inline F32x16 broadcast(float x) { return {_mm512_set1_ps(x)}; }
inline F32x16 load(const float* x) { return {_mm512_loadu_ps(x)}; }
inline I32x16 load(const int32_t* x) { return {_mm512_loadu_si512(x)}; }
inline void store(float* to, F32x16 x) { _mm512_storeu_ps(to, x.lanes); }

inline Mask16 first_lanes(int64_t n) { return {static_cast<uint16_t>(n < 16 ? (1U << n) - 1 : 0xffffU)}; }
inline F32x16 load_first(const float* x, int64_t n) {
  if (n >= 16) return load(x);
  return {_mm512_maskz_loadu_ps(first_lanes(n).lanes, x)};
}
inline void store_first(float* to, F32x16 x, int64_t n) {
  if (n >= 16) return store(to, x);
  _mm512_mask_storeu_ps(to, first_lanes(n).lanes, x.lanes);
}

inline F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.lanes, b.lanes)}; }
inline F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.lanes, b.lanes)}; }
inline F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.lanes, b.lanes)}; }
inline F32x16 operator/(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.lanes, b.lanes)}; }
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.lanes, b.lanes, c.lanes)}; }
inline F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.lanes, b.lanes)}; }
inline F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.lanes, b.lanes)}; }

inline Mask16 less(F32x16 a, F32x16 b) { return {_mm512_cmp_ps_mask(a.lanes, b.lanes, _CMP_LT_OQ)}; }
inline Mask16 is_nan(F32x16 x) { return {_mm512_cmp_ps_mask(x.lanes, x.lanes, _CMP_UNORD_Q)}; }
inline F32x16 select(Mask16 mask, F32x16 yes, F32x16 no) {
  return {_mm512_mask_blend_ps(mask.lanes, no.lanes, yes.lanes)};
}

inline F32x16 add_to_exponent(F32x16 x, F32x16 exponent) {
  const __m512i shifted = _mm512_slli_epi32(_mm512_castps_si512(exponent.lanes), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x.lanes), shifted))};
}

inline I32x16 magnitude_bits(F32x16 x) {
  return {_mm512_and_si512(_mm512_castps_si512(x.lanes), _mm512_set1_epi32(0x7fffffff))};
}
inline I32x16 max(I32x16 a, I32x16 b) { return {_mm512_max_epi32(a.lanes, b.lanes)}; }
inline int32_t max_of_lanes(I32x16 x) {
  const __m256i m8 = _mm256_max_epi32(_mm512_castsi512_si256(x.lanes), _mm512_extracti64x4_epi64(x.lanes, 1));
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(m8), _mm256_extracti128_si256(m8, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtsi128_si32(m);
}
inline F32x16 to_float(I32x16 x) { return {_mm512_cvtepi32_ps(x.lanes)}; }

inline S16x32 load_s8_pairs(const int8_t* x) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)))};
}
inline I32x16 no_sums() { return {_mm512_setzero_si512()}; }
inline I32x16 add_products(I32x16 sum, const int16_t* a, S16x32 pairs) {
  int32_t pair;
  std::memcpy(&pair, a, sizeof pair);
  return {_mm512_dpwssd_epi32(sum.lanes, _mm512_set1_epi32(pair), pairs.lanes)};
}

inline __m256 upper_half(__m512 x) {
  return _mm256_castsi256_ps(_mm512_extracti64x4_epi64(_mm512_castps_si512(x), 1));
}
inline float sum_of_lanes(F32x16 x) {
  const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(x.lanes), upper_half(x.lanes));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ps(s, _mm_shuffle_ps(s, s, 0x55));
  return _mm_cvtss_f32(s);
}
inline float max_of_lanes(F32x16 x) {
  const __m256 m8 = _mm256_max_ps(_mm512_castps512_ps256(x.lanes), upper_half(x.lanes));
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(m8), _mm256_extractf128_ps(m8, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ps(m, _mm_shuffle_ps(m, m, 0x55));
  return _mm_cvtss_f32(m);
}

// The bf16 is in the upper half of each 32-bit lane; what the lower half holds does not matter.
inline __m512i bf16_bits(F32x16 x) {
  const __m512i bits = _mm512_castps_si512(x.lanes);
  const __m512i last = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(last, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  return _mm512_mask_mov_epi32(rounded, is_nan(x).lanes, quiet);
}
inline __m512i upper_halves(__m512i lanes) {
  return _mm512_and_si512(lanes, _mm512_set1_epi32(static_cast<int>(0xffff0000U)));
}
inline F32x16 round_to_bf16(F32x16 x) { return {_mm512_castsi512_ps(upper_halves(bf16_bits(x)))}; }
// Of each lane the lower 16 bits.
inline void store_halves_first(void* to, __m512i lanes, int64_t n) {
  const __m256i halves = _mm512_cvtepi32_epi16(lanes);
  if (n >= 16) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), halves);
    return;
  }
  alignas(32) int16_t all[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(all), halves);
  std::memcpy(to, all, static_cast<size_t>(n) * sizeof(int16_t));
}
inline void store_bf16_first(uint16_t* to, F32x16 x, int64_t n) {
  store_halves_first(to, _mm512_srli_epi32(bf16_bits(x), 16), n);
}
inline void store_s16_first(int16_t* to, F32x16 x, int64_t n) {
  store_halves_first(to, _mm512_cvtps_epi32(x.lanes), n);
}
template <int kWhich>
inline F32x16 load_bf16_of_pairs(const uint16_t* x) {
  const __m512i pairs = _mm512_loadu_si512(x);
  return {_mm512_castsi512_ps(kWhich == 0 ? _mm512_slli_epi32(pairs, 16) : upper_halves(pairs))};
}
inline void store_s8_first(int8_t* to, F32x16 x, int32_t offset, int64_t n) {
  const __m512i codes = _mm512_add_epi32(_mm512_cvtps_epi32(x.lanes), _mm512_set1_epi32(offset));
  const __m128i bytes = _mm512_cvtsepi32_epi8(codes);
  if (n >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    return;
  }
  alignas(16) int8_t all[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(all), bytes);
  std::memcpy(to, all, static_cast<size_t>(n));
}
