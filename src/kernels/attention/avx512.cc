// attention.h with AVX-512, bit for bit ref.cc. Called through kernels.inc.
#include "kernels/isa.h"

#if defined(OCTAVO_X86_KERNELS)

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/attention/kernels.h"
#include "kernels/x86_intrinsics.h"

OCTAVO_TARGET_BEGIN_AVX512VNNI
namespace octavo::kernels {
namespace {
// Each file builds on the one before.
// clang-format off
#include "kernels/vec/avx512.inl"
#include "kernels/vec/exp.inl"
#include "kernels/vec/codes.inl"
#include "kernels/attention/float_kv.inl"
#include "kernels/attention/s8_kv.inl"
#include "kernels/attention/tile.inl"
// clang-format on
}  // namespace
}  // namespace octavo::kernels
OCTAVO_TARGET_END

namespace octavo::kernels {
const AttentionKernels kAttentionAvx512 = {Isa::kAvx512Vnni, write_rows, attend_tile, attend_part,
                                           merge_kept};
}  // namespace octavo::kernels

#endif
