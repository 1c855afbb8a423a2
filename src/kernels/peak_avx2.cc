// AVX2's arithmetic with all operands in registers: 8 products of 32 codes an iteration by vpmaddubsw,
// vpmaddwd and vpaddd; 12 independent fused multiply-adds of 8 floats (latency 4, 2 a cycle: 8 would do). In
// assembly, because compilers move such loops' operands to memory or merge the chains.
#include "kernels/peak.h"

#if defined(OCTAVO_PEAK_LOOPS)

#define OCTAVO_S8(sum)                     \
  "vpmaddubsw %%ymm15, %%ymm14, %%ymm13\n" \
  "vpmaddwd %%ymm15, %%ymm13, %%ymm13\n"   \
  "vpaddd %%ymm13, " sum ", " sum "\n"
#define OCTAVO_F32(sum) "vfmadd231ps %%ymm15, %%ymm14, " sum "\n"
#define OCTAVO_REGISTERS                                                                                     \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
      "xmm13", "xmm14", "xmm15"

namespace octavo::kernels {
namespace {

void run_s8(int64_t n) {
  asm volatile(
      "vzeroall\n"
      "1:\n"                                                                           //
      OCTAVO_S8("%%ymm0") OCTAVO_S8("%%ymm1") OCTAVO_S8("%%ymm2") OCTAVO_S8("%%ymm3")  //
      OCTAVO_S8("%%ymm4") OCTAVO_S8("%%ymm5") OCTAVO_S8("%%ymm6") OCTAVO_S8("%%ymm7")  //
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(n)::OCTAVO_REGISTERS, "cc");
}

void run_f32(int64_t n) {
  asm volatile(
      "vzeroall\n"
      "1:\n"                                                                                 //
      OCTAVO_F32("%%ymm0") OCTAVO_F32("%%ymm1") OCTAVO_F32("%%ymm2") OCTAVO_F32("%%ymm3")    //
      OCTAVO_F32("%%ymm4") OCTAVO_F32("%%ymm5") OCTAVO_F32("%%ymm6") OCTAVO_F32("%%ymm7")    //
      OCTAVO_F32("%%ymm8") OCTAVO_F32("%%ymm9") OCTAVO_F32("%%ymm10") OCTAVO_F32("%%ymm11")  //
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(n)::OCTAVO_REGISTERS, "cc");
}

}  // namespace

extern const PeakLoop kPeakS8Avx2, kPeakF32Avx2;
const PeakLoop kPeakS8Avx2 = {Isa::kAvx2, PeakOf::kS8, 2.0 * 32 * 8, run_s8};
const PeakLoop kPeakF32Avx2 = {Isa::kAvx2, PeakOf::kF32, 2.0 * 8 * 12, run_f32};

}  // namespace octavo::kernels

#endif
