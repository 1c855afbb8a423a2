#include "quant/observer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octavo::quant {
namespace {

TEST(ChannelObserver, KeepsTheRangeOfEachChannel) {
  ChannelObserver observer(3);
  const float first[] = {1.0F, -2.0F, 0.0F, -0.5F, 1.5F, 0.0F};
  const float second[] = {0.25F, 0.0F, -3.0F};
  observer.observe(first, 2);
  observer.observe(second, 1);
  EXPECT_EQ(observer.n_rows(), 3);
  EXPECT_EQ(observer.ranges().min, (std::vector<float>{-0.5F, -2.0F, -3.0F}));
  EXPECT_EQ(observer.ranges().max, (std::vector<float>{1.0F, 1.5F, 0.0F}));
  EXPECT_EQ(observer.ranges().absmax(), (std::vector<float>{1.0F, 2.0F, 3.0F}));
  EXPECT_FALSE(observer.non_finite_channel());
}

TEST(ChannelObserver, NothingSeenIsZero) {
  EXPECT_EQ(ChannelObserver(2).ranges().absmax(), (std::vector<float>{0.0F, 0.0F}));
}

// The range is what was seen: it need not include zero.
TEST(ChannelObserver, ARangeMayLieOnOneSide) {
  ChannelObserver observer(2);
  const float x[] = {2.0F, -3.0F, 0.5F, -0.25F};
  observer.observe(x, 2);
  EXPECT_EQ(observer.ranges().min, (std::vector<float>{0.5F, -3.0F}));
  EXPECT_EQ(observer.ranges().max, (std::vector<float>{2.0F, -0.25F}));
}

TEST(ChannelObserver, NamesTheChannelThatIsNotFinite) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {kNan, -kNan, kInfinity, -kInfinity}) {
    ChannelObserver observer(3);
    const float x[] = {1.0F, bad, 2.0F, 1.0F, 5.0F, 2.0F};
    observer.observe(x, 2);
    ASSERT_TRUE(observer.non_finite_channel());
    EXPECT_EQ(*observer.non_finite_channel(), 1);
  }
}

}  // namespace
}  // namespace octavo::quant
