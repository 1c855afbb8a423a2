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

// sums[r][0..kPanel) += rows r of x times the panel, over n_steps steps and then n_rest < 4 codes.
template <int rows>
void add_tile(const int8_t* x, int64_t k, const std::byte* panel, int64_t n_steps, int64_t n_rest,
              int32_t* sums) {
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
  for (int64_t i = 0; i < n_steps; ++i) step(panel + i * kStepBytes, x + i * kLaneBytes, kLaneBytes);
  if (n_rest > 0) {
    step(panel + n_steps * kStepBytes, x + n_steps * kLaneBytes, static_cast<size_t>(n_rest));
  }
  unroll<rows>([&](auto r) {
    unroll<kVectors>([&](auto v) { store_register(sums + r * kPanel + v * kLanes, sum[r][v]); });
  });
}

// Tiles of `rows` rows, then the fewer that are left.
template <int rows>
void add_rows(const int8_t* x, int64_t m, int64_t k, const std::byte* panel, int64_t n_steps, int64_t n_rest,
              int32_t* sums) {
  int64_t i = 0;
  for (; i + rows <= m; i += rows) {
    add_tile<rows>(x + i * k, k, panel, n_steps, n_rest, sums + i * kPanel);
  }
  if constexpr (rows > 1) {
    if (i == m) return;
    add_rows<rows - 1>(x + i * k, m - i, k, panel, n_steps, n_rest, sums + i * kPanel);
  }
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

void run_vnni(const GemmS8Block& block) {
  alignas(64) int32_t sums[kGemmS8BlockRows * kPanel];
  int32_t added[kGemmS8BlockRows];
  for (int64_t i = 0; i < block.m; ++i) added[i] = 128 * sum_of_codes(block.x + i * block.k, block.k);
  const int64_t n_steps = block.k / kLaneBytes;
  const int64_t start_at = block.panel_stride_bytes - kStepBytes;
  for (int64_t column = 0; column < block.n; column += kPanel) {
    const std::byte* panel = block.panels + column / kPanel * block.panel_stride_bytes;
    for (int64_t i = 0; i < block.m; ++i) {
      const Register row_added = broadcast_lanes(added[i]);
      unroll<kVectors>([&](auto v) {
        const Register start = load_register(panel + start_at + v * kLanes * kLaneBytes);
        store_register(sums + i * kPanel + v * kLanes, subtract(start, row_added));
      });
    }
    int64_t step = 0;
    do {
      const int64_t n_pass = std::min(kPassSteps, n_steps - step);
      const int64_t n_rest = step + n_pass == n_steps ? block.k % kLaneBytes : 0;
      add_rows<kTileRows>(block.x + step * kLaneBytes, block.m, block.k, panel + step * kStepBytes, n_pass,
                          n_rest, sums);
      step += n_pass;
    } while (step < n_steps);
    write_panel(block, 0, block.m, column, sums);
  }
}
