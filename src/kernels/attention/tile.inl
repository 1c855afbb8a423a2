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

// Rows row … row + R - 1 against one block; n_tokens[r] of its tokens are visible to the r-th, rising.
// `result` gets the block's largest score and sum of each row, then its o_b, columns d … d + 16 C - 1 at a
// time.
template <int R, class Kv, class Result>
[[gnu::always_inline]] inline void attend_rows(const TileRows<Kv>& tile, int64_t row, const Kv& kv,
                                               const int64_t* n_tokens, Prefetch& prefetch, Result& result) {
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

  float block_max[R], block_sum[R];
  for (int r = 0; r < R; ++r) {
    block_sum[r] = exponentials<Kv::kRoundsWeights>(p + r * kKvBlockTokens, n_tokens[r], &block_max[r]);
  }
  result.begin(row, block_max, block_sum);

  const typename Kv::template Weights<R> of_values(kv, p, n_tokens);
  int64_t d = 0;
  for (; d + 16 * kColumns <= tile.v_width; d += 16 * kColumns) {
    if (kPrefetches) prefetch.advance(kColumns);
    F32x16 sums[R][kColumns];
    of_values.template sum<kColumns>(d, sums);
    result.take(d, sums);
  }
  for (; d < tile.v_width; d += 16) {
    if (kPrefetches) prefetch.advance(1);
    F32x16 sums[R][1];
    of_values.template sum<1>(d, sums);
    result.take(d, sums);
  }
}

// Merges a block into what the blocks before it have summed to.
template <int R, class Kv>
struct MergedRows {
  const TileRows<Kv>& tile;
  float* o = nullptr;
  alignas(64) float weights[16] = {};  // of the sums so far and of this block, for each row

  explicit MergedRows(const TileRows<Kv>& of) : tile(of) { static_assert(2 * R <= 16); }
  void begin(int64_t row, const float* block_max, const float* block_sum) {
    o = tile.o + row * tile.v_width;
    float* running_max = tile.running_max + row;
    float* running_sum = tile.running_sum + row;
    for (int r = 0; r < R; ++r) {
      const float new_max = running_max[r] > block_max[r] ? running_max[r] : block_max[r];
      weights[2 * r] = running_max[r] - new_max;
      weights[2 * r + 1] = block_max[r] - new_max;
      running_max[r] = new_max;
    }
    store(weights, exp(load(weights)));
    for (int r = 0; r < R; ++r) {
      running_sum[r] = std::fma(running_sum[r], weights[2 * r], block_sum[r] * weights[2 * r + 1]);
    }
  }
  template <int C>
  void take(int64_t d, F32x16 (*sums)[C]) {
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) {
        float* to = o + r * tile.v_width + d + 16 * c;
        store(to, fma(load(to), broadcast(weights[2 * r]), sums[r][c] * broadcast(weights[2 * r + 1])));
      }
    }
  }
};

// Keeps a block's results for merge_kept, as kernels.h lays them out.
template <int R, class Kv>
struct KeptRows {
  const TileRows<Kv>& tile;
  float* block;
  float* o = nullptr;

  KeptRows(const TileRows<Kv>& of, float* to) : tile(of), block(to) {}
  void begin(int64_t row, const float* block_max, const float* block_sum) {
    std::copy(block_max, block_max + R, block + row);
    std::copy(block_sum, block_sum + R, block + tile.n_rows + row);
    o = block + kept_o_begin(tile.n_rows) + row * tile.v_width;
  }
  template <int C>
  void take(int64_t d, F32x16 (*sums)[C]) {
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) store(o + r * tile.v_width + d + 16 * c, sums[r][c]);
    }
  }
};

// The tile's rows from `row` on, R at a time while there are that many.
// Their block's results are merged, or kept at `kept`.
template <int R, class Kv>
inline void attend_block(const TileRows<Kv>& tile, int64_t row, const Kv& kv, int64_t first_row_tokens,
                         int64_t n_group, Prefetch& prefetch, float* kept) {
  for (; row + R <= tile.n_rows; row += R) {
    int64_t n_tokens[R];
    for (int r = 0; r < R; ++r) {
      const int64_t visible = first_row_tokens + (row + r) / n_group;
      n_tokens[r] = visible < kKvBlockTokens ? visible : kKvBlockTokens;
    }
    if (kept == nullptr) {
      MergedRows<R, Kv> merged(tile);
      attend_rows<R>(tile, row, kv, n_tokens, prefetch, merged);
    } else {
      KeptRows<R, Kv> rows(tile, kept);
      attend_rows<R>(tile, row, kv, n_tokens, prefetch, rows);
    }
  }
  if constexpr (R > 1) {
    if (row < tile.n_rows) attend_block<R - 1>(tile, row, kv, first_row_tokens, n_group, prefetch, kept);
  }
}

template <class Kv>
inline TileRows<Kv> tile_at(const AttentionTile& work, const KvLayout& layout) {
  const int64_t n_rows = work.n_positions * work.n_group, head_dim = work.shape->head_dim;
  float* o = work.scratch;
  float* q = o + n_rows * layout.v_width;
  float* running_max = q + n_rows * head_dim;
  return {n_rows, layout.v_width, {q, n_rows, head_dim, work.scale}, o, running_max, running_max + n_rows};
}

