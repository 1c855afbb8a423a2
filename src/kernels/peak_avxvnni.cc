// AVX-VNNI's int8 arithmetic with all operands in registers: 12 independent vpdpbusd of 32 codes (latency 5,
// 2 a cycle: 10 would do). In assembly, like peak_avx2.cc; its other arithmetic is AVX2's.
#include "kernels/peak.h"

#if defined(OCTAVO_PEAK_LOOPS)

#define OCTAVO_S8(sum) "%{vex%} vpdpbusd %%ymm15, %%ymm14, " sum "\n"

namespace octavo::kernels {
namespace {

void run_s8(int64_t n) {
  asm volatile(
      "vzeroall\n"
      "1:\n"                                                                             //
      OCTAVO_S8("%%ymm0") OCTAVO_S8("%%ymm1") OCTAVO_S8("%%ymm2") OCTAVO_S8("%%ymm3")    //
      OCTAVO_S8("%%ymm4") OCTAVO_S8("%%ymm5") OCTAVO_S8("%%ymm6") OCTAVO_S8("%%ymm7")    //
      OCTAVO_S8("%%ymm8") OCTAVO_S8("%%ymm9") OCTAVO_S8("%%ymm10") OCTAVO_S8("%%ymm11")  //
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(n)::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");
}

}  // namespace

extern const PeakLoop kPeakS8AvxVnni;
const PeakLoop kPeakS8AvxVnni = {Isa::kAvxVnni, PeakOf::kS8, 2.0 * 32 * 12, run_s8};

}  // namespace octavo::kernels

#endif
