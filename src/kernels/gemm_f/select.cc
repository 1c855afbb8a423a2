// The table of gemm_f kernels and the choice among them; called once per layer at load by model/linear.cc.
#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "kernels/gemm_f/kernel.h"

namespace octavo::kernels {

namespace {
#define OCTAVO_GEMM_F(function, isa, dtype, panel_n, pad_lanes, tile_m) \
  {#function, Isa::isa, tensor::DType::dtype, {panel_n, pad_lanes}, tile_m, function},
constexpr GemmFKernel kKernels[] = {
#include "kernels/gemm_f/kernels.inc"
};
#undef OCTAVO_GEMM_F
}  // namespace

std::span<const GemmFKernel> gemm_f_kernels() { return kKernels; }

const char* gemm_f_kernel_name(const GemmFKernel& kernel) { return kernel.name; }

const GemmFKernel& select_gemm_f(Isa isa, tensor::DType dtype) {
  const auto* best = std::find_if(std::begin(kKernels), std::end(kKernels), [&](const GemmFKernel& kernel) {
    return kernel.dtype == dtype && kernel.isa <= isa && cpu_has(kernel.isa);
  });
  OCTAVO_CHECK(best != std::end(kKernels));  // the last lines are ref, for kBF16 and kF32
  return *best;
}

const GemmFKernel* free_order_gemm_f(Isa isa) {
#if defined(OCTAVO_X86_KERNELS)
  using enum Isa;
  static constexpr GemmFKernel kFreeOrder[] = {
      {"free order", kAvx512Vnni, tensor::DType::kBF16, {32, 16}, 12, gemm_f_bf16_free_order_avx512},
      {"free order", kAvx2, tensor::DType::kBF16, {16, 16}, 5, gemm_f_bf16_free_order_avx2}};
  const Isa canonical = select_gemm_f(isa, tensor::DType::kBF16).isa;
  const auto* found = std::find_if(std::begin(kFreeOrder), std::end(kFreeOrder),
                                   [&](const GemmFKernel& kernel) { return kernel.isa == canonical; });
  if (found != std::end(kFreeOrder)) return found;
#endif
  return nullptr;
}

}  // namespace octavo::kernels