template <class Kv>
inline void set_queries(const AttentionTile& work, TileRows<Kv>& tile) {
  for (int64_t row = 0; row < tile.n_rows; ++row) {
    tile.q.set(row, work.q + row / work.n_group * work.q_stride + row % work.n_group * work.shape->head_dim);
  }
}

template <class Kv>
inline void begin_sums(const TileRows<Kv>& tile) {
  for (int64_t row = 0; row < tile.n_rows; ++row) {
    tile.running_max[row] = -__builtin_inff();
    tile.running_sum[row] = 0.0F;
  }
  std::memset(tile.o, 0, static_cast<size_t>(tile.n_rows * tile.v_width) * sizeof(float));
}

template <class Kv>
inline void write_out(const AttentionTile& work, const TileRows<Kv>& tile) {
  const int64_t head_dim = work.shape->head_dim;
  for (int64_t row = 0; row < tile.n_rows; ++row) {
    float* out = work.out + row / work.n_group * work.out_stride + row % work.n_group * head_dim;
    const F32x16 sum = broadcast(tile.running_sum[row]);
    for (int64_t d = 0; d < head_dim; d += 16) {
      store_first(out + d, load(tile.o + row * tile.v_width + d) / sum + broadcast(0.0F), head_dim - d);
    }
  }
}

// Blocks [begin, end): merged into the tile, or kept at `kept`, one after the other.
template <class Kv>
inline void attend_blocks(const AttentionTile& work, const KvLayout& layout, const TileRows<Kv>& tile,
                          int64_t begin, int64_t end, float* kept) {
  for (int64_t b = begin; b < end; ++b) {
    Prefetch prefetch;
    KvPlace next = work.next;
    if ((b + 1) * kKvBlockTokens <= work.position_begin) {
      next = {work.blocks[b + 1], work.kv_head};
      prefetch.next = layout.keys<char>(next);
      prefetch.end = prefetch.next + layout.head_bytes;
      prefetch.step_bytes = layout.head_bytes / (kKvBlockTokens / 16 + tile.v_width / 16);
    }
    attend_block<kRowsPerPass>(tile, 0, Kv(layout, {work.blocks[b], work.kv_head}, next),
                               work.position_begin - b * kKvBlockTokens + 1, work.n_group, prefetch, kept);
    if (kept != nullptr) kept += kept_block_floats(tile.n_rows, tile.v_width);
  }
}

template <class Kv>
inline void attend_all(const AttentionTile& work) {
  const KvLayout layout(*work.shape);
  TileRows<Kv> tile = tile_at<Kv>(work, layout);
  set_queries(work, tile);
  begin_sums(tile);
  attend_blocks(work, layout, tile, 0, work.position_begin / kKvBlockTokens + 1, nullptr);
  write_out(work, tile);
}

template <class Kv>
inline void attend_some(const AttentionTile& work, int64_t block_begin, int64_t block_end, float* kept) {
  const KvLayout layout(*work.shape);
  TileRows<Kv> tile = tile_at<Kv>(work, layout);
  set_queries(work, tile);
  attend_blocks(work, layout, tile, block_begin, block_end, kept);
}

// call<Kv>() of the Kv that holds keys and values.
template <class Call>
inline void with_kv(const KvShape& shape, const Call& call) {
  switch (shape.dtype) {
    case tensor::DType::kBF16:
      return call.template operator()<Bf16Kv>();
    case tensor::DType::kI8:
      return call.template operator()<S8Kv>();
    default:
      return call.template operator()<F32Kv>();
  }
}

void attend_tile(const AttentionTile& work) {
  with_kv(*work.shape, [&]<class Kv>() { attend_all<Kv>(work); });
}

void attend_part(const AttentionTile& work, int64_t block_begin, int64_t block_end, float* kept) {
  with_kv(*work.shape, [&]<class Kv>() { attend_some<Kv>(work, block_begin, block_end, kept); });
}

// What blocks have summed to does not depend on how their keys and values are held.
void merge_kept(const AttentionTile& work, const float* kept, int64_t n_blocks, bool is_first, bool is_last) {
  const TileRows<F32Kv> tile = tile_at<F32Kv>(work, KvLayout(*work.shape));
  if (is_first) begin_sums(tile);
  for (int64_t b = 0; b < n_blocks; ++b, kept += kept_block_floats(tile.n_rows, tile.v_width)) {
    for (int64_t row = 0; row < tile.n_rows; ++row) {
      MergedRows<1, F32Kv> merged(tile);
      merged.begin(row, kept + row, kept + tile.n_rows + row);
      for (int64_t d = 0; d < tile.v_width; d += 16) {
        F32x16 sums[1][1] = {{load(kept + kept_o_begin(tile.n_rows) + row * tile.v_width + d)}};
        merged.take(d, sums);
      }
    }
  }
  if (is_last) write_out(work, tile);
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
