// Weights into the layout of the kernel that reads them, once at load: panels (kernels/panels.h), each
// followed by the sums at which the kernel starts: minus what its arithmetic adds (GemmS8Offset), minus what
// the inputs' zero point adds.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/gemm_s8/kernel.h"

namespace octavo::kernels {
namespace {

int32_t start_sum(GemmS8Offset offset, int32_t zero_point, std::span<const int8_t> row) {
  int32_t sum = 0, negative_sum = 0;  // k <= kGemmS8MaxK: of 26 bits
  for (const int8_t code : row) {
    sum += code;
    negative_sum += std::min<int32_t>(code, 0);
  }
  int64_t added = int64_t{zero_point} * sum;
  if (offset == GemmS8Offset::kNegativeWeights) added += negative_sum;
  return static_cast<int32_t>(-added);  // modulo 2^32, as the sums are
}

// To every code, from signed to unsigned; the starts of the sums are written after it.
void add_128(std::byte* codes, int64_t n) {
  for (int64_t i = 0; i < n; ++i) codes[i] ^= std::byte{0x80};
}

}  // namespace

GemmS8Weights pack_gemm_s8(const GemmS8Kernel& kernel, const int8_t* w, std::span<const float> w_scale,
                           std::span<const float> bias, int64_t n, int64_t k, int32_t zero_point,
                           base::ThreadPool* pool) {
  OCTAVO_CHECK(n >= 0 && k >= 0 && k <= (zero_point == 0 ? kGemmS8MaxK : kGemmS8MaxStaticK));
  OCTAVO_CHECK(zero_point >= -128 && zero_point <= 127);
  OCTAVO_CHECK(w_scale.size() == static_cast<size_t>(n) && (bias.empty() || bias.size() == w_scale.size()));
  const PanelLayout& layout = kernel.layout;
  const int64_t stride = kernel.panel_stride_bytes(k);
  GemmS8Weights packed;
  packed.n = n;
  packed.k = k;
  packed.kernel = &kernel;
  packed.packed = tensor::Buffer::for_weights(static_cast<size_t>(layout.n_panels(n) * stride));
  packed.scale.assign(w_scale.begin(), w_scale.end());
  packed.bias.assign(bias.begin(), bias.end());
  auto* out = packed.packed.as<std::byte>();
  for_each_panel(pool, layout.n_panels(n), [&](int64_t panel, int) {
    const int64_t begin = panel * layout.panel_n;
    const int64_t n_outputs = std::min(layout.panel_n, n - begin);
    std::byte* to = out + panel * stride;
    pack_panels(layout, w + begin * k, n_outputs, k, to, stride);
    if (kernel.offset == GemmS8Offset::kInputsTimes128) add_128(to, layout.panel_bytes(k));
    std::byte* sums = to + layout.panel_bytes(k);
    for (int64_t j = 0; j < layout.panel_n; ++j) {
      const std::span<const int8_t> row =
          j < n_outputs ? std::span(w + (begin + j) * k, static_cast<size_t>(k)) : std::span<const int8_t>();
      const int32_t start = start_sum(kernel.offset, zero_point, row);
      std::memcpy(sums + j * kLaneBytes, &start, sizeof start);
    }
  });
  return packed;
}

}  // namespace octavo::kernels
