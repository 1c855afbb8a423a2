// The formulas of elementwise.h, written once on vec/<isa>.inl, exp.inl and codes.inl; included by each
// ISA's file inside its target region and anonymous namespace. A row is cut into vectors of 16 values; a
// short last vector is padded with zeros, so that tails take the same path.

// Values of a row before they are written: PlainRow of codes.inl, and these.
struct NormedRow {
  const float* x;
  const float* weight;
  float inverse_rms;
  F32x16 at(int64_t i, int64_t n) const {
    return load_first(x + i, n) * broadcast(inverse_rms) * load_first(weight + i, n);
  }
};
struct GatedRow {
  const float* gate;
  const float* up;
  F32x16 at(int64_t i, int64_t n) const { return silu(load_first(gate + i, n)) * load_first(up + i, n); }
};

inline void write_not_a_number(int64_t k, const RowOut& out) {
  *out.scale = __builtin_nanf("");
  std::memset(out.data, 0, static_cast<size_t>(k));
}

template <class Row>
inline void write_static_s8(const Row& row, int64_t k, const RowOut& out) {
  auto* to = static_cast<int8_t*>(out.data);
  I32x16 largest = magnitude_bits(broadcast(0.0F));
  for (int64_t i = 0; i < k; i += 16) {
    largest = max(largest, write_static_codes(*out.static_codes, i, row.at(i, k - i), k - i, to + i));
  }
  if (!is_finite(std::bit_cast<float>(max_of_lanes(largest)))) return write_not_a_number(k, out);
  *out.scale = out.static_codes->product_scale;
}

template <class Row>
inline void write_row(const Row& row, int64_t k, const RowOut& out) {
  switch (out.form) {
    case RowForm::kF32: {
      auto* to = static_cast<float*>(out.data);
      for (int64_t i = 0; i < k; i += 16) store_first(to + i, row.at(i, k - i), k - i);
      return;
    }
    case RowForm::kBF16: {
      auto* to = static_cast<uint16_t*>(out.data);
      for (int64_t i = 0; i < k; i += 16) store_bf16_first(to + i, row.at(i, k - i), k - i);
      return;
    }
    case RowForm::kS8:
      if (out.static_codes != nullptr) return write_static_s8(row, k, out);
      *out.scale = write_s8_codes(row, k, static_cast<int8_t*>(out.data));
      return;
  }
}

void rms_norm_row(const float* x, const float* weight, float eps, int64_t k, const RowOut& out) {
  F32x16 squares = broadcast(0.0F);
  for (int64_t i = 0; i < k; i += 16) {
    const F32x16 values = load_first(x + i, k - i);
    squares = fma(values, values, squares);
  }
  const float mean = sum_of_lanes(squares) / static_cast<float>(k);
  write_row(NormedRow{x, weight, 1.0F / std::sqrt(mean + eps)}, k, out);
}

void silu_mul_row(const float* gate, const float* up, int64_t k, const RowOut& out) {
  write_row(GatedRow{gate, up}, k, out);
}

void convert_row(const float* x, int64_t k, const RowOut& out) { write_row(PlainRow{x}, k, out); }

void rope_row(float* x, int64_t n_heads, int64_t head_dim, const float* cosine, const float* sine) {
  const int64_t half = head_dim / 2;
  for (int64_t head = 0; head < n_heads; ++head) {
    float* low = x + head * head_dim;
    float* high = low + half;
    for (int64_t d = 0; d < half; d += 16) {
      const int64_t n = half - d;
      const F32x16 a = load_first(low + d, n);
      const F32x16 b = load_first(high + d, n);
      const F32x16 c = load_first(cosine + d, n);
      const F32x16 s = load_first(sine + d, n);
      store_first(low + d, a * c - b * s, n);
      store_first(high + d, b * c + a * s, n);
    }
  }
}

void add_values(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    store_first(y + i, load_first(y + i, n - i) + load_first(x + i, n - i), n - i);
  }
}

void exp_row(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) store_first(y + i, exp(load_first(x + i, n - i)), n - i);
}
