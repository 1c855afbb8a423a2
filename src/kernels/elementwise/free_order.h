#pragma once
// What bench/ sets the canonical order of sums over a row against; nothing else calls it.
#include "kernels/elementwise/elementwise.h"

namespace octavo::kernels {

// select_elementwise(isa) but for rms_norm, whose sums over a row run in four chains of vectors instead of
// one. Null for ref.
const ElementwiseKernels* free_order_elementwise(Isa isa);

}  // namespace octavo::kernels
