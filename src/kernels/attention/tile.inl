// The formulas of attention.h, written once on vec/<isa>.inl and exp.inl; included by each ISA's file inside
// its target region and anonymous namespace. Both products, q k^T with tokens as lanes and p v with
// dimensions as lanes, are `product`; kRowsPerPass rows share each read of K and V. A row's bits depend on
// nothing but its own q, position and the K and V up to it.

struct Bf16Operand {  // [k/2][stride][2]
  const uint16_t* values;
  int64_t stride;
  template <int kParity>
  F32x16 at(int64_t k, int64_t column) const {  // row k + kParity, k even
    return load_bf16_of_pairs<kParity>(values + k * stride + 2 * column);
  }
};
struct F32Operand {  // [k][stride]
  const float* values;
  int64_t stride;
  template <int kParity>
  F32x16 at(int64_t k, int64_t column) const {
    return load(values + (k + kParity) * stride + column);
  }
};

// sums[r] = sum over k in [begin, end), k < n_k[r], k even or odd, of a[r,k] * b[k, column … column + 15],
// from zero in rising k by fused multiply-add. begin is even, n_k rises.
template <int R, int kParity, class Operand>
inline void sum_parity(const float* a, int64_t a_stride, const Operand& b, int64_t column, int64_t begin,
                       int64_t end, const int64_t* n_k, F32x16* sums) {
  F32x16 s[R];
  for (int r = 0; r < R; ++r) s[r] = broadcast(0.0F);
  const int64_t shared_end = end < n_k[0] ? end : n_k[0];
  int64_t k = begin;
  for (; k + kParity < shared_end; k += 2) {
    const F32x16 values = b.template at<kParity>(k, column);
    for (int r = 0; r < R; ++r) s[r] = fma(broadcast(a[r * a_stride + k + kParity]), values, s[r]);
  }
  // The last positions of the causal edge: a row leaves out what it may not see, whatever that holds.
  for (; k + kParity < end; k += 2) {
    const F32x16 values = b.template at<kParity>(k, column);
    for (int r = 0; r < R; ++r) {
      if (k + kParity < n_k[r]) s[r] = fma(broadcast(a[r * a_stride + k + kParity]), values, s[r]);
    }
  }
  for (int r = 0; r < R; ++r) sums[r] = s[r];
}

// sums[r] = sum over k < n_k[r] of a[r,k] * b[k, column … column + 15], in the order of gemm_f.h. n_k rises.
// A function of its own, so that the compiler gives the accumulators all registers (inlined, it spilled a
// quarter of them at half the speed).
template <int R, class Operand>
[[gnu::noinline]] void product(const float* a, int64_t a_stride, const Operand& b, int64_t column,
                               const int64_t* n_k, F32x16* sums) {
  const int64_t n = n_k[R - 1];
  for (int r = 0; r < R; ++r) sums[r] = broadcast(0.0F);
  for (int64_t begin = 0; begin < n; begin += 32) {
    const int64_t end = begin + 32 < n ? begin + 32 : n;
    F32x16 even[R], odd[R];
    sum_parity<R, 0>(a, a_stride, b, column, begin, end, n_k, even);
    sum_parity<R, 1>(a, a_stride, b, column, begin, end, n_k, odd);
    for (int r = 0; r < R; ++r) sums[r] = sums[r] + (even[r] + odd[r]);
  }
}

// A tile's state: q as the product reads it, and what the blocks so far have summed to.
struct TileRows {
  int64_t n_rows, head_dim, v_width;
  bool bf16;
  float scale;
  float* q;            // [n_rows, head_dim]
  float* o;            // [n_rows, v_width]
  float* running_max;  // [n_rows]
  float* running_sum;  // [n_rows]
};

// s[64] -> p[64] over the first n tokens, zero after them (as far as whole vectors go); returns their sum.
inline float exponentials(float* s, int64_t n, bool bf16, float* block_max) {
  const F32x16 masked = broadcast(-__builtin_inff());
  F32x16 largest = masked;
  for (int64_t t = 0; t < n; t += 16) largest = max(largest, select(first_lanes(n - t), load(s + t), masked));
  *block_max = max_of_lanes(largest);
  F32x16 sum = broadcast(0.0F);
  for (int64_t t = 0; t < n; t += 16) {
    F32x16 p = exp(load(s + t) - broadcast(*block_max));
    if (bf16) p = round_to_bf16(p);
    p = select(first_lanes(n - t), p, broadcast(0.0F));
    sum = sum + p;
    store(s + t, p);
  }
  return sum_of_lanes(sum);
}

