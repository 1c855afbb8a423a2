// The table of gemm_s8 kernels and the choice among them; called once per layer at load by model/linear.cc.
#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "kernels/gemm_s8/kernel.h"

namespace octavo::kernels {

namespace {
#define OCTAVO_GEMM_S8(function, isa, panel_n, pad_lanes, offset, tile_m, sum_rows) \
  {#function, Isa::isa, {panel_n, pad_lanes}, GemmS8Offset::offset, tile_m, function, sum_rows},
constexpr GemmS8Kernel kKernels[] = {
#include "kernels/gemm_s8/kernels.inc"
};
#undef OCTAVO_GEMM_S8
}  // namespace

std::span<const GemmS8Kernel> gemm_s8_kernels() { return kKernels; }

const char* gemm_s8_kernel_name(const GemmS8Kernel& kernel) { return kernel.name; }

const GemmS8Kernel& select_gemm_s8(Isa isa) {
  const auto* best = std::find_if(std::begin(kKernels), std::end(kKernels), [&](const GemmS8Kernel& kernel) {
    return kernel.isa <= isa && cpu_has(kernel.isa);
  });
  OCTAVO_CHECK(best != std::end(kKernels));  // the last line is ref
  return *best;
}

}  // namespace octavo::kernels
