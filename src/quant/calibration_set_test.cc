#include "quant/calibration_set.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace octavo::quant {
namespace {

model::LinearWeight embedding(int64_t n, int64_t k) {  // row i holds i, i + 0.25, …
  model::LinearWeight weight;
  weight.n = n;
  weight.k = k;
  weight.dtype = tensor::DType::kF32;
  weight.data = tensor::Buffer(static_cast<size_t>(n * k) * sizeof(float));
  for (int64_t i = 0; i < n * k; ++i) {
    weight.data.as<float>()[i] = static_cast<float>(i / k) + 0.25F * static_cast<float>(i % k);
  }
  return weight;
}

CalibrationSet set_of(const std::vector<size_t>& lengths) {
  std::vector<data::TokenSample> samples;
  for (const size_t length : lengths) samples.push_back({std::vector<int32_t>(length, 1), ""});
  auto set = CalibrationSet::embed(std::move(samples), embedding(2, 2));
  EXPECT_TRUE(set.ok());
  return std::move(set).value();
}

TEST(CalibrationSet, HiddenStatesAreTheEmbeddingsRows) {
  auto set = CalibrationSet::embed({{{2, 0}, "a"}, {{1}, "b"}}, embedding(3, 2));
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(set->n_rows(), 3);
  EXPECT_EQ(set->hidden(0)[1], 2.25F);
  EXPECT_EQ(set->hidden(1)[0], 0.0F);
  EXPECT_EQ(set->hidden(set->row_begin(1))[0], 1.0F);
}

TEST(CalibrationSet, WhatCannotBeEmbeddedIsNamed) {
  const auto refusal = [](std::vector<data::TokenSample> samples) {
    return CalibrationSet::embed(std::move(samples), embedding(3, 2)).status().message();
  };
  EXPECT_NE(refusal({{{0}, ""}, {{0, 3}, ""}}).find("sample 1 has token id 3"), std::string::npos);
  EXPECT_NE(refusal({{{-1}, ""}}).find("token id -1"), std::string::npos);
  EXPECT_NE(refusal({{{}, ""}}).find("no token"), std::string::npos);
  EXPECT_NE(refusal({}).find("no sample"), std::string::npos);
}

TEST(CalibrationSet, BatchesHoldWholeSamplesAndAllOfThem) {
  const CalibrationSet set = set_of({700, 300, 25, 3000, 1, 1, 1024});
  size_t sample = 0;
  for (const SampleBatch& batch : set.batches()) {
    EXPECT_EQ(batch.sample_begin, sample);
    EXPECT_GT(batch.sample_end, batch.sample_begin);
    EXPECT_EQ(batch.row_begin, set.row_begin(batch.sample_begin));
    EXPECT_EQ(batch.row_end, set.row_begin(batch.sample_end));
    const bool single = batch.sample_end - batch.sample_begin == 1;
    EXPECT_TRUE(single || batch.row_end - batch.row_begin <= CalibrationSet::kMaxBatchRows);
    sample = batch.sample_end;
  }
  EXPECT_EQ(sample, set.n_samples());
  const CalibrationSet many = set_of(std::vector<size_t>(200, 1));
  for (const SampleBatch& batch : many.batches()) {
    EXPECT_LE(batch.sample_end - batch.sample_begin, CalibrationSet::kMaxBatchSamples);
  }
}

TEST(SearchSamples, FitAndHeldOutShareNothingAndStayWithinTheBound) {
  for (const std::vector<size_t>& lengths :
       {std::vector<size_t>(128, 512), std::vector<size_t>(3, 10), std::vector<size_t>(2, 5000),
        std::vector<size_t>{4000, 1, 1, 1, 4000, 4000, 4000}}) {
    const CalibrationSet set = set_of(lengths);
    const SearchSamples split = choose_search_samples(set);
    EXPECT_FALSE(split.fit.empty());
    EXPECT_FALSE(split.held_out.empty());
    std::set<size_t> all(split.fit.begin(), split.fit.end());
    all.insert(split.held_out.begin(), split.held_out.end());
    EXPECT_EQ(all.size(), split.fit.size() + split.held_out.size());
    EXPECT_LT(*all.rbegin(), lengths.size());
    int64_t n_tokens = 0;
    for (const size_t sample : all) n_tokens += static_cast<int64_t>(lengths[sample]);
    EXPECT_TRUE(all.size() <= 4 || n_tokens <= kMaxSearchTokens) << n_tokens;
  }
}

TEST(SearchSamples, AQuarterIsHeldOutOfALargeSet) {
  const SearchSamples split = choose_search_samples(set_of(std::vector<size_t>(128, 256)));
  EXPECT_EQ(split.fit.size(), 12U);
  EXPECT_EQ(split.held_out.size(), 4U);
}

TEST(SearchSamples, ASingleSampleIsBoth) {
  const SearchSamples split = choose_search_samples(set_of({7}));
  EXPECT_EQ(split.fit, split.held_out);
}

}  // namespace
}  // namespace octavo::quant
