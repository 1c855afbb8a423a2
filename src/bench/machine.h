#pragma once
// What this machine can do at most, measured before anything else.
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/progress.h"

#include "base/threads.h"
#include "kernels/isa.h"

namespace octavo::bench {

struct IsaPeaks {
  kernels::Isa isa = kernels::Isa::kRef;
  double s8 = 0, bf16 = 0, f32 = 0;  // multiplications and additions per second, all threads
};

struct Machine {
  std::string cpu;  // "AMD EPYC"
  int threads = 0;
  uint64_t memory_bytes = 0;   // that may be used
  double read_bandwidth = 0;   // bytes per second, all threads
  std::vector<IsaPeaks> isas;  // of this CPU, rising, without ref

  // Of `isa`, or zeros for ref.
  IsaPeaks peaks(kernels::Isa isa) const;
};

Machine measure_machine(base::ThreadPool& pool, Progress* progress);
// What the decoder of `isa` is compared with, in some tenths of a second; no name, no memory.
Machine measure_quickly(base::ThreadPool& pool, kernels::Isa isa);

// A virtual machine's read bandwidth may change by half within seconds. A row that waits for memory measures
// it in turns with its runs and is set against their median.
class ReadsInTurns {
 public:
  void measure(base::ThreadPool& pool);
  Machine in(const Machine& machine) const;  // with that bandwidth; as it is where none was measured

 private:
  std::vector<double> bandwidths_;
};

// What work takes at least: the slower of its arithmetic, each kind at its peak, and its reads.
struct Floor {
  double s8_ops = 0, float_ops = 0;  // multiplications and additions
  double bytes = 0;
};
struct FloorSeconds {
  double seconds = 0;
  const char* limit_of = "";  // "int8 peak", "bf16 peak", "read bandwidth"
};
FloorSeconds floor_seconds(const Machine& machine, kernels::Isa isa, const Floor& floor);

}  // namespace octavo::bench
