#pragma once
// What the reproducibility rules (docs/NUMERICS.md) cost: the same work with and without each, in turns.
#include <vector>

#include "bench/kernel_rows.h"
#include "bench/loop.h"
#include "bench/model_rows.h"

namespace octavo::bench {

// The part of an operation's time that it would not take without the rule; 0 where the rule costs nothing.
struct RuleCosts {
  double product_sums = 0;         // the canonical order, in bf16 products of 512 rows
  double product_sums_of_one = 0;  // of one row, which waits for its weights
  double row_sums = 0;             // 16 partial sums, in RMSNorm
  double blocks = 0;               // blocks from left to right, in attention of a decode step
};

struct RuleRows {
  std::vector<Row> rows;
  RuleCosts costs;
};

// A layer's bf16 products of 512 rows and of one, summed in the canonical order: the limit is a kernel free
// to choose (none on AMX, whose hardware has this order). RMSNorm of 512 rows to int8 codes, in 16 partial
// sums: the limit is one in 64. A layer's attention in decode, cut by shape with blocks from left to right:
// the limit is a context cut into as many parts as there are threads (not with one thread).
Result<RuleRows> rule_rows(const KernelSubject& subject, kernels::Isa isa);

// The part of a whole step that the rules cost in sum, in percent: each operation's time times the cost of
// the rules that it keeps; products of int8 keep none, and attention over int8 keys and values only that of
// blocks. An upper bound: attention of one row waits for memory longer than the products do.
Row rules_of_step_row(const Subject& subject, const RuleCosts& costs, const Profile& step);

}  // namespace octavo::bench
