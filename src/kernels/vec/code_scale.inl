// The scale of integer codes in [-kLargest, kLargest] for values of magnitude up to absmax, in fp32. Included
// after vec/<isa>.inl. The codes of activations, of int8 keys and values, and of what attention multiplies
// these with take it.

inline bool is_finite(float absmax) { return absmax <= 0x1.fffffep+127F; }  // and no NaN

// absmax / kLargest; 1 where that would be a denormal, which is flushed: all codes are then zero. NaN where
// absmax is not finite: the codes are zeros too, and whatever the scale multiplies shows it.
template <int kLargest>
inline float code_scale(float absmax) {
  constexpr float kSmallestAbsmax = static_cast<float>(kLargest + 1) * 0x1p-126F;
  if (!is_finite(absmax)) return __builtin_nanf("");
  return absmax < kSmallestAbsmax ? 1.0F : absmax / static_cast<float>(kLargest);
}
