#pragma once
// The intrinsics of the ISA files, included by nothing else: the compiler's, or SIMDe's portable ones where
// OCTAVO_EMULATE_ISA is defined (octavo_kernels_emulated_test: every kernel is tested on any CPU).
// An ISA file guards its body by `#if defined(OCTAVO_X86_KERNELS)` (kernels/isa.h).
#include "kernels/isa.h"

#if defined(OCTAVO_EMULATE_ISA)

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>

#include <cmath>
#include <cstdint>

// SIMDe multiplies and adds with two roundings where the compiler may not use FMA, so its fma.h stays out and
// these are the fused ones. An fma form not written here fails to compile rather than round twice.
inline __m256 octavo_fma_lanes(__m256 a, float sign, __m256 b, __m256 c) {
  alignas(32) float x[8], y[8], z[8];
  simde_mm256_store_ps(x, a);
  simde_mm256_store_ps(y, b);
  simde_mm256_store_ps(z, c);
  for (int lane = 0; lane < 8; ++lane) z[lane] = std::fma(sign * x[lane], y[lane], z[lane]);
  return simde_mm256_load_ps(z);
}
#define _mm256_fmadd_ps(a, b, c) octavo_fma_lanes(a, 1.0F, b, c)
#define _mm256_fnmadd_ps(a, b, c) octavo_fma_lanes(a, -1.0F, b, c)

// SIMDe's reads all eight lanes before it masks them; the instruction touches the named ones only.
inline __m256 octavo_maskload_ps(const float* from, __m256i mask) {
  alignas(32) int32_t named[8];
  alignas(32) float lanes[8] = {};
  simde_mm256_store_si256(reinterpret_cast<__m256i*>(named), mask);
  for (int lane = 0; lane < 8; ++lane) {
    if (named[lane] < 0) lanes[lane] = from[lane];
  }
  return simde_mm256_load_ps(lanes);
}
#undef _mm256_maskload_ps
#define _mm256_maskload_ps(from, mask) octavo_maskload_ps(from, mask)

#elif defined(__x86_64__)

#include <immintrin.h>

#endif
