// exp(x) and silu(x), one formula for every ISA; included after vec/<isa>.inl by elementwise, attention and
// gemm_s8.
//
//   n = round(x / ln 2);  r = x - n ln2_high - n ln2_low, |r| <= ln 2 / 2, both steps fused, the first exact;
//   exp(x) = 2^n (1 + r (1 + r q(r))), q of degree 4, by Horner's rule with fused multiply-adds.
//
// q is the minimax polynomial of the relative error (Remez; 3.1e-9 = 2^-28.3 before its coefficients are
// rounded to fp32). Measured over every float whose exp is a normal number: error <= 0.895 ulp, 98.3 %
// correctly rounded. exp(0) = 1; NaN gives NaN; a result below the normal numbers is 0, one above them inf.
inline F32x16 exp(F32x16 x) {
  constexpr float kInverseLn2 = 0x1.715476p+0F;
  constexpr float kLn2High = 0x1.62e430p-1F, kLn2Low = -0x1.05c610p-29F;
  // Adding it rounds to an integer and leaves that integer in the low bits of the sum.
  constexpr float kRounder = 0x1.8p+23F;
  constexpr float kSmallest = -0x1.5d589ep+6F;  // exp of it is the first normal number
  constexpr float kLargest = 0x1.62e42ep+6F;    // exp of the float after it rounds to infinity

  const F32x16 shifted = fma(x, broadcast(kInverseLn2), broadcast(kRounder));
  const F32x16 n = shifted - broadcast(kRounder);
  const F32x16 r = fma(n, broadcast(-kLn2Low), fma(n, broadcast(-kLn2High), x));
  F32x16 e = broadcast(0x1.6a241ap-10F);
  for (const float coefficient :
       {0x1.1239f2p-7F, 0x1.5558f2p-5F, 0x1.555492p-3F, 0x1.fffffcp-2F, 1.0F, 1.0F}) {
    e = fma(e, r, broadcast(coefficient));
  }
  e = add_to_exponent(e, shifted);
  e = select(less(x, broadcast(kSmallest)), broadcast(0.0F), e);
  e = select(less(broadcast(kLargest), x), broadcast(__builtin_inff()), e);
  return select(is_nan(x), x, e);
}

inline F32x16 silu(F32x16 x) { return x / (broadcast(1.0F) + exp(broadcast(0.0F) - x)); }
