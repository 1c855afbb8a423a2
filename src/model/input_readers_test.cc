#include "model/input_readers.h"

#include <gtest/gtest.h>

#include <array>

namespace octavo::model {
namespace {

TEST(InputReaders, EveryLinearReadsOneInput) {
  std::array<int, kNLinearSlots> n_inputs = {};
  for (int site = 0; site < kNTapSites; ++site) {
    for (const LinearSlot slot : readers_of(static_cast<TapSite>(site)))
      ++n_inputs[static_cast<size_t>(slot)];
  }
  for (const int n : n_inputs) EXPECT_EQ(n, 1);
}

}  // namespace
}  // namespace octavo::model
