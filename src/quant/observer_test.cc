#include "quant/observer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace octavo::quant {
namespace {

TEST(ChannelObserver, KeepsTheRangeOfEachChannel) {
  base::ThreadPool pool(2);
  ChannelObserver observer(3);
  const float first[] = {1.0F, -2.0F, 0.0F, -0.5F, 1.5F, 0.0F};
  const float second[] = {0.25F, 0.0F, -3.0F};
  observer.observe(first, 2, pool);
  observer.observe(second, 1, pool);
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
  base::ThreadPool pool(1);
  ChannelObserver observer(2);
  const float x[] = {2.0F, -3.0F, 0.5F, -0.25F};
  observer.observe(x, 2, pool);
  EXPECT_EQ(observer.ranges().min, (std::vector<float>{0.5F, -3.0F}));
  EXPECT_EQ(observer.ranges().max, (std::vector<float>{2.0F, -0.25F}));
}

TEST(ChannelObserver, NamesTheChannelThatIsNotFinite) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  base::ThreadPool pool(1);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {kNan, -kNan, kInfinity, -kInfinity}) {
    ChannelObserver observer(3);
    const float x[] = {1.0F, bad, 2.0F, 1.0F, 5.0F, 2.0F};
    observer.observe(x, 2, pool);
    ASSERT_TRUE(observer.non_finite_channel());
    EXPECT_EQ(*observer.non_finite_channel(), 1);
  }
}

TEST(ChannelObserver, ChannelsAreCutAnywhere) {
  constexpr int64_t kChannels = 1100, kRows = 5;  // more than two tasks
  std::vector<float> x(kChannels * kRows);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((i * 7919) % 4093) - 2000.0F;
  base::ThreadPool pool(3);
  ChannelObserver observer(kChannels);
  observer.observe(x.data(), 2, pool);
  observer.observe(x.data() + 2 * kChannels, kRows - 2, pool);
  for (size_t j = 0; j < kChannels; ++j) {
    float min = x[j], max = x[j];
    for (size_t row = 1; row < kRows; ++row) {
      min = std::min(min, x[row * kChannels + j]);
      max = std::max(max, x[row * kChannels + j]);
    }
    EXPECT_EQ(observer.ranges().min[j], min) << j;
    EXPECT_EQ(observer.ranges().max[j], max) << j;
  }
}

}  // namespace
}  // namespace octavo::quant
