// The machine's name from /proc/cpuinfo, its limits from kernels/peak.h. Called by api/bench.cc.
#include "bench/machine.h"

#include <algorithm>
#include <fstream>

#include "base/memory.h"
#include "bench/row.h"
#include "kernels/peak.h"

namespace octavo::bench {

namespace {

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace

IsaPeaks Machine::peaks(kernels::Isa isa) const {
  const auto found = std::find_if(isas.begin(), isas.end(), [&](const IsaPeaks& p) { return p.isa == isa; });
  return found == isas.end() ? IsaPeaks{} : *found;
}

Machine measure_machine(base::ThreadPool& pool, Progress* progress) {
  Machine machine;
  machine.cpu = cpu_name();
  machine.threads = pool.n_threads();
  machine.memory_bytes = base::available_memory_bytes();
  if (progress != nullptr) progress->update("machine: read bandwidth", 0, 2);
  machine.read_bandwidth = kernels::measured_read_bandwidth(pool);
  if (progress != nullptr) progress->update("machine: arithmetic", 1, 2);
  for (const kernels::Isa isa : kernels::cpu_isas()) {
    if (isa == kernels::Isa::kRef) continue;
    machine.isas.push_back({isa, kernels::measured_peak(pool, isa, kernels::PeakOf::kS8),
                            kernels::measured_peak(pool, isa, kernels::PeakOf::kBF16),
                            kernels::measured_peak(pool, isa, kernels::PeakOf::kF32)});
  }
  if (progress != nullptr) progress->update("machine: arithmetic", 2, 2);
  return machine;
}

Machine measure_quickly(base::ThreadPool& pool, kernels::Isa isa) {
  constexpr int64_t kBufferBytes = int64_t{256} << 20;
  Machine machine;
  machine.threads = pool.n_threads();
  if (base::available_memory_bytes() > 2 * static_cast<uint64_t>(kBufferBytes)) {
    machine.read_bandwidth = kernels::measured_read_bandwidth(pool, kBufferBytes, 5);
  }
  machine.isas.push_back({isa, kernels::measured_peak(pool, isa, kernels::PeakOf::kS8),
                          kernels::measured_peak(pool, isa, kernels::PeakOf::kBF16), 0});
  return machine;
}

void ReadsInTurns::measure(base::ThreadPool& pool) {
  constexpr int64_t kBufferBytes = int64_t{256} << 20;
  bandwidths_.push_back(kernels::measured_read_bandwidth(pool, kBufferBytes, 3));
}

Machine ReadsInTurns::in(const Machine& machine) const {
  Machine now = machine;
  if (!bandwidths_.empty()) now.read_bandwidth = median(bandwidths_);
  return now;
}

FloorSeconds floor_seconds(const Machine& machine, kernels::Isa isa, const Floor& floor) {
  const IsaPeaks peaks = machine.peaks(isa);
  const double read = machine.read_bandwidth > 0 ? floor.bytes / machine.read_bandwidth : 0;
  const double s8 = peaks.s8 > 0 ? floor.s8_ops / peaks.s8 : 0;
  const double bf16 = peaks.bf16 > 0 ? floor.float_ops / peaks.bf16 : 0;
  if (s8 + bf16 <= read) return {read, "read bandwidth"};
  return {s8 + bf16, s8 >= bf16 ? "int8 peak" : "bf16 peak"};
}

}  // namespace octavo::bench
