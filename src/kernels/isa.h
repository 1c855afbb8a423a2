#pragma once
// Which instruction sets this CPU has, which one is in use, and the target regions that let one binary hold
// them all.
//
// A file named after an ISA has: its includes; OCTAVO_TARGET_BEGIN_<ISA>; an anonymous namespace with the
// kernels; OCTAVO_TARGET_END; the table entries. No compiler flag names an ISA (a shared inline function
// compiled with AVX-512 would replace the baseline's copy at link time: SIGILL on an older CPU).
#include <optional>
#include <string_view>
#include <vector>

#include "octavo/status.h"

namespace octavo::kernels {

enum class Isa { kRef, kAvx2, kAvxVnni, kAvx512Vnni, kAmx };  // rising; a CPU need not have all below

const char* isa_name(Isa isa);  // "ref", "avx2", "avxvnni", "avx512vnni", "amx"
bool cpu_has(Isa isa);          // the CPU, the operating system (XCR0) and, for AMX, the kernel's permission
// The ISA kernels are chosen for: OCTAVO_ISA if set (an unknown name, or one this CPU lacks, is an error,
// never a fallback), else the best this CPU has. Read once; call it before the first kernel.
Result<Isa> active_isa();
// Every ISA of this CPU, kRef first: what tests run over.
std::vector<Isa> cpu_isas();
// The rule of active_isa: `forced` (OCTAVO_ISA; absent or empty when unset) out of `available`, which rises
// and holds kRef; without it the last of `available`.
Result<Isa> choose_isa(std::optional<std::string_view> forced, const std::vector<Isa>& available);

}  // namespace octavo::kernels

// Defined where the x86 ISA files have bodies: on x86-64, and anywhere their intrinsics are emulated.
#if defined(__x86_64__) || defined(OCTAVO_EMULATE_ISA)
#define OCTAVO_X86_KERNELS
#endif

#if defined(OCTAVO_EMULATE_ISA)  // portable code needs no target
#define OCTAVO_TARGET_BEGIN(features)
#define OCTAVO_TARGET_END
#elif defined(__clang__)
#define OCTAVO_PRAGMA(text) _Pragma(#text)
#define OCTAVO_TARGET_BEGIN(features) \
  OCTAVO_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define OCTAVO_TARGET_END _Pragma("clang attribute pop")
#else
#define OCTAVO_PRAGMA(text) _Pragma(#text)
#define OCTAVO_TARGET_BEGIN(features) _Pragma("GCC push_options") OCTAVO_PRAGMA(GCC target(features))
#define OCTAVO_TARGET_END _Pragma("GCC pop_options")
#endif

#define OCTAVO_TARGET_BEGIN_AVX2 OCTAVO_TARGET_BEGIN("avx2,fma,f16c,bmi2")
#define OCTAVO_TARGET_BEGIN_AVXVNNI OCTAVO_TARGET_BEGIN("avxvnni,avx2,fma,f16c,bmi2")
#define OCTAVO_TARGET_BEGIN_AVX512VNNI \
  OCTAVO_TARGET_BEGIN("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c,bmi2")
#define OCTAVO_TARGET_BEGIN_AMX \
  OCTAVO_TARGET_BEGIN(          \
      "amx-tile,amx-int8,amx-bf16,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c,bmi2")
