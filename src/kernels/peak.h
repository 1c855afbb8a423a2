#pragma once
// The limits of this machine, measured in this run: what the arithmetic of an ISA gives with every operand in
// registers, and what all threads read from memory. Every speed is stated as a share of one of them.
#include <cstdint>

#include "base/threads.h"
#include "kernels/isa.h"

// Where there are loops: not on emulated intrinsics, they are assembly.
#if defined(__x86_64__) && !defined(OCTAVO_EMULATE_ISA)
#define OCTAVO_PEAK_LOOPS
#endif

namespace octavo::kernels {

// kS8: exact int8 products; kF32: fused multiply-adds; kBF16: the ISA's products of bf16 in the canonical
// order (docs/NUMERICS.md), which on all but AMX are kF32's.
enum class PeakOf { kS8, kF32, kBF16 };

// One loop of an ISA: run(n) does n * ops multiplications and additions.
struct PeakLoop {
  Isa isa;
  PeakOf of;
  double ops;
  void (*run)(int64_t n);
};

// Multiplications and additions per second of all threads together, the best of several runs; 0 where no loop
// is written for the ISA.
double measured_peak(base::ThreadPool& pool, Isa isa, PeakOf of);

// Bytes per second that all threads together read in sequence, each its part of a buffer far over any cache;
// the best of several runs. The buffer is rounded down to 4 MiB.
double measured_read_bandwidth(base::ThreadPool& pool, int64_t buffer_bytes = int64_t{768} << 20,
                               int n_runs = 15);

}  // namespace octavo::kernels