// Asks for the block after this one while this one is worked on: one row of queries gives the hardware's
// prefetcher too little to follow (decoding from memory: 7 GB/s a core without, 24 with).
struct Prefetch {
  const char* next = nullptr;
  const char* end = nullptr;
  int64_t step_bytes = 0;
  void advance() {
    const char* stop = end - next > step_bytes ? next + step_bytes : end;
    for (; next < stop; next += 64) __builtin_prefetch(next, 0, 2);
  }
};

// Rows row … row + R - 1 against one block; n_tokens[r] of its tokens are visible to the r-th, rising.
template <int R, class Operand>
inline void attend_rows(const TileRows& tile, int64_t row, const Operand& keys, const Operand& values,
                        const int64_t* n_tokens, Prefetch& prefetch) {
  const float* q = tile.q + row * tile.head_dim;
  float* o = tile.o + row * tile.v_width;
  float* running_max = tile.running_max + row;
  float* running_sum = tile.running_sum + row;
  alignas(64) float p[R * kKvBlockTokens];
  F32x16 sums[R];
  int64_t n_dims[R];
  for (int r = 0; r < R; ++r) n_dims[r] = tile.head_dim;
  for (int64_t t = 0; t < n_tokens[R - 1]; t += 16) {
    prefetch.advance();
    product<R>(q, tile.head_dim, keys, t, n_dims, sums);
    for (int r = 0; r < R; ++r) store(p + r * kKvBlockTokens + t, sums[r] * broadcast(tile.scale));
  }

  static_assert(2 * R <= 16);
  alignas(64) float weights[16] = {};  // of the sums so far and of this block, for each row
  float block_sum[R];
  for (int r = 0; r < R; ++r) {
    float block_max;
    block_sum[r] = exponentials(p + r * kKvBlockTokens, n_tokens[r], tile.bf16, &block_max);
    const float new_max = running_max[r] > block_max ? running_max[r] : block_max;
    weights[2 * r] = running_max[r] - new_max;
    weights[2 * r + 1] = block_max - new_max;
    running_max[r] = new_max;
  }
  store(weights, exp(load(weights)));
  for (int r = 0; r < R; ++r) {
    running_sum[r] = std::fma(running_sum[r], weights[2 * r], block_sum[r] * weights[2 * r + 1]);
  }

  for (int64_t d = 0; d < tile.v_width; d += 16) {
    prefetch.advance();
    product<R>(p, kKvBlockTokens, values, d, n_tokens, sums);
    for (int r = 0; r < R; ++r) {
      float* to = o + r * tile.v_width + d;
      store(to, fma(load(to), broadcast(weights[2 * r]), sums[r] * broadcast(weights[2 * r + 1])));
    }
  }
}

// The tile's rows from `row` on, R at a time while there are that many.
template <int R, class Operand>
inline void attend_block(const TileRows& tile, int64_t row, const Operand& keys, const Operand& values,
                         int64_t first_row_tokens, int64_t n_group, Prefetch& prefetch) {
  for (; row + R <= tile.n_rows; row += R) {
    int64_t n_tokens[R];
    for (int r = 0; r < R; ++r) {
      const int64_t visible = first_row_tokens + (row + r) / n_group;
      n_tokens[r] = visible < kKvBlockTokens ? visible : kKvBlockTokens;
    }
    attend_rows<R>(tile, row, keys, values, n_tokens, prefetch);
  }
  if constexpr (R > 1) {
    if (row < tile.n_rows) attend_block<R - 1>(tile, row, keys, values, first_row_tokens, n_group, prefetch);
  }
}

inline TileRows open_tile(const AttentionTile& work, const KvLayout& layout) {
  TileRows tile;
  tile.n_rows = work.n_positions * work.n_group;
  tile.head_dim = work.shape->head_dim;
  tile.v_width = layout.v_width;
  tile.bf16 = work.shape->dtype == tensor::DType::kBF16;
  tile.scale = work.scale;
  tile.o = work.scratch;
  tile.q = tile.o + tile.n_rows * tile.v_width;
  tile.running_max = tile.q + tile.n_rows * tile.head_dim;
  tile.running_sum = tile.running_max + tile.n_rows;
  for (int64_t row = 0; row < tile.n_rows; ++row) {
    const float* q = work.q + row / work.n_group * work.q_stride + row % work.n_group * tile.head_dim;
    for (int64_t d = 0; d < tile.head_dim; d += 16) {
      const F32x16 values = load_first(q + d, tile.head_dim - d);
      store_first(tile.q + row * tile.head_dim + d, tile.bf16 ? round_to_bf16(values) : values,
                  tile.head_dim - d);
    }
    tile.running_max[row] = -__builtin_inff();
    tile.running_sum[row] = 0.0F;
  }
  std::memset(tile.o, 0, static_cast<size_t>(tile.n_rows * tile.v_width) * sizeof(float));
  return tile;
}

