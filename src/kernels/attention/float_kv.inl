// Keys and values held as floats, for tile.inl: what a block's are to a tile of queries, and how they get
// there. Both products, q k^T with tokens as lanes and p v with dimensions as lanes, are `product`.

// Row k of an operand in its vectors of 16 columns: k_stride values from row to row (of pairs of rows
// [16][2]: half of that from pair to pair), vector_stride from vector to vector.
struct Bf16Operand {
  using Value = uint16_t;
  const uint16_t* values;
  const uint16_t* next;  // the same operand in the block that is read after this one
  int64_t k_stride, vector_stride;
  template <int kParity>
  F32x16 at(int64_t k, int64_t vector) const {  // row k + kParity, k even
    return load_bf16_of_pairs<kParity>(values + k * k_stride + vector * vector_stride);
  }
  // A line holds both parities of a vector: each asks for every other vector's. Inlined by force, because GCC
  // 12 takes a function that only asks for one without effect and drops its calls.
  template <int kParity>
  [[gnu::always_inline]] void ask_for_next(int64_t k, int64_t vector, int c) const {
    if (c % 2 == kParity) __builtin_prefetch(next + k * k_stride + (vector + c) * vector_stride, 0, 2);
  }
};
struct F32Operand {
  using Value = float;
  const float* values;
  const float* next;
  int64_t k_stride, vector_stride;
  template <int kParity>
  F32x16 at(int64_t k, int64_t vector) const {
    return load(values + (k + kParity) * k_stride + vector * vector_stride);
  }
  template <int kParity>
  [[gnu::always_inline]] void ask_for_next(int64_t k, int64_t vector, int c) const {
    __builtin_prefetch(next + (k + kParity) * k_stride + (vector + c) * vector_stride, 0, 2);
  }
};

// Whether each line that R rows read in C vectors asks for the one in its place in the next block, which the
// hardware's prefetcher finds too late; else Prefetch (tile.inl) asks, which is enough for many rows.
constexpr bool floats_ask_for_next(int n_rows, int n_vectors) {
  return n_rows <= 4 || 16 * n_vectors >= kKvBlockTokens;
}

// sums[r][c] of positions k and k + 1 (kParity 0 or 1) gets a[r,k] * b[k, columns of vector `vector` + c],
// fused.
template <int R, int C, int kParity, class Operand>
inline void add_position(const float* a, int64_t a_stride, const Operand& b, int64_t vector, int64_t k,
                         F32x16 (*sums)[C]) {
  F32x16 values[C];
  for (int c = 0; c < C; ++c) {
    values[c] = b.template at<kParity>(k, vector + c);
    if constexpr (floats_ask_for_next(R, C)) b.template ask_for_next<kParity>(k, vector, c);
  }
  for (int r = 0; r < R; ++r) {
    const F32x16 x = broadcast(a[r * a_stride + k + kParity]);
    for (int c = 0; c < C; ++c) sums[r][c] = fma(x, values[c], sums[r][c]);
  }
}
// The same at the causal edge: a row leaves out what it may not see, whatever that holds.
template <int R, int C, int kParity, class Operand>
inline void add_edge_position(const float* a, int64_t a_stride, const Operand& b, int64_t vector, int64_t k,
                              const int64_t* n_k, F32x16 (*sums)[C]) {
  for (int c = 0; c < C; ++c) {
    const F32x16 values = b.template at<kParity>(k, vector + c);
    for (int r = 0; r < R; ++r) {
      if (k + kParity < n_k[r]) {
        sums[r][c] = fma(broadcast(a[r * a_stride + k + kParity]), values, sums[r][c]);
      }
    }
  }
}

// Vectors of columns that R rows take at once: as many sums as registers hold, for the longest chains' sake
// and so that a read of a matters to more of them.
constexpr int columns_at_once(int n_sums) {
  return 4 * n_sums <= kSumsPerPass ? 4 : 2 * n_sums <= kSumsPerPass ? 2 : 1;
}

// sums[r][c] = sum over k < n_k[r] of a[r,k] * b[k, columns of vector `vector` + c], in the order of
// gemm_f.h. n_k rises. A function of its own, so that the compiler gives the accumulators all registers
// (inlined, it spilled a quarter of them at half the speed).
template <int R, int C, class Operand>
[[gnu::noinline]] void product(const float* a, int64_t a_stride, const Operand& b, int64_t vector,
                               const int64_t* n_k, F32x16 (*sums)[C]) {
  const int64_t n = n_k[R - 1];
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) sums[r][c] = broadcast(0.0F);
  }
  for (int64_t begin = 0; begin < n; begin += 32) {
    const int64_t end = begin + 32 < n ? begin + 32 : n;
    const int64_t shared = std::clamp<int64_t>(n_k[0] - begin, 0, end - begin);
    const int64_t shared_end = begin + shared / 2 * 2;
    F32x16 even[R][C], odd[R][C];
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) even[r][c] = odd[r][c] = broadcast(0.0F);
    }
    if constexpr (2 * R * C <= kSumsPerPass) {
      for (int64_t k = begin; k < shared_end; k += 2) {
        add_position<R, C, 0>(a, a_stride, b, vector, k, even);
        add_position<R, C, 1>(a, a_stride, b, vector, k, odd);
      }
    } else {
      for (int64_t k = begin; k < shared_end; k += 2) add_position<R, C, 0>(a, a_stride, b, vector, k, even);
      for (int64_t k = begin; k < shared_end; k += 2) add_position<R, C, 1>(a, a_stride, b, vector, k, odd);
    }
    for (int64_t k = shared_end; k < end; k += 2) {
      add_edge_position<R, C, 0>(a, a_stride, b, vector, k, n_k, even);
      if (k + 1 < end) add_edge_position<R, C, 1>(a, a_stride, b, vector, k, n_k, odd);
    }
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) sums[r][c] = sums[r][c] + (even[r][c] + odd[r][c]);
    }
  }
}

