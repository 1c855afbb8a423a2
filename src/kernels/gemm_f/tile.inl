// gemm_f on the vectors of vec/<isa>.inl, bit for bit ref.cc: a lane is an output, so each output's sums run
// in the canonical order. kTileRows rows of x go by a panel of kPanelVectors vectors. x is widened to f32
// once for all panels of the block and padded with zeros to whole blocks of 32 (a zero product changes no
// sum; x and w are padded alike). Included by each ISA's file inside its target region and anonymous
// namespace, after unroll.inl, vec/<isa>.inl, write.inl and the three constants.

constexpr int kPanel = 16 * kPanelVectors;
// k of a pass when the block is full: the panel's part (16 KB of bf16 for 16 outputs) stays in cache while
// all rows go over it. Fewer rows take longer passes out of the same scratch; one row runs through 24,576 of
// k in one stream.
constexpr int64_t kPassK = 512;
constexpr int64_t kScratch = kGemmFBlockRows * kPassK;
constexpr int64_t kPairs = kGemmFBlockK / 2;
// How far ahead weights are fetched, into L2: 3 rows by bf16 weights from memory run at 63 to 70 % of one Zen
// 4 core's peak, 44 to 55 % with 2 KB into L1, 16 rows 1 to 10 % faster; 3 rows by f32 weights are 6 to 18 %
// slower, 16 rows 8 to 20 % faster. A tile of one row has a distance of its own in each ISA,
// kOneRowPrefetchBytes.
constexpr int64_t kPrefetchBytes = 16384;

// Sixteen outputs of a panel, from column 16 * v, at position k = 2 * pair + parity; and where a widened row
// has that k: kPairStep * pair + kParityStep * parity inside its block of 32.
struct Bf16Panel {
  using Element = uint16_t;
  static constexpr int kRows = kTileRows;                        // of a tile
  static constexpr int64_t kPairStep = 1, kParityStep = kPairs;  // the even half, the odd half
  template <int parity>
  static F32x16 weights(const std::byte* panel, int64_t pair, int v) {
    return load_bf16_of_pairs<parity>(reinterpret_cast<const uint16_t*>(panel) +
                                      2 * (pair * kPanel + 16 * v));
  }
  static void widen_block(const uint16_t* x, float* to) {
    store(to, load_bf16_of_pairs<0>(x));
    store(to + kParityStep, load_bf16_of_pairs<1>(x));
  }
};
struct F32Panel {
  using Element = float;
  static constexpr int kRows = kTileRows;
  static constexpr int64_t kPairStep = 2, kParityStep = 1;
  template <int parity>
  static F32x16 weights(const std::byte* panel, int64_t pair, int v) {
    return load(reinterpret_cast<const float*>(panel) + (2 * pair + parity) * kPanel + 16 * v);
  }
  static void widen_block(const float* x, float* to) { std::memcpy(to, x, kGemmFBlockK * sizeof(float)); }
};

// Not in the canonical order (gemm_f.h: free_order_gemm_f): the registers of the odd sums hold more rows. On
// AVX2, of twice the rows GCC 12 keeps some in memory (0.13 against 0.18 TFLOPS).
struct FreeOrderPanel : Bf16Panel {
  static constexpr int kRows = kPanelVectors == 2 ? 2 * kTileRows : 2 * kTileRows - 1;
};

// n_k values of a row, and zeros to the end of the last block.
template <class Panel>
void widen_row(const typename Panel::Element* x, int64_t n_k, float* to) {
  int64_t k = 0;
  for (; k + kGemmFBlockK <= n_k; k += kGemmFBlockK) Panel::widen_block(x + k, to + k);
  if (k == n_k) return;
  typename Panel::Element last[kGemmFBlockK] = {};
  std::copy(x + k, x + n_k, last);
  Panel::widen_block(last, to + k);
}

// Inlined by force: a function that only asks GCC 12 may take for one without effect, and leave out.
template <class Panel, int rows>
[[gnu::always_inline]] inline void prefetch_pair(const std::byte* panel, int64_t pair) {
  constexpr int64_t kDistance = rows > 1 ? kPrefetchBytes : kOneRowPrefetchBytes;
  if constexpr (kDistance == 0) return;
  constexpr int64_t kPairBytes = 2 * kPanel * sizeof(typename Panel::Element);
  const auto* ahead = reinterpret_cast<const char*>(panel) + pair * kPairBytes + kDistance;
  for (int64_t line = 0; line < kPairBytes; line += 64) __builtin_prefetch(ahead + line, 0, 2);
}

