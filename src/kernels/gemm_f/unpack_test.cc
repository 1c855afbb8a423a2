#include <gtest/gtest.h>

#include <vector>

#include "kernels/gemm_f/gemm_f.h"

namespace octavo::kernels {
namespace {

// Every row comes back exactly, on every ISA, for n and k that fill no panel and no lane.
TEST(GemmFUnpackRow, ReturnsTheRowsThatWerePacked) {
  constexpr int64_t kN = 37, kK = 45;
  std::vector<float> w(static_cast<size_t>(kN * kK));
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i % 251) - 100.0F;  // exact in bf16
  std::vector<uint16_t> w_bf16;
  for (const float value : w) w_bf16.push_back(tensor::bf16_from_f32(value));
  for (const Isa isa : cpu_isas()) {
    for (const auto dtype : {tensor::DType::kF32, tensor::DType::kBF16}) {
      const bool is_f32 = dtype == tensor::DType::kF32;
      const void* plain = is_f32 ? static_cast<const void*>(w.data()) : w_bf16.data();
      const GemmFWeights packed = pack_gemm_f(select_gemm_f(isa, dtype), plain, {}, kN, kK);
      for (int64_t row = 0; row < kN; ++row) {
        std::vector<float> got(kK + 1, -1e9F);
        gemm_f_unpack_row(packed, row, got.data());
        const auto begin = w.begin() + row * kK;
        EXPECT_TRUE(std::equal(begin, begin + kK, got.begin())) << isa_name(isa) << " row " << row;
        EXPECT_EQ(got.back(), -1e9F) << "wrote past the row";
      }
    }
  }
}

}  // namespace
}  // namespace octavo::kernels
