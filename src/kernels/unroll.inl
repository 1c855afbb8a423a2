// f(0), f(1), … f(n - 1), each index a constant of its own: where loop variables index an array of registers,
// GCC 12 keeps the array in memory (gemm_s8 ran at half its speed). Included inside the target region of an
// ISA file, in its namespace, so that everything inlines.
template <int n, class F>
[[gnu::always_inline]] inline void unroll(const F& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, i>{}), ...);
  }
  (std::make_integer_sequence<int, n>{});
}