template <class Operand>
inline void attend_all(const AttentionTile& work) {
  using Value = std::remove_const_t<std::remove_pointer_t<decltype(Operand::values)>>;
  const KvLayout layout(*work.shape);
  const TileRows tile = open_tile(work, layout);
  for (int64_t b = 0; b * kKvBlockTokens <= work.position_begin; ++b) {
    const Operand keys = {layout.keys<Value>(work.blocks[b], work.kv_head), kKvBlockTokens};
    const Operand values = {layout.values<Value>(work.blocks[b], work.kv_head), tile.v_width};
    Prefetch prefetch;
    if ((b + 1) * kKvBlockTokens <= work.position_begin) {
      prefetch.next = layout.keys<char>(work.blocks[b + 1], work.kv_head);
      prefetch.end = prefetch.next + layout.head_bytes;
      prefetch.step_bytes = layout.head_bytes / (kKvBlockTokens / 16 + tile.v_width / 16);
    }
    attend_block<kRowsPerPass>(tile, 0, keys, values, work.position_begin - b * kKvBlockTokens + 1,
                               work.n_group, prefetch);
  }
  for (int64_t row = 0; row < tile.n_rows; ++row) {
    float* out = work.out + row / work.n_group * work.out_stride + row % work.n_group * tile.head_dim;
    const F32x16 sum = broadcast(tile.running_sum[row]);
    for (int64_t d = 0; d < tile.head_dim; d += 16) {
      store_first(out + d, load(tile.o + row * tile.v_width + d) / sum + broadcast(0.0F), tile.head_dim - d);
    }
  }
}

void attend_tile(const AttentionTile& work) {
  if (work.shape->dtype == tensor::DType::kBF16) {
    attend_all<Bf16Operand>(work);
  } else {
    attend_all<F32Operand>(work);
  }
}

inline void write_f32(const KvRows& rows, const KvLayout& layout) {
  auto* keys = layout.keys<float>(rows.block, rows.kv_head);
  auto* values = layout.values<float>(rows.block, rows.kv_head);
  for (int64_t i = 0; i < rows.n_tokens; ++i) {
    const int64_t slot = rows.slot_begin + i;
    const float* k = rows.k + i * rows.k_stride;
    for (int64_t d = 0; d < rows.shape->head_dim; ++d) keys[d * kKvBlockTokens + slot] = k[d];
    std::memcpy(values + slot * layout.v_width, rows.v + i * rows.v_stride,
                static_cast<size_t>(rows.shape->head_dim) * sizeof(float));
  }
}

inline void write_bf16(const KvRows& rows, const KvLayout& layout) {
  auto* keys = layout.keys<uint16_t>(rows.block, rows.kv_head);
  auto* values = layout.values<uint16_t>(rows.block, rows.kv_head);
  for (int64_t i = 0; i < rows.n_tokens; ++i) {
    const int64_t slot = rows.slot_begin + i;
    const float* k = rows.k + i * rows.k_stride;
    const float* v = rows.v + i * rows.v_stride;
    uint16_t* v_slot = values + slot / 2 * 2 * layout.v_width + slot % 2;
    for (int64_t d = 0; d < rows.shape->head_dim; d += 16) {
      const int64_t n = rows.shape->head_dim - d < 16 ? rows.shape->head_dim - d : 16;
      uint16_t rounded[16];
      store_bf16_first(rounded, load_first(k + d, n), n);
      for (int64_t j = 0; j < n; j += 2) {
        std::memcpy(keys + (d + j) * kKvBlockTokens + 2 * slot, rounded + j, 2 * sizeof(uint16_t));
      }
      store_bf16_first(rounded, load_first(v + d, n), n);
      for (int64_t j = 0; j < n; ++j) v_slot[2 * (d + j)] = rounded[j];
    }
  }
}

void write_rows(const KvRows& rows) {
  const KvLayout layout(*rows.shape);
  if (rows.shape->dtype == tensor::DType::kBF16) {
    write_bf16(rows, layout);
  } else {
    write_f32(rows, layout);
  }
}
