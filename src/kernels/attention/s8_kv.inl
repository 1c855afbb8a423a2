// Keys and values held as int8 codes with one scale per token and kv head, for tile.inl. What meets them, q
// and p, becomes 15-bit codes, whose rounding is small beside that of K and V (measured: docs/NUMERICS.md).
// The sums are exact, so they have no order.

// 14 bits and a sign: a sum of kS8KvMaxHeadDim products with int8 stays in int32, and a code falls into two
// int8 halves, its upper and lower seven bits, for units that multiply nothing wider.
inline constexpr int kWideCode = 16383;
static_assert(int64_t{kWideCode} * 127 * kS8KvMaxHeadDim <= 0x7fffffff);

// codes[i] = round(x[i] * (1 / scale)) for i < n, zeros up to n_codes; returns the scale.
inline float write_wide_codes(const float* x, int64_t n, int16_t* codes, int64_t n_codes) {
  const float absmax = absmax_of(PlainRow{x}, n);
  const float scale = code_scale<kWideCode>(absmax);
  if (!is_finite(absmax)) {
    std::memset(codes, 0, static_cast<size_t>(n_codes) * sizeof(int16_t));
    return scale;
  }
  const F32x16 inverse = broadcast(1.0F / scale);
  for (int64_t i = 0; i < n_codes; i += 16) {
    store_s16_first(codes + i, load_first(x + i, i < n ? n - i : 0) * inverse, n_codes - i);
  }
  return scale;
}

// sums[r][c] = sum over k < n of a[r,k] * b[k, columns of vector c]; n even, strides as Bf16Operand's.
template <int R, int C>
[[gnu::noinline]] void product_s8(const int16_t* a, int64_t a_stride, const int8_t* b, int64_t k_stride,
                                  int64_t vector_stride, int64_t n, I32x16 (*sums)[C]) {
  I32x16 s[R][C];
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) s[r][c] = no_sums();
  }
  for (int64_t k = 0; k < n; k += 2) {
    S16x32 pairs[C];
    for (int c = 0; c < C; ++c) pairs[c] = load_s8_pairs(b + k * k_stride + c * vector_stride);
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) s[r][c] = add_products(s[r][c], a + r * a_stride + k, pairs[c]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) sums[r][c] = s[r][c];
  }
}

struct S8Kv {  // the members of FloatKv
  static constexpr bool kRoundsWeights = false;
  static constexpr bool asks_for_next(int /*n_rows*/, int /*n_vectors*/) { return false; }

  struct Queries {
    int16_t* codes;  // [n_rows, head_dim]
    float* scales;   // [n_rows], attention's scale in them
    int64_t head_dim;
    float scale;
    // The codes take half the floats' place, and head_dim / 2 >= 1 floats a row are left for the scale.
    Queries(float* memory, int64_t n_rows, int64_t dim, float s)
        : codes(reinterpret_cast<int16_t*>(memory + n_rows)), scales(memory), head_dim(dim), scale(s) {}
    void set(int64_t row, const float* q) {
      scales[row] = write_wide_codes(q, head_dim, codes + row * head_dim, head_dim) * scale;
    }
  };

  const int8_t* keys;
  const int8_t* values;
  const float* key_scales;
  const float* value_scales;
  int64_t k_vector_values, v_width;

  S8Kv(const KvLayout& layout, const KvPlace& at, const KvPlace& /*next*/)
      : keys(layout.keys<int8_t>(at)),
        values(layout.values<int8_t>(at)),
        key_scales(layout.key_scales(at)),
        value_scales(layout.value_scales(at)),
        k_vector_values(layout.k_vector_values),
        v_width(layout.v_width) {}

  template <int R, int C>
  void scores(const Queries& q, int64_t row, int64_t t, float* s) const {
    I32x16 sums[R][C];
    product_s8<R, C>(q.codes + row * q.head_dim, q.head_dim, keys + t / 16 * k_vector_values, kKvVectorTokens,
                     k_vector_values, q.head_dim, sums);
    for (int c = 0; c < C; ++c) {
      const F32x16 scale = load(key_scales + t + 16 * c);
      for (int r = 0; r < R; ++r) {
        store(s + r * kKvBlockTokens + t + 16 * c,
              to_float(sums[r][c]) * broadcast(q.scales[row + r]) * scale);
      }
    }
  }

  // p_t with the value's scale in it, as codes; zero for tokens that a row may not see.
  template <int R>
  struct Weights {
    const S8Kv& kv;
    int64_t n;  // tokens of the longest row, rounded up to whole pairs
    alignas(64) int16_t codes[R * kKvBlockTokens];
    float scale[R];
    Weights(const S8Kv& of, float* p, const int64_t* n_tokens) : kv(of), n((n_tokens[R - 1] + 1) / 2 * 2) {
      for (int r = 0; r < R; ++r) {
        float* row = p + r * kKvBlockTokens;
        for (int64_t t = 0; t < n_tokens[r]; t += 16)
          store(row + t, load(row + t) * load(of.value_scales + t));
        scale[r] = write_wide_codes(row, n_tokens[r], codes + r * kKvBlockTokens, n);
      }
    }
    template <int C>
    void sum(int64_t d, F32x16 (*sums)[C]) const {
      I32x16 s[R][C];
      product_s8<R, C>(codes, kKvBlockTokens, kv.values + 2 * d, kv.v_width, 32, n, s);
      for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) sums[r][c] = to_float(s[r][c]) * broadcast(scale[r]);
      }
    }
  };
};

inline void write_s8(const KvRows& rows, const KvLayout& layout) {
  const int64_t head_dim = rows.shape->head_dim;
  auto* values = layout.values<int8_t>(rows.to);
  float* key_scales = layout.key_scales(rows.to);
  float* value_scales = layout.value_scales(rows.to);
  int8_t codes[kS8KvMaxHeadDim];
  for (int64_t i = 0; i < rows.n_tokens; ++i) {
    const int64_t slot = rows.slot_begin + i;
    key_scales[slot] = write_s8_codes(PlainRow{rows.k + i * rows.k_stride}, head_dim, codes);
    auto* keys = layout.key_column<int8_t>(rows.to, slot);
    for (int64_t d = 0; d < head_dim; d += 2) std::memcpy(keys + d * kKvVectorTokens, codes + d, 2);
    value_scales[slot] = write_s8_codes(PlainRow{rows.v + i * rows.v_stride}, head_dim, codes);
    int8_t* v_slot = values + slot / 2 * 2 * layout.v_width + slot % 2;
    for (int64_t d = 0; d < head_dim; ++d) v_slot[2 * d] = codes[d];
  }
}
