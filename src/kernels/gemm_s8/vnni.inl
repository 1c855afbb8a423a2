// gemm_s8 by vpdpbusd: kTileRows rows of x by a panel of kVectors registers of outputs, 4 k a step.
// vpdpbusd multiplies unsigned by signed codes and adds four products to an int32, without saturation. The
// unsigned operand is the weights as w + 128, so x is read as it is:
//   sum_k (w + 128) x = sum_k w x + 128 sum_k x
// and the last term, one number for a row of x, is taken from the row's sums as they start.
// Included by each ISA's file inside its target region and anonymous namespace, after unroll.inl, write.inl
// and what is the ISA's own: Register of kLanes sums, load_register, store_register, broadcast_lanes,
// subtract, add_products (vpdpbusd), load_weights (a register of w + 128), kVectors, kPanel, kTileRows,
// kPassSteps.

constexpr int64_t kStepBytes = kPanel * kLaneBytes;

constexpr int64_t kLineBytes = 64;
// Several tiles go over a pass: each asks for a part of the next pass. A single row asks for its own next
// lines, 3.5 KB ahead (Qwen3-0.6B, decode: 6 to 8 % faster; 2 KB 4 to 6 %, 6 KB nothing). Two to six rows,
// one tile, ask for nothing: no distance served them all, most were slower, up to a quarter.
constexpr int64_t kOneRowAheadBytes = 3584;
constexpr int kStepLines = kStepBytes / kLineBytes;
constexpr int kTileLines = (kStepBytes / 2 + kLineBytes - 1) / kLineBytes;

// The steps of a tile.
struct Steps {
  const std::byte* weights;
  int64_t n, n_rest;       // whole steps, then a step of n_rest < 4 codes
  int64_t k;               // from a row of x to the next
  const std::byte* ahead;  // what to ask for meanwhile, ahead_bytes a step
  int64_t ahead_bytes;
};

// sums[r][0..kPanel) += rows r of x times the steps' weights. A function of its own: inlined where a pass is
// cut into tiles, GCC 12 keeps the sums in memory, at 37 % of the peak.
template <int rows, int n_lines>
[[gnu::noinline]] void add_tile(const int8_t* x, const Steps& steps, int32_t* sums) {
  const int64_t k = steps.k;
  const std::byte* panel = steps.weights;
  const std::byte* ahead = steps.ahead;
  Register sum[rows][kVectors];
  unroll<rows>([&](auto r) {
    unroll<kVectors>([&](auto v) { sum[r][v] = load_register(sums + r * kPanel + v * kLanes); });
  });
  const auto step = [&](const std::byte* w, const int8_t* codes, size_t n_codes)
      __attribute__((always_inline)) {
    Register ws[kVectors];
    unroll<kVectors>([&](auto v) { ws[v] = load_weights(w + v * kLanes * kLaneBytes); });
    unroll<rows>([&](auto r) {
      int32_t four = 0;
      std::memcpy(&four, codes + r * k, n_codes);
      const Register xs = broadcast_lanes(four);
      unroll<kVectors>([&](auto v) { sum[r][v] = add_products(sum[r][v], ws[v], xs); });
    });
  };
  for (int64_t i = 0; i < steps.n; ++i) {
    if constexpr (n_lines > 0) {
      // Not by unroll: a function that only asks GCC 12 takes for one without effect, and leaves it out.
      for (int64_t line = 0; line < n_lines; ++line) __builtin_prefetch(ahead + line * kLineBytes, 0, 2);
      ahead += steps.ahead_bytes;
    }
    step(panel + i * kStepBytes, x + i * kLaneBytes, kLaneBytes);
  }
  if (steps.n_rest > 0) {
    step(panel + steps.n * kStepBytes, x + steps.n * kLaneBytes, static_cast<size_t>(steps.n_rest));
  }
  unroll<rows>([&](auto r) {
    unroll<kVectors>([&](auto v) { store_register(sums + r * kPanel + v * kLanes, sum[r][v]); });
  });
}

