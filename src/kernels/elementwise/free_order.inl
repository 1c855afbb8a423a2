// RMSNorm that breaks the canonical order (free_order.h). Included as rows.inl is, after it.

void rms_norm_row_free_order(const float* x, const float* weight, float eps, int64_t k, const RowOut& out) {
  F32x16 a = broadcast(0.0F), b = a, c = a, d = a;
  const auto add_square = [](F32x16 sum, F32x16 values) { return fma(values, values, sum); };
  int64_t i = 0;
  for (; i + 64 <= k; i += 64) {
    a = add_square(a, load(x + i));
    b = add_square(b, load(x + i + 16));
    c = add_square(c, load(x + i + 32));
    d = add_square(d, load(x + i + 48));
  }
  for (; i < k; i += 16) a = add_square(a, load_first(x + i, k - i));
  const float mean = sum_of_lanes((a + b) + (c + d)) / static_cast<float>(k);
  write_row(NormedRow{x, weight, 1.0F / std::sqrt(mean + eps)}, k, out);
}
