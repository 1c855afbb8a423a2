// elementwise.h with AVX2 and FMA, bit for bit ref.cc. Called through kernels.inc.
#include "kernels/isa.h"

#if defined(OCTAVO_X86_KERNELS)

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/elementwise/kernels.h"
#include "kernels/x86_intrinsics.h"

OCTAVO_TARGET_BEGIN_AVX2
namespace octavo::kernels {
namespace {
// Each file builds on the one before.
// clang-format off
#include "kernels/vec/avx2.inl"
#include "kernels/vec/exp.inl"
#include "kernels/vec/codes.inl"
#include "kernels/elementwise/rows.inl"
#include "kernels/elementwise/free_order.inl"
// clang-format on
}  // namespace
}  // namespace octavo::kernels
OCTAVO_TARGET_END

namespace octavo::kernels {
const ElementwiseKernels kElementwiseAvx2 = {Isa::kAvx2, rms_norm_row, silu_mul_row, convert_row,
                                             rope_row,   add_values,   exp_row};
const ElementwiseKernels kFreeOrderElementwiseAvx2 = {
    Isa::kAvx2, rms_norm_row_free_order, silu_mul_row, convert_row, rope_row, add_values, exp_row};
}  // namespace octavo::kernels

#endif
