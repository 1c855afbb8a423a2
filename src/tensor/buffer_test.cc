#include "tensor/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace octavo::tensor {
namespace {

TEST(Buffer, SmallAndLargeOnesAreAlignedZeroedAndMovable) {
  for (const size_t n_bytes :
       {size_t{1}, size_t{63}, size_t{4096}, (size_t{1} << 20) - 1, size_t{1} << 20, size_t{5000001}}) {
    Buffer buffer(n_bytes, true);
    EXPECT_EQ(buffer.size_bytes(), n_bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % kAlignment, 0U);
    auto* bytes = buffer.as<unsigned char>();
    for (size_t i = 0; i < n_bytes; ++i) ASSERT_EQ(bytes[i], 0) << n_bytes << " at " << i;
    bytes[n_bytes - 1] = 7;
    Buffer moved = std::move(buffer);
    EXPECT_EQ(moved.as<unsigned char>(), bytes);
    EXPECT_EQ(moved.as<unsigned char>()[n_bytes - 1], 7);
    EXPECT_TRUE(buffer.empty());  // NOLINT: what a moved-from buffer says is the point
    moved = Buffer(3);
    EXPECT_EQ(moved.size_bytes(), 3U);
  }
  EXPECT_TRUE(Buffer(0).empty());
  EXPECT_EQ(Buffer().size_bytes(), 0U);
}

TEST(Buffer, WeightsShareMappingsAndOutliveOneAnother) {
  constexpr size_t kBytes = (size_t{3} << 20) + 5;
  std::vector<Buffer> buffers;
  for (unsigned char i = 0; i < 50; ++i) {  // more than two mappings
    buffers.push_back(Buffer::for_weights(kBytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffers.back().data()) % kAlignment, 0U);
    std::memset(buffers.back().data(), i, kBytes);
  }
  for (size_t i = 0; i < 50; i += 2) buffers[i] = Buffer();
  buffers[0] = Buffer::for_weights(kBytes);
  std::memset(buffers[0].data(), 99, kBytes);
  for (size_t i = 1; i < 50; i += 2) {
    const auto* bytes = buffers[i].as<unsigned char>();
    EXPECT_TRUE(std::all_of(bytes, bytes + kBytes, [i](unsigned char byte) { return byte == i; })) << i;
  }
  EXPECT_EQ(Buffer::for_weights(7).size_bytes(), 7U);
  EXPECT_EQ(Buffer::for_weights(size_t{40} << 20).size_bytes(), size_t{40} << 20);
}

}  // namespace
}  // namespace octavo::tensor
