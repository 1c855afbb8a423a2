#pragma once
// The intrinsics of the ISA files, included by nothing else: the compiler's, or SIMDe's portable ones where
// OCTAVO_EMULATE_ISA is defined (octavo_kernels_emulated_test: every kernel is tested on any CPU).
// An ISA file guards its body by `#if defined(OCTAVO_X86_KERNELS)` (kernels/isa.h).
#include "kernels/isa.h"

#if defined(OCTAVO_EMULATE_ISA)

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512/add.h>
#include <simde/x86/avx512/and.h>
#include <simde/x86/avx512/blend.h>
#include <simde/x86/avx512/cast.h>
#include <simde/x86/avx512/cmp.h>
#include <simde/x86/avx512/cvt.h>
#include <simde/x86/avx512/cvts.h>
#include <simde/x86/avx512/div.h>
#include <simde/x86/avx512/dpbusd.h>
#include <simde/x86/avx512/dpwssd.h>
#include <simde/x86/avx512/extract.h>
#include <simde/x86/avx512/loadu.h>
#include <simde/x86/avx512/max.h>
#include <simde/x86/avx512/min.h>
#include <simde/x86/avx512/mov.h>
#include <simde/x86/avx512/mul.h>
#include <simde/x86/avx512/or.h>
#include <simde/x86/avx512/set1.h>
#include <simde/x86/avx512/setzero.h>
#include <simde/x86/avx512/slli.h>
#include <simde/x86/avx512/srli.h>
#include <simde/x86/avx512/store.h>
#include <simde/x86/avx512/storeu.h>
#include <simde/x86/avx512/sub.h>
#include <simde/x86/avx512/xor.h>

#include <cmath>
#include <cstdint>

#include "kernels/x86_amx_emulation.h"

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
// AVX-VNNI's own name for what AVX512-VNNI does too.
#define _mm256_dpbusd_avx_epi32(sum, a, b) simde_mm256_dpbusd_epi32(sum, a, b)
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

// Of the 512-bit forms SIMDe lacks these, or has them unfused.
template <class Lane>
struct OctavoLanes16 {
  alignas(64) Lane lane[16];
  OctavoLanes16() : lane{} {}
  explicit OctavoLanes16(__m512 x) { simde_mm512_store_ps(lane, x); }
  explicit OctavoLanes16(__m512i x) { simde_mm512_store_si512(lane, x); }
};
inline __m512 octavo_fma_16(__m512 a, __m512 b, __m512 c) {
  const OctavoLanes16<float> x(a), y(b);
  OctavoLanes16<float> z(c);
  for (int i = 0; i < 16; ++i) z.lane[i] = std::fma(x.lane[i], y.lane[i], z.lane[i]);
  return simde_mm512_load_ps(z.lane);
}
inline __m512 octavo_load_named_16(uint16_t named, const float* from) {
  OctavoLanes16<float> x;
  for (int i = 0; i < 16; ++i) {
    if ((named >> i & 1) != 0) x.lane[i] = from[i];
  }
  return simde_mm512_load_ps(x.lane);
}
inline void octavo_store_named_16(float* to, uint16_t named, __m512 value) {
  const OctavoLanes16<float> x(value);
  for (int i = 0; i < 16; ++i) {
    if ((named >> i & 1) != 0) to[i] = x.lane[i];
  }
}
inline __m512 octavo_floats_16(__m512i value) {
  const OctavoLanes16<int32_t> x(value);
  OctavoLanes16<float> y;
  for (int i = 0; i < 16; ++i) y.lane[i] = static_cast<float>(x.lane[i]);
  return simde_mm512_load_ps(y.lane);
}
inline __m512i octavo_integers_16(__m512 value) {
  const OctavoLanes16<float> x(value);
  OctavoLanes16<int32_t> y;
  for (int i = 0; i < 16; ++i) y.lane[i] = static_cast<int32_t>(std::nearbyint(x.lane[i]));
  return simde_mm512_load_si512(y.lane);
}
inline __m256i octavo_low_halves_16(__m512i value) {
  const OctavoLanes16<int32_t> x(value);
  alignas(32) int16_t y[16];
  for (int i = 0; i < 16; ++i) y[i] = static_cast<int16_t>(x.lane[i]);
  return simde_mm256_load_si256(reinterpret_cast<const __m256i*>(y));
}
#define _mm512_fmadd_ps(a, b, c) octavo_fma_16(a, b, c)
#define _mm512_maskz_loadu_ps(named, from) octavo_load_named_16(named, from)
#define _mm512_mask_storeu_ps(to, named, value) octavo_store_named_16(to, named, value)
#define _mm512_cvtepi32_ps(value) octavo_floats_16(value)
#define _mm512_cvtps_epi32(value) octavo_integers_16(value)
#define _mm512_cvtepi32_epi16(value) octavo_low_halves_16(value)

#elif defined(__x86_64__)

// GCC 12 takes the unset registers that its own 512-bit intrinsics begin with for a mistake (its bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

#endif