using AddTile = void (*)(const int8_t* x, const Steps& steps, int32_t* sums);
template <int n_lines>
AddTile tile_of(int64_t rows) {
  static constexpr auto kTiles = []<int... i>(std::integer_sequence<int, i...>) {
    return std::array{&add_tile<i + 1, n_lines>...};
  }
  (std::make_integer_sequence<int, kTileRows>{});
  return kTiles[static_cast<size_t>(rows - 1)];
}

int32_t sum_of_codes(const int8_t* x, int64_t k) {
  constexpr int64_t kBytes = kLanes * kLaneBytes;
  const Register ones = broadcast_lanes(0x01010101);
  Register sum = broadcast_lanes(0);
  int64_t kk = 0;
  for (; kk + kBytes <= k; kk += kBytes) sum = add_products(sum, ones, load_register(x + kk));
  alignas(64) int32_t lanes[kLanes];
  store_register(lanes, sum);
  int32_t total = std::accumulate(lanes, lanes + kLanes, 0);
  for (; kk < k; ++kk) total += x[kk];
  return total;
}

void sum_rows(const int8_t* x, int64_t m, int64_t k, int32_t* sums) {
  for (int64_t i = 0; i < m; ++i) sums[i] = sum_of_codes(x + i * k, k);
}

// x_sums: what sum_rows makes of the block's rows.
void run_vnni(const GemmS8Block& block, const int32_t* x_sums) {
  alignas(64) int32_t sums[kGemmS8BlockRows * kPanel];
  const int64_t n_steps = block.k / kLaneBytes;
  // As few tiles as hold the rows, of nearly as many each, so that weights are asked for at an even pace; a
  // constant distance ahead, so that a short pass leaves no hole.
  const int64_t n_tiles = (block.m + kTileRows - 1) / kTileRows;
  const int64_t start_at = block.panel_stride_bytes - kStepBytes;
  for (int64_t column = 0; column < block.n; column += kPanel) {
    const std::byte* panel = block.panels + column / kPanel * block.panel_stride_bytes;
    // The next panel's starts, which lie behind it.
    for (int64_t line = 0; line < kStepLines; ++line) {
      __builtin_prefetch(panel + start_at + block.panel_stride_bytes + line * kLineBytes, 0, 2);
    }
    for (int64_t i = 0; i < block.m; ++i) {
      const Register row_added = broadcast_lanes(128 * x_sums[i]);
      unroll<kVectors>([&](auto v) {
        const Register start = load_register(panel + start_at + v * kLanes * kLaneBytes);
        store_register(sums + i * kPanel + v * kLanes, subtract(start, row_added));
      });
    }
    int64_t step = 0;
    do {
      const int64_t n_pass = std::min(kPassSteps, n_steps - step);
      const bool is_last = step + n_pass == n_steps;
      const std::byte* weights = panel + step * kStepBytes;
      Steps steps = {weights,
                     n_pass,
                     is_last ? block.k % kLaneBytes : 0,
                     block.k,
                     weights + (block.m == 1 ? kOneRowAheadBytes : kPassSteps * kStepBytes),
                     (kStepBytes + n_tiles - 1) / n_tiles};
      int64_t row = 0;
      for (int64_t tile = 0; tile < n_tiles; ++tile) {
        const int64_t n_rows = (block.m - row + n_tiles - tile - 1) / (n_tiles - tile);
        const AddTile add = block.m == 1  ? &add_tile<1, kStepLines>
                            : n_tiles > 1 ? tile_of<kTileLines>(n_rows)
                                          : tile_of<0>(n_rows);
        add(block.x + row * block.k + step * kLaneBytes, steps, sums + row * kPanel);
        // At once: the stores leave while the next tile computes.
        if (is_last) write_panel(block, row, n_rows, column, sums + row * kPanel);
        steps.ahead += n_pass * steps.ahead_bytes;
        row += n_rows;
      }
      step += n_pass;
    } while (step < n_steps);
  }
}
