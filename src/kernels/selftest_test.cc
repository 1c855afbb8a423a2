#include "kernels/selftest.h"

#include <gtest/gtest.h>

namespace octavo::kernels {
namespace {

TEST(Selftest, EveryIsaGivesTheBitsOfRef) {
  const std::vector<SelftestResult> results = run_selftest();
  EXPECT_EQ(results.size(), 10 * (cpu_isas().size() - 1));
  for (const SelftestResult& result : results) {
    EXPECT_GT(result.n_cases, 0);
    EXPECT_EQ(result.n_different, 0) << result.operation << " " << isa_name(result.isa);
  }
}

}  // namespace
}  // namespace octavo::kernels
