#pragma once
// What the reproducibility rules (docs/NUMERICS.md) cost: the same work with and without each, in turns.
#include <vector>

#include "bench/kernel_rows.h"

namespace octavo::bench {

// A layer's bf16 products of 512 rows, summed in the canonical order: the limit is a kernel free to choose
// (none on AMX, whose hardware has this order). A layer's attention in decode, cut by shape with blocks from
// left to right: the limit is a context cut into as many parts as there are threads (not with one thread).
Result<std::vector<Row>> rule_rows(const KernelSubject& subject, kernels::Isa isa);

}  // namespace octavo::bench
