// The epilogue of gemm_f on the vectors of vec/<isa>.inl: the steps of write_gemm_f_sum for the first n of
// sixteen outputs of row i from column j. Included by each ISA's file inside its target region and anonymous
// namespace, after vec/<isa>.inl.
inline void write_sixteen(const GemmFOutput& out, int64_t i, int64_t j, int64_t n, const float* sums) {
  float* y = out.y + i * out.stride + j;
  F32x16 value = load(sums);
  if (out.bias != nullptr) value = value + load_first(out.bias + j, n);
  if (out.accumulate) value = value + load_first(y, n);
  store_first(y, value, n);
}
