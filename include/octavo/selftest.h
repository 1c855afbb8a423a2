#pragma once
// Whether this machine computes what Octavo promises, and what it allows.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "octavo/status.h"

namespace octavo {

struct SelftestReport {
  std::string isa;                // that runs: the best, or OCTAVO_ISA's
  std::vector<std::string> isas;  // of this CPU
  int cores = 0;                  // that this process may use
  std::optional<double> cgroup_cores;
  std::optional<uint64_t> cgroup_free_bytes;  // that the control group still allows
  uint64_t available_bytes = 0;
  std::string huge_pages;  // the system's choice: "always", "madvise", "never", "unknown"
  struct Kernel {
    std::string operation, isa;
    int64_t n_cases = 0, n_different = 0;  // with a bit that the reference has otherwise
  };
  std::vector<Kernel> kernels;
  bool passed = false;  // no case is different
};

// Errors: OCTAVO_ISA names what this CPU lacks.
Result<SelftestReport> run_selftest();

}  // namespace octavo
