#include "model/rope_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "model/config.h"

namespace octavo::model {
namespace {

ModelConfig config_with(RopeConfig rope, int64_t head_dim = 128) {
  ModelConfig config;
  config.head_dim = head_dim;
  config.rope = rope;
  return config;
}

TEST(RopeTable, FrequenciesAndAngles) {
  const ModelConfig config = config_with({.theta = 1e6});
  RopeTable table(config);
  table.reserve(5000);
  for (const int64_t position : {0, 1, 2, 63, 1000, 4999}) {
    for (int64_t i = 0; i < 64; ++i) {
      const auto inv_freq = static_cast<float>(std::pow(1e6, -static_cast<double>(i) / 64));
      EXPECT_NEAR(table.inv_freq()[static_cast<size_t>(i)], inv_freq, 1e-7F * inv_freq);
      // The angle is an fp32 product: at 5,000 it may be 0.0002 from the exact one.
      const float angle = static_cast<float>(position) * table.inv_freq()[static_cast<size_t>(i)];
      EXPECT_EQ(table.cosine(position)[i], static_cast<float>(std::cos(static_cast<double>(angle))));
      EXPECT_EQ(table.sine(position)[i], static_cast<float>(std::sin(static_cast<double>(angle))));
    }
  }
}

TEST(RopeTable, SameBitsHoweverItGrows) {
  const ModelConfig config = config_with({.theta = 1e4}, 10);
  RopeTable whole(config), grown(config);
  whole.reserve(500);
  for (int64_t n = 1; n <= 500; n += n < 70 ? 1 : 143) grown.reserve(n);
  grown.reserve(500);
  for (int64_t position = 0; position < 500; ++position) {
    EXPECT_EQ(std::memcmp(whole.cosine(position), grown.cosine(position), 5 * sizeof(float)), 0);
    EXPECT_EQ(std::memcmp(whole.sine(position), grown.sine(position), 5 * sizeof(float)), 0);
  }
}

TEST(RopeTable, LinearScalingDividesFrequencies) {
  const RopeTable plain(config_with({.theta = 1e4}));
  const RopeTable scaled(config_with({.theta = 1e4, .scaling = RopeConfig::Scaling::kLinear, .factor = 4}));
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(scaled.inv_freq()[i], plain.inv_freq()[i] / 4);
}

// Llama 3.2's parameters: wavelengths below 2048 keep their frequency, above 8192 it is divided by 32.
TEST(RopeTable, Llama3Scaling) {
  const RopeTable plain(config_with({.theta = 5e5}));
  const RopeTable scaled(config_with({.theta = 5e5,
                                      .scaling = RopeConfig::Scaling::kLlama3,
                                      .factor = 32,
                                      .low_freq_factor = 1,
                                      .high_freq_factor = 4,
                                      .original_max_positions = 8192}));
  int n_kept = 0, n_divided = 0;
  for (size_t i = 0; i < 64; ++i) {
    const float ratio = plain.inv_freq()[i] / scaled.inv_freq()[i];
    const double wavelength = 2 * 3.141592653589793 / static_cast<double>(plain.inv_freq()[i]);
    if (wavelength < 2048) {
      EXPECT_EQ(ratio, 1.0F);
      ++n_kept;
    } else if (wavelength > 8192) {
      EXPECT_EQ(ratio, 32.0F);
      ++n_divided;
    } else {
      EXPECT_GT(ratio, 1.0F);
      EXPECT_LT(ratio, 32.0F);
    }
  }
  EXPECT_EQ(n_kept, 29);
  EXPECT_EQ(n_divided, 29);
}

}  // namespace
}  // namespace octavo::model
