// AVX-512's arithmetic with all operands in registers: 12 independent vpdpbusd of 64 codes, 12 independent
// fused multiply-adds of 16 floats (latency 4 or 5, at most 2 a cycle: 10 would do). In assembly, like
// peak_avx2.cc.
#include "kernels/peak.h"

#if defined(OCTAVO_PEAK_LOOPS)

#define OCTAVO_S8(sum) "vpdpbusd %%zmm15, %%zmm14, " sum "\n"
#define OCTAVO_F32(sum) "vfmadd231ps %%zmm15, %%zmm14, " sum "\n"
#define OCTAVO_LOOP(OP) \
  asm volatile(                                                       \
      "vzeroall\n"                                                    \
      "1:\n"                                                          \
      OP("%%zmm0") OP("%%zmm1") OP("%%zmm2") OP("%%zmm3")             \
      OP("%%zmm4") OP("%%zmm5") OP("%%zmm6") OP("%%zmm7")             \
      OP("%%zmm8") OP("%%zmm9") OP("%%zmm10") OP("%%zmm11")           \
      "dec %0\n"                                                      \
      "jnz 1b\n"                                                      \
      "vzeroupper\n"                                                  \
      : "+r"(n)::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",      \
        "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",    \
        "xmm13", "xmm14", "xmm15", "cc")

namespace octavo::kernels {
namespace {

void run_s8(int64_t n) { OCTAVO_LOOP(OCTAVO_S8); }
void run_f32(int64_t n) { OCTAVO_LOOP(OCTAVO_F32); }

}  // namespace

extern const PeakLoop kPeakS8Avx512Vnni, kPeakF32Avx512Vnni;
const PeakLoop kPeakS8Avx512Vnni = {Isa::kAvx512Vnni, PeakOf::kS8, 2.0 * 64 * 12, run_s8};
const PeakLoop kPeakF32Avx512Vnni = {Isa::kAvx512Vnni, PeakOf::kF32, 2.0 * 16 * 12, run_f32};

}  // namespace octavo::kernels

#endif
