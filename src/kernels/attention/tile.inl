// The formulas of attention.h, written once on vec/<isa>.inl and exp.inl; included by each ISA's file inside
// its target region and anonymous namespace. How keys and values are held, and with them the two products,
// is a Kv: float_kv.inl or s8_kv.inl. kRowsPerPass rows share each read of K and V. A row's bits depend on
// nothing but its own q, position and the K and V up to it.

// A tile's state: q as the product reads it, and what the blocks so far have summed to.
template <class Kv>
struct TileRows {
  int64_t n_rows, v_width;
  typename Kv::Queries q;
  float* o;            // [n_rows, v_width]
  float* running_max;  // [n_rows]
  float* running_sum;  // [n_rows]
};

// s[64] -> p[64] over the first n tokens, zero after them (as far as whole vectors go); returns their sum.
template <bool kBf16>
inline float exponentials(float* s, int64_t n, float* block_max) {
  const F32x16 masked = broadcast(-__builtin_inff());
  F32x16 largest = masked;
  for (int64_t t = 0; t < n; t += 16) largest = max(largest, select(first_lanes(n - t), load(s + t), masked));
  *block_max = max_of_lanes(largest);
  F32x16 sum = broadcast(0.0F);
  for (int64_t t = 0; t < n; t += 16) {
    F32x16 p = exp(load(s + t) - broadcast(*block_max));
    if constexpr (kBf16) p = round_to_bf16(p);
    p = select(first_lanes(n - t), p, broadcast(0.0F));
    sum = sum + p;
    store(s + t, p);
  }
  return sum_of_lanes(sum);
}

// Asks for the block after this one while this one is worked on: one row of queries gives the hardware's
// prefetcher too little to follow (decoding from memory, 2 rows: 1.2 ms without, 0.6 with).
struct Prefetch {
  const char* next = nullptr;
  const char* end = nullptr;
  int64_t step_bytes = 0;
  void advance(int n_steps) {
    const char* stop = end - next > n_steps * step_bytes ? next + n_steps * step_bytes : end;
    for (; next < stop; next += 64) __builtin_prefetch(next, 0, 2);
  }
};

// Columns d … d + 16 C - 1 of o take in the block: o a + o_b c, `weights` holding a and c of each row.
template <int R, int C, class Weights>
inline void merge_columns(const Weights& of_values, const float* weights, int64_t d, float* o,
                          int64_t v_width) {
  F32x16 sums[R][C];
  of_values.template sum<C>(d, sums);
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) {
      float* to = o + r * v_width + d + 16 * c;
      store(to, fma(load(to), broadcast(weights[2 * r]), sums[r][c] * broadcast(weights[2 * r + 1])));
    }
  }
}

// Rows row … row + R - 1 against one block; n_tokens[r] of its tokens are visible to the r-th, rising.
template <int R, class Kv>
inline void attend_rows(const TileRows<Kv>& tile, int64_t row, const Kv& kv, const int64_t* n_tokens,
                        Prefetch& prefetch) {
  float* o = tile.o + row * tile.v_width;
  float* running_max = tile.running_max + row;
  float* running_sum = tile.running_sum + row;
  alignas(64) float p[R * kKvBlockTokens];
  constexpr int kColumns = columns_at_once(R);
  constexpr bool kPrefetches = !Kv::asks_for_next(R, kColumns);
  static_assert(kKvBlockTokens % (16 * kColumns) == 0);
  int64_t t = 0;
  for (; n_tokens[R - 1] - t > 8 * kColumns; t += 16 * kColumns) {
    if (kPrefetches) prefetch.advance(kColumns);
    kv.template scores<R, kColumns>(tile.q, row, t, p);
  }
  for (; t < n_tokens[R - 1]; t += 16) {  // at most half of those vectors are left
    if (kPrefetches) prefetch.advance(1);
    kv.template scores<R, 1>(tile.q, row, t, p);
  }

  static_assert(2 * R <= 16);
  alignas(64) float weights[16] = {};  // of the sums so far and of this block, for each row
  float block_sum[R];
  for (int r = 0; r < R; ++r) {
    float block_max;
    block_sum[r] = exponentials<Kv::kRoundsWeights>(p + r * kKvBlockTokens, n_tokens[r], &block_max);
    const float new_max = running_max[r] > block_max ? running_max[r] : block_max;
    weights[2 * r] = running_max[r] - new_max;
    weights[2 * r + 1] = block_max - new_max;
    running_max[r] = new_max;
  }
  store(weights, exp(load(weights)));
  for (int r = 0; r < R; ++r) {
    running_sum[r] = std::fma(running_sum[r], weights[2 * r], block_sum[r] * weights[2 * r + 1]);
  }

  const typename Kv::template Weights<R> of_values(kv, p, n_tokens);
  int64_t d = 0;
  for (; d + 16 * kColumns <= tile.v_width; d += 16 * kColumns) {
    if (kPrefetches) prefetch.advance(kColumns);
    merge_columns<R, kColumns>(of_values, weights, d, o, tile.v_width);
  }
  for (; d < tile.v_width; d += 16) {
    if (kPrefetches) prefetch.advance(1);
    merge_columns<R, 1>(of_values, weights, d, o, tile.v_width);
  }
}

