#pragma once
// What the arithmetic of an ISA gives with every operand in registers, measured in this run: what the benches
// of the products report a share of.
#include <cstdint>

#include "base/threads.h"
#include "kernels/isa.h"

namespace octavo::kernels {

enum class PeakOf { kS8, kF32 };

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

}  // namespace octavo::kernels
