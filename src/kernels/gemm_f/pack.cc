// Weights into the layout of the kernel that reads them, once at load: panels (kernels/panels.h).
#include <algorithm>

#include "base/check.h"
#include "kernels/gemm_f/kernel.h"

namespace octavo::kernels {

GemmFWeights pack_gemm_f(const GemmFKernel& kernel, const void* w, std::span<const float> bias, int64_t n,
                         int64_t k, base::ThreadPool* pool) {
  OCTAVO_CHECK(n >= 0 && k >= 0 && (bias.empty() || bias.size() == static_cast<size_t>(n)));
  const int64_t row_bytes = k * tensor::dtype_bytes(kernel.dtype);
  const int64_t stride = kernel.layout.panel_bytes(row_bytes);
  GemmFWeights packed;
  packed.n = n;
  packed.k = k;
  packed.dtype = kernel.dtype;
  packed.kernel = &kernel;
  packed.packed = tensor::Buffer::for_weights(static_cast<size_t>(kernel.layout.n_panels(n) * stride));
  packed.bias.assign(bias.begin(), bias.end());
  for_each_panel(pool, kernel.layout.n_panels(n), [&](int64_t panel, int) {
    const int64_t begin = panel * kernel.layout.panel_n;
    pack_panels(kernel.layout, static_cast<const std::byte*>(w) + begin * row_bytes,
                std::min(kernel.layout.panel_n, n - begin), row_bytes,
                packed.packed.as<std::byte>() + panel * stride, stride);
  });
  return packed;
}

}  // namespace octavo::kernels