// K and V of one kv head in one block. A Kv of tile.inl: these members are all that tile.inl knows of how
// keys and values are held.
template <class Operand, bool kBf16>
struct FloatKv {
  static constexpr bool kRoundsWeights = kBf16;  // p_t to bf16
  static constexpr bool asks_for_next(int n_rows, int n_vectors) {
    return floats_ask_for_next(n_rows, n_vectors);
  }

  // A tile's queries, in n_rows * head_dim floats at `memory`.
  struct Queries {
    float* values;  // [n_rows, head_dim]
    int64_t head_dim;
    float scale;
    Queries(float* memory, int64_t /*n_rows*/, int64_t dim, float s)
        : values(memory), head_dim(dim), scale(s) {}
    void set(int64_t row, const float* q) {
      for (int64_t d = 0; d < head_dim; d += 16) {
        const F32x16 x = load_first(q + d, head_dim - d);
        store_first(values + row * head_dim + d, kBf16 ? round_to_bf16(x) : x, head_dim - d);
      }
    }
  };

  Operand keys, values;

  FloatKv(const KvLayout& layout, const KvPlace& at, const KvPlace& next)
      : keys{layout.keys<typename Operand::Value>(at), layout.keys<typename Operand::Value>(next),
             kKvVectorTokens, layout.k_vector_values},
        values{layout.values<typename Operand::Value>(at), layout.values<typename Operand::Value>(next),
               layout.v_width, kBf16 ? 32 : 16} {}

  // s[r][t … t + 16 C - 1] of rows row … row + R - 1, rows of s kKvBlockTokens apart.
  template <int R, int C>
  void scores(const Queries& q, int64_t row, int64_t t, float* s) const {
    int64_t n_dims[R];
    for (int r = 0; r < R; ++r) n_dims[r] = q.head_dim;
    F32x16 sums[R][C];
    product<R, C>(q.values + row * q.head_dim, q.head_dim, keys, t / 16, n_dims, sums);
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) {
        store(s + r * kKvBlockTokens + t + 16 * c, sums[r][c] * broadcast(q.scale));
      }
    }
  }

  // The first n_tokens[r] of p[r], rows kKvBlockTokens apart, as weights of the values; p outlives them.
  template <int R>
  struct Weights {
    const FloatKv& kv;
    const float* p;
    const int64_t* n_tokens;
    Weights(const FloatKv& of, float* weights, const int64_t* n) : kv(of), p(weights), n_tokens(n) {}
    // o_b[r][d … d + 16 C - 1]
    template <int C>
    void sum(int64_t d, F32x16 (*sums)[C]) const {
      product<R, C>(p, kKvBlockTokens, kv.values, d / 16, n_tokens, sums);
    }
  };
};
using Bf16Kv = FloatKv<Bf16Operand, true>;
using F32Kv = FloatKv<F32Operand, false>;

inline void write_f32(const KvRows& rows, const KvLayout& layout) {
  auto* values = layout.values<float>(rows.to);
  for (int64_t i = 0; i < rows.n_tokens; ++i) {
    const int64_t slot = rows.slot_begin + i;
    const float* k = rows.k + i * rows.k_stride;
    auto* keys = layout.key_column<float>(rows.to, slot);
    for (int64_t d = 0; d < rows.shape->head_dim; ++d) keys[d * kKvVectorTokens] = k[d];
    std::memcpy(values + slot * layout.v_width, rows.v + i * rows.v_stride,
                static_cast<size_t>(rows.shape->head_dim) * sizeof(float));
  }
}

inline void write_bf16(const KvRows& rows, const KvLayout& layout) {
  auto* values = layout.values<uint16_t>(rows.to);
  for (int64_t i = 0; i < rows.n_tokens; ++i) {
    const int64_t slot = rows.slot_begin + i;
    const float* k = rows.k + i * rows.k_stride;
    const float* v = rows.v + i * rows.v_stride;
    auto* keys = layout.key_column<uint16_t>(rows.to, slot);
    uint16_t* v_slot = values + slot / 2 * 2 * layout.v_width + slot % 2;
    for (int64_t d = 0; d < rows.shape->head_dim; d += 16) {
      const int64_t n = rows.shape->head_dim - d < 16 ? rows.shape->head_dim - d : 16;
      uint16_t rounded[16];
      store_bf16_first(rounded, load_first(k + d, n), n);
      for (int64_t j = 0; j < n; j += 2) {
        std::memcpy(keys + (d + j) * kKvVectorTokens, rounded + j, 2 * sizeof(uint16_t));
      }
      store_bf16_first(rounded, load_first(v + d, n), n);
      for (int64_t j = 0; j < n; ++j) v_slot[2 * (d + j)] = rounded[j];
    }
  }
}
