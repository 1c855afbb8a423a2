// elementwise.h in plain C++: the definition of every bit. Compiles for any CPU. Called through kernels.inc.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/elementwise/kernels.h"
#include "tensor/dtype.h"

namespace octavo::kernels {
namespace {
// Each file builds on the one before.
// clang-format off
#include "kernels/vec/ref.inl"
#include "kernels/vec/exp.inl"
#include "kernels/vec/codes.inl"
#include "kernels/elementwise/rows.inl"
// clang-format on
}  // namespace

const ElementwiseKernels kElementwiseRef = {Isa::kRef, rms_norm_row, silu_mul_row, convert_row,
                                            rope_row,  add_values,   exp_row};

}  // namespace octavo::kernels
