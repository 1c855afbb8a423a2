// attention.h in plain C++: the definition of every bit. Compiles for any CPU. Called through kernels.inc.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/attention/kernels.h"
#include "tensor/dtype.h"

namespace octavo::kernels {
namespace {
// Each file builds on the one before.
// clang-format off
#include "kernels/vec/ref.inl"
#include "kernels/vec/exp.inl"
#include "kernels/vec/codes.inl"
#include "kernels/attention/float_kv.inl"
#include "kernels/attention/s8_kv.inl"
#include "kernels/attention/tile.inl"
// clang-format on
}  // namespace

const AttentionKernels kAttentionRef = {Isa::kRef, write_rows, attend_tile, attend_part, merge_kept};

}  // namespace octavo::kernels
