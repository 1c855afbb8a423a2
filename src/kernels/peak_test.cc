#include "kernels/peak.h"

#include <gtest/gtest.h>

namespace octavo::kernels {
namespace {

#if defined(OCTAVO_PEAK_LOOPS)
TEST(Peak, EveryIsaOfThisCpuHasOne) {
  base::ThreadPool pool(2);
  for (const Isa isa : cpu_isas()) {
    for (const PeakOf of : {PeakOf::kS8, PeakOf::kF32, PeakOf::kBF16}) {
      const double peak = measured_peak(pool, isa, of);
      if (isa == Isa::kRef) {
        EXPECT_EQ(peak, 0);
      } else {
        EXPECT_GT(peak, 1e9) << isa_name(isa);
        EXPECT_EQ(measured_peak(pool, isa, of), peak) << "measured again within a run";
      }
    }
  }
}
#endif

TEST(Peak, MemoryIsRead) {
  base::ThreadPool pool(2);
  const double bandwidth = measured_read_bandwidth(pool);
  EXPECT_GT(bandwidth, 1e8);
  EXPECT_LT(bandwidth, 1e13) << "the reads were optimized away";
}

}  // namespace
}  // namespace octavo::kernels