// The tile's rows from `row` on, R at a time while there are that many.
template <int R, class Kv>
inline void attend_block(const TileRows<Kv>& tile, int64_t row, const Kv& kv, int64_t first_row_tokens,
                         int64_t n_group, Prefetch& prefetch) {
  for (; row + R <= tile.n_rows; row += R) {
    int64_t n_tokens[R];
    for (int r = 0; r < R; ++r) {
      const int64_t visible = first_row_tokens + (row + r) / n_group;
      n_tokens[r] = visible < kKvBlockTokens ? visible : kKvBlockTokens;
    }
    attend_rows<R>(tile, row, kv, n_tokens, prefetch);
  }
  if constexpr (R > 1) {
    if (row < tile.n_rows) attend_block<R - 1>(tile, row, kv, first_row_tokens, n_group, prefetch);
  }
}

template <class Kv>
inline TileRows<Kv> open_tile(const AttentionTile& work, const KvLayout& layout) {
  const int64_t n_rows = work.n_positions * work.n_group, head_dim = work.shape->head_dim;
  float* o = work.scratch;
  float* q = o + n_rows * layout.v_width;
  float* running_max = q + n_rows * head_dim;
  TileRows<Kv> tile = {n_rows, layout.v_width, {q, n_rows, head_dim, work.scale},
                       o,      running_max,    running_max + n_rows};
  for (int64_t row = 0; row < n_rows; ++row) {
    tile.q.set(row, work.q + row / work.n_group * work.q_stride + row % work.n_group * head_dim);
    tile.running_max[row] = -__builtin_inff();
    tile.running_sum[row] = 0.0F;
  }
  std::memset(tile.o, 0, static_cast<size_t>(n_rows * tile.v_width) * sizeof(float));
  return tile;
}

template <class Kv>
inline void attend_all(const AttentionTile& work) {
  const KvLayout layout(*work.shape);
  const TileRows<Kv> tile = open_tile<Kv>(work, layout);
  for (int64_t b = 0; b * kKvBlockTokens <= work.position_begin; ++b) {
    Prefetch prefetch;
    KvPlace next = work.next;
    if ((b + 1) * kKvBlockTokens <= work.position_begin) {
      next = {work.blocks[b + 1], work.kv_head};
      prefetch.next = layout.keys<char>(next);
      prefetch.end = prefetch.next + layout.head_bytes;
      prefetch.step_bytes = layout.head_bytes / (kKvBlockTokens / 16 + tile.v_width / 16);
    }
    attend_block<kRowsPerPass>(tile, 0, Kv(layout, {work.blocks[b], work.kv_head}, next),
                               work.position_begin - b * kKvBlockTokens + 1, work.n_group, prefetch);
  }
  const int64_t head_dim = work.shape->head_dim;
  for (int64_t row = 0; row < tile.n_rows; ++row) {
    float* out = work.out + row / work.n_group * work.out_stride + row % work.n_group * head_dim;
    const F32x16 sum = broadcast(tile.running_sum[row]);
    for (int64_t d = 0; d < head_dim; d += 16) {
      store_first(out + d, load(tile.o + row * tile.v_width + d) / sum + broadcast(0.0F), head_dim - d);
    }
  }
}

void attend_tile(const AttentionTile& work) {
  switch (work.shape->dtype) {
    case tensor::DType::kBF16:
      return attend_all<Bf16Kv>(work);
    case tensor::DType::kI8:
      return attend_all<S8Kv>(work);
    default:
      return attend_all<F32Kv>(work);
  }
}

void write_rows(const KvRows& rows) {
  const KvLayout layout(*rows.shape);
  switch (rows.shape->dtype) {
    case tensor::DType::kBF16:
      return write_bf16(rows, layout);
    case tensor::DType::kI8:
      return write_s8(rows, layout);
    default:
      return write_f32(rows, layout);
  }
}
