#pragma once
// Every kernel of this CPU against ref, on the spot: few shapes, but with every kind of tail. The tests
// beside the kernels do the same at length; this is for a machine that has no tests.
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/isa.h"

namespace octavo::kernels {

struct SelftestResult {
  std::string operation;  // "gemm_s8", "attention int8"
  Isa isa = Isa::kRef;
  int64_t n_cases = 0;
  int64_t n_different = 0;  // cases with another bit than ref somewhere
};

// For each ISA of this CPU above ref, each operation.
std::vector<SelftestResult> run_selftest();

}  // namespace octavo::kernels
