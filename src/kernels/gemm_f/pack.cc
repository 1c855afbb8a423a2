// Weights into the layout of the kernel that reads them, once at load: panels (kernels/panels.h).
#include "base/check.h"
#include "kernels/gemm_f/kernel.h"

namespace octavo::kernels {

GemmFPacking::GemmFPacking(const GemmFKernel& kernel, RowReader& w, std::span<const float> bias, int64_t n,
                           int64_t k)
    : w_(w), pieces_(kernel.layout, n, k * tensor::dtype_bytes(kernel.dtype)) {
  OCTAVO_CHECK(n >= 0 && k >= 0 && (bias.empty() || bias.size() == static_cast<size_t>(n)));
  packed_.n = n;
  packed_.k = k;
  packed_.dtype = kernel.dtype;
  packed_.kernel = &kernel;
  const int64_t panel_bytes = kernel.layout.panel_bytes(k * tensor::dtype_bytes(kernel.dtype));
  packed_.packed = tensor::Buffer::for_weights(static_cast<size_t>(kernel.layout.n_panels(n) * panel_bytes));
  packed_.bias.assign(bias.begin(), bias.end());
}

void GemmFPacking::pack(int64_t index, int thread) {
  const PanelPiece piece = pieces_.at(index);
  const std::optional<const std::byte*> rows = w_.rows_of(piece, thread);
  if (!rows) return;
  const PanelLayout& layout = packed_.kernel->layout;
  const int64_t row_bytes = packed_.k * tensor::dtype_bytes(packed_.dtype);
  pack_piece(layout, piece, *rows, row_bytes, std::byte{0}, packed_.packed.as<std::byte>(),
             layout.panel_bytes(row_bytes));
}

GemmFWeights pack_gemm_f(const GemmFKernel& kernel, const void* w, std::span<const float> bias, int64_t n,
                         int64_t k, base::ThreadPool* pool) {
  RowsInMemory rows(w, k * tensor::dtype_bytes(kernel.dtype));
  GemmFPacking packing(kernel, rows, bias, n, k);
  pack_all(packing, pool);
  return packing.take();
}

}  // namespace octavo::kernels