// sums[r * sums_stride + 0..kPanel - 1] += rows r of x (row stride x_stride) times the panel, over n_blocks
// of 32.
template <class Panel, int rows>
void add_tile(const float* x, int64_t x_stride, const std::byte* panel, int64_t n_blocks, float* sums,
              int64_t sums_stride) {
  for (int64_t block = 0; block < n_blocks; ++block) {
    F32x16 sum[2][rows][kPanelVectors];
    unroll<2>([&](auto parity) {
      unroll<rows>(
          [&](auto r) { unroll<kPanelVectors>([&](auto v) { sum[parity][r][v] = broadcast(0.0F); }); });
    });
    for (int64_t pair = 0; pair < kPairs; ++pair) {
      prefetch_pair<Panel, rows>(panel, block * kPairs + pair);
      unroll<2>([&](auto parity) {
        // bf16 weights are loaded once for each parity: kept from one to the other they push sums out of the
        // registers (AVX2, Clang 14: 60 GFLOPS against 90 with this).
        std::atomic_signal_fence(std::memory_order_seq_cst);
        F32x16 w[kPanelVectors];
        unroll<kPanelVectors>(
            [&](auto v) { w[v] = Panel::template weights<parity>(panel, block * kPairs + pair, v); });
        const float* at = x + block * kGemmFBlockK + pair * Panel::kPairStep + parity * Panel::kParityStep;
        unroll<rows>([&](auto r) {
          const F32x16 xs = broadcast(at[r * x_stride]);
          unroll<kPanelVectors>([&](auto v) { sum[parity][r][v] = fma(xs, w[v], sum[parity][r][v]); });
        });
      });
    }
    unroll<rows>([&](auto r) {
      unroll<kPanelVectors>([&](auto v) {
        float* to = sums + r * sums_stride + 16 * v;
        store(to, load(to) + (sum[0][r][v] + sum[1][r][v]));
      });
    });
  }
}

// add_tile with one sum for each output from the first k to the last: nothing is added at the end of a block,
// and a weight is loaded and widened for twice the rows.
template <int rows>
void add_free_tile(const float* x, int64_t x_stride, const std::byte* panel, int64_t n_blocks, float* sums,
                   int64_t sums_stride) {
  F32x16 sum[rows][kPanelVectors];
  unroll<rows>([&](auto r) {
    unroll<kPanelVectors>([&](auto v) { sum[r][v] = load(sums + r * sums_stride + 16 * v); });
  });
  for (int64_t block = 0; block < n_blocks; ++block) {
    for (int64_t pair = 0; pair < kPairs; ++pair) {
      prefetch_pair<Bf16Panel, rows>(panel, block * kPairs + pair);
      unroll<2>([&](auto parity) {
        std::atomic_signal_fence(std::memory_order_seq_cst);
        F32x16 w[kPanelVectors];
        unroll<kPanelVectors>(
            [&](auto v) { w[v] = Bf16Panel::weights<parity>(panel, block * kPairs + pair, v); });
        const float* at = x + block * kGemmFBlockK + pair + parity * Bf16Panel::kParityStep;
        unroll<rows>([&](auto r) {
          const F32x16 xs = broadcast(at[r * x_stride]);
          unroll<kPanelVectors>([&](auto v) { sum[r][v] = fma(xs, w[v], sum[r][v]); });
        });
      });
    }
  }
  unroll<rows>([&](auto r) {
    unroll<kPanelVectors>([&](auto v) { store(sums + r * sums_stride + 16 * v, sum[r][v]); });
  });
}

// Tiles of `rows` rows, then the fewer that are left.
template <class Panel, int rows>
void add_rows(const float* x, int64_t m, int64_t x_stride, const std::byte* panel, int64_t n_blocks,
              float* sums, int64_t sums_stride) {
  int64_t i = 0;
  for (; i + rows <= m; i += rows) {
    const float* from = x + i * x_stride;
    float* to = sums + i * sums_stride;
    if constexpr (std::is_same_v<Panel, FreeOrderPanel>) {
      add_free_tile<rows>(from, x_stride, panel, n_blocks, to, sums_stride);
    } else {
      add_tile<Panel, rows>(from, x_stride, panel, n_blocks, to, sums_stride);
    }
  }
  if constexpr (rows > 1) {
    if (i == m) return;
    add_rows<Panel, rows - 1>(x + i * x_stride, m - i, x_stride, panel, n_blocks, sums + i * sums_stride,
                              sums_stride);
  }
}

void write_block(const GemmFBlock& block, const float* sums, int64_t sums_stride) {
  for (int64_t i = 0; i < block.m; ++i) {
    for (int64_t j = 0; j < block.n; j += 16) {
      write_sixteen(block.out, i, j, block.n - j, sums + i * sums_stride + j);
    }
  }
}

template <class Panel>
void run(const GemmFBlock& block) {
  using Element = typename Panel::Element;
  alignas(64) float widened[kScratch];
  alignas(64) float sums[kGemmFBlockRows * kGemmFBlockPanels * kPanel];
  const int64_t n_panels = (block.n + kPanel - 1) / kPanel;
  const int64_t sums_stride = n_panels * kPanel;
  std::fill(sums, sums + block.m * sums_stride, 0.0F);
  const int64_t pass_k = kScratch / block.m / kGemmFBlockK * kGemmFBlockK;
  for (int64_t k_begin = 0; k_begin < block.k; k_begin += pass_k) {
    const int64_t n_k = std::min(pass_k, block.k - k_begin);
    const int64_t n_blocks = (n_k + kGemmFBlockK - 1) / kGemmFBlockK;
    const int64_t x_stride = n_blocks * kGemmFBlockK;
    for (int64_t i = 0; i < block.m; ++i) {
      widen_row<Panel>(static_cast<const Element*>(block.x) + i * block.k + k_begin, n_k,
                       widened + i * x_stride);
    }
    const auto pass_at = k_begin * static_cast<int64_t>(sizeof(Element)) * kPanel;
    for (int64_t p = 0; p < n_panels; ++p) {
      add_rows<Panel, Panel::kRows>(widened, block.m, x_stride,
                                    block.panels + p * block.panel_stride_bytes + pass_at, n_blocks,
                                    sums + p * kPanel, sums_stride);
    }
  }
  write_block(block, sums, sums_stride);
}
