// The epilogue of gemm_s8 on the vectors of vec/<isa>.inl: the steps of write_sum in ref.cc, sixteen outputs
// at a time. Included by each ISA's file inside its target region and anonymous namespace, after
// vec/<isa>.inl, vec/exp.inl, vec/codes.inl and kPanel, the outputs of a panel (a multiple of 16).

// The values of the first 16 of n outputs of row i from column j; there are sixteen sums, of fewer outputs
// the last for no one.
inline F32x16 values_of(const GemmS8Output& out, int64_t i, int64_t j, int64_t n, const int32_t* sums) {
  F32x16 value = to_float(load(sums)) * load_first(out.w_scale + j, n);
  value = value * broadcast(out.x_scale[i]);
  if (out.bias != nullptr) value = value + load_first(out.bias + j, n);
  if (out.gate != nullptr) value = silu(load_first(out.gate + i * out.gate_stride + j, n)) * value;
  return value;
}

// n <= 16.
inline void write_sixteen(const GemmS8Output& out, int64_t i, int64_t j, int64_t n, const int32_t* sums) {
  if (out.sums != nullptr) {
    std::copy(sums, sums + n, out.sums + i * out.stride + j);
    return;
  }
  float* y = out.y + i * out.stride + j;
  F32x16 value = values_of(out, i, j, n, sums);
  if (out.accumulate) value = value + load_first(y, n);
  store_first(y, value, n);
}

// The codes of n outputs of row i from column j.
inline void write_codes(const GemmS8Output& out, int64_t i, int64_t j, int64_t n, const int32_t* sums) {
  I32x16 largest = magnitude_bits(broadcast(0.0F));
  for (int64_t at = 0; at < n; at += 16) {
    const F32x16 values = values_of(out, i, j + at, n - at, sums + at);
    int8_t* to = out.codes + i * out.stride + j + at;
    largest = max(largest, write_static_codes(out.static_codes, j + at, values, n - at, to));
  }
  if (!is_finite(std::bit_cast<float>(max_of_lanes(largest)))) mark_not_a_number(out.code_scale + i);
}

// The panel at `column` of rows [row, row + n_rows), from sums[n_rows][kPanel].
void write_panel(const GemmS8Block& block, int64_t row, int64_t n_rows, int64_t column, const int32_t* sums) {
  const int64_t n = std::min<int64_t>(kPanel, block.n - column);
  if (block.out.codes != nullptr) {
    for (int64_t i = 0; i < n_rows; ++i) write_codes(block.out, row + i, column, n, sums + i * kPanel);
    return;
  }
  for (int64_t i = 0; i < n_rows; ++i) {
    for (int64_t j = 0; j < n; j += 16) {
      write_sixteen(block.out, row + i, column + j, std::min<int64_t>(16, n - j), sums + i * kPanel + j);
    }
  }
}
