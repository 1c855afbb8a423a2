// Weights into the layout of the kernel that reads them, once at load: panels (kernels/panels.h), each
// followed by the sums at which the kernel starts: minus what its arithmetic adds (GemmS8Offset), minus what
// the inputs' zero point adds.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/gemm_s8/kernel.h"

namespace octavo::kernels {
namespace {

// sum_k of the codes, or of the negative ones alone.
template <bool kNegativeAlone>
int32_t sum_codes(const int8_t* codes, int64_t k) {
  constexpr int64_t kBlock = 128;  // of which 16 bits hold the sum: they add up twice as fast as 32
  int32_t sum = 0;                 // k <= kGemmS8MaxK: of 26 bits
  for (int64_t begin = 0; begin < k; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, k);
    int16_t part = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int8_t code = kNegativeAlone ? std::min<int8_t>(codes[i], 0) : codes[i];
      part = static_cast<int16_t>(part + code);
    }
    sum += part;
  }
  return sum;
}

int32_t start_sum(GemmS8Offset offset, int32_t zero_point, const int8_t* row, int64_t k) {
  int64_t added = zero_point == 0 ? 0 : int64_t{zero_point} * sum_codes<false>(row, k);
  if (offset == GemmS8Offset::kNegativeWeights) added += sum_codes<true>(row, k);
  return static_cast<int32_t>(-added);  // modulo 2^32, as the sums are
}

}  // namespace

GemmS8Packing::GemmS8Packing(const GemmS8Kernel& kernel, RowReader& w, std::span<const float> w_scale,
                             std::span<const float> bias, int64_t n, int64_t k, int32_t zero_point)
    : w_(w), zero_point_(zero_point), pieces_(kernel.layout, n, k) {
  OCTAVO_CHECK(n >= 0 && k >= 0 && k <= (zero_point == 0 ? kGemmS8MaxK : kGemmS8MaxStaticK));
  OCTAVO_CHECK(zero_point >= -128 && zero_point <= 127);
  OCTAVO_CHECK(w_scale.size() == static_cast<size_t>(n) && (bias.empty() || bias.size() == w_scale.size()));
  packed_.n = n;
  packed_.k = k;
  packed_.kernel = &kernel;
  packed_.packed = tensor::Buffer::for_weights(
      static_cast<size_t>(kernel.layout.n_panels(n) * kernel.panel_stride_bytes(k)));
  packed_.scale.assign(w_scale.begin(), w_scale.end());
  packed_.bias.assign(bias.begin(), bias.end());
}

void GemmS8Packing::pack(int64_t index, int thread) {
  const PanelPiece piece = pieces_.at(index);
  const std::optional<const std::byte*> rows = w_.rows_of(piece, thread);
  if (!rows) return;
  const GemmS8Kernel& kernel = *packed_.kernel;
  const PanelLayout& layout = kernel.layout;
  const int64_t k = packed_.k, stride = kernel.panel_stride_bytes(k);
  const auto flip = kernel.offset == GemmS8Offset::kInputsTimes128 ? std::byte{0x80} : std::byte{0};
  auto* out = packed_.packed.as<std::byte>();
  pack_piece(layout, piece, *rows, k, flip, out, stride);
  for (int64_t j = 0; j < piece.n; ++j) {
    const auto* codes = reinterpret_cast<const int8_t*>(*rows);
    const int32_t start = j < piece.n_rows ? start_sum(kernel.offset, zero_point_, codes + j * k, k) : 0;
    const int64_t at = piece.begin + j;
    std::byte* starts = out + at / layout.panel_n * stride + layout.panel_bytes(k);
    std::memcpy(starts + at % layout.panel_n * kLaneBytes, &start, sizeof start);
  }
}

GemmS8Weights pack_gemm_s8(const GemmS8Kernel& kernel, const int8_t* w, std::span<const float> w_scale,
                           std::span<const float> bias, int64_t n, int64_t k, int32_t zero_point,
                           base::ThreadPool* pool) {
  RowsInMemory rows(w, k);
  GemmS8Packing packing(kernel, rows, w_scale, bias, n, k, zero_point);
  pack_all(packing, pool);
  return packing.take();
}

}  // namespace octavo::kernels
