#include "quant/observer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octavo::quant {
namespace {

TEST(ChannelObserver, KeepsTheLargestMagnitudeOfEachChannel) {
  ChannelObserver observer(3);
  const float first[] = {1.0F, -2.0F, 0.0F, -0.5F, 1.5F, 0.0F};
  const float second[] = {0.25F, 0.0F, -3.0F};
  observer.observe(first, 2);
  observer.observe(second, 1);
  EXPECT_EQ(observer.n_rows(), 3);
  EXPECT_EQ(observer.absmax(), (std::vector<float>{1.0F, 2.0F, 3.0F}));
  EXPECT_FALSE(observer.non_finite_channel());
}

TEST(ChannelObserver, NothingSeenIsZero) {
  EXPECT_EQ(ChannelObserver(2).absmax(), (std::vector<float>{0.0F, 0.0F}));
}

TEST(ChannelObserver, NamesTheChannelThatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    ChannelObserver observer(3);
    const float x[] = {1.0F, bad, 2.0F, 1.0F, 5.0F, 2.0F};
    observer.observe(x, 2);
    ASSERT_TRUE(observer.non_finite_channel());
    EXPECT_EQ(*observer.non_finite_channel(), 1);
  }
}

}  // namespace
}  // namespace octavo::quant
