// Weights into the layout of the kernel that reads them, once at load: panels (kernels/panels.h).
#include "base/check.h"
#include "kernels/gemm_f/kernel.h"

namespace octavo::kernels {

GemmFWeights pack_gemm_f(const GemmFKernel& kernel, const void* w, std::span<const float> bias, int64_t n,
                         int64_t k) {
  OCTAVO_CHECK(n >= 0 && k >= 0 && (bias.empty() || bias.size() == static_cast<size_t>(n)));
  const int64_t row_bytes = k * tensor::dtype_bytes(kernel.dtype);
  const int64_t stride = kernel.layout.panel_bytes(row_bytes);
  GemmFWeights packed;
  packed.n = n;
  packed.k = k;
  packed.dtype = kernel.dtype;
  packed.kernel = &kernel;
  packed.packed = tensor::Buffer(static_cast<size_t>(kernel.layout.n_panels(n) * stride));
  packed.bias.assign(bias.begin(), bias.end());
  pack_panels(kernel.layout, w, n, row_bytes, packed.packed.as<std::byte>(), stride);
  return packed;
}

}  // namespace octavo::kernels
