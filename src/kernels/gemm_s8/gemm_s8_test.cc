// Every line of kernels.inc that this CPU runs, against sums computed here in the plainest way.
#include "kernels/gemm_s8/gemm_s8.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "kernels/elementwise/elementwise.h"
#include "kernels/gemm_s8/kernel.h"
#include "kernels/guarded_array.h"

namespace octavo::kernels {
namespace {

struct Shape {
  int64_t m, n, k;
};
std::string text(const Shape& shape) {
  return "m " + std::to_string(shape.m) + " n " + std::to_string(shape.n) + " k " + std::to_string(shape.k);
}

std::vector<const GemmS8Kernel*> kernels_of_this_cpu() {
  std::vector<const GemmS8Kernel*> kernels;
  for (const GemmS8Kernel& kernel : gemm_s8_kernels()) {
    if (cpu_has(kernel.isa)) kernels.push_back(&kernel);
  }
  return kernels;
}

// The product's operands, each ending where memory ends.
struct Operands {
  explicit Operands(const Shape& s)
      : shape(s), x(s.m * s.k), w(s.n * s.k), x_scale(s.m), w_scale(s.n), bias(s.n) {}
  Operands(const Shape& s, unsigned seed) : Operands(s) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> code(-127, 127);
    std::uniform_real_distribution<float> real(0.001F, 0.02F);
    for (int8_t& v : x) v = static_cast<int8_t>(code(random));
    for (int8_t& v : w) v = static_cast<int8_t>(code(random));
    for (float& v : x_scale) v = real(random);
    for (float& v : w_scale) v = real(random);
    for (float& v : bias) v = real(random) * 100 - 1;
  }

  int32_t sum(int64_t i, int64_t j) {
    int64_t total = 0;
    for (int64_t kk = 0; kk < shape.k; ++kk) {
      total += (int64_t{x[i * shape.k + kk]} - zero_point) * w[j * shape.k + kk];
    }
    EXPECT_LE(std::abs(total), std::numeric_limits<int32_t>::max());
    return static_cast<int32_t>(total);
  }
  GemmS8Weights pack(const GemmS8Kernel& kernel, bool with_bias) {
    return pack_gemm_s8(
        kernel, w.data(), {w_scale.data(), w_scale.size()},
        with_bias ? std::span<const float>{bias.data(), bias.size()} : std::span<const float>{}, shape.n,
        shape.k, zero_point);
  }

  Shape shape;
  int32_t zero_point = 0;
  GuardedArray<int8_t> x, w;
  GuardedArray<float> x_scale, w_scale, bias;
};

void expect_exact_sums(base::ThreadPool& pool, const GemmS8Kernel& kernel, Operands& operands) {
  const auto [m, n, k] = operands.shape;
  GuardedArray<int32_t> sums(m * n);
  const GemmS8Weights packed = operands.pack(kernel, false);
  gemm_s8_sums(pool, operands.x.data(), packed, sums.data(), m);
  ASSERT_TRUE(sums.front_is_intact());
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      ASSERT_EQ(sums[i * n + j], operands.sum(i, j))
          << kernel.name << " " << text(operands.shape) << " at " << i << "," << j;
    }
  }
}

TEST(GemmS8, SumsAreExactAtEveryTail) {
  base::ThreadPool pool(2);
  unsigned seed = 0;
  for (const int64_t m : {1, 2, 3, 4, 5, 9}) {
    for (const int64_t n : {1, 8, 15, 16, 17, 33}) {
      for (const int64_t k : {1, 2, 3, 4, 5, 31, 63, 64, 66}) {
        Operands operands({m, n, k}, ++seed);
        for (const auto* kernel : kernels_of_this_cpu()) expect_exact_sums(pool, *kernel, operands);
      }
    }
  }
}

TEST(GemmS8, SumsAreExactAcrossBlocksAndPasses) {
  base::ThreadPool pool(2);
  for (const Shape shape : {Shape{130, 17, 1024},
                            {64, 40, 1023},
                            {65, 33, 1027},
                            {7, 300, 2050},
                            {3, 16, 25600},
                            {16, 64, 192},
                            {17, 31, 129},
                            {31, 66, 64},
                            {33, 97, 63},
                            {48, 32, 320}}) {
    Operands operands(shape, 7);
    for (const auto* kernel : kernels_of_this_cpu()) expect_exact_sums(pool, *kernel, operands);
  }
}

// All 65,536 pairs of codes, -128 among them, alone and four at a time (where a pair could saturate).
TEST(GemmS8, EveryPairOfCodesIsExact) {
  base::ThreadPool pool(2);
  for (const int64_t k : {1, 4}) {
    Operands operands({256, 256, k});
    for (int64_t i = 0; i < 256 * k; ++i) operands.x[i] = operands.w[i] = static_cast<int8_t>(i / k - 128);
    for (const auto* kernel : kernels_of_this_cpu()) expect_exact_sums(pool, *kernel, operands);
  }
}

TEST(GemmS8, ExtremesAreExactAtTheLargestDepth) {
  base::ThreadPool pool(2);
  for (const int64_t k : {int64_t{25600}, kGemmS8MaxK}) {
    for (const int x : {-127, 127}) {
      for (const int w : {-128, -127, 127}) {
        Operands operands({5, 17, k});
        std::ranges::fill(operands.x, static_cast<int8_t>(x));
        std::ranges::fill(operands.w, static_cast<int8_t>(w));
        GuardedArray<int32_t> sums(5 * 17);
        for (const auto* kernel : kernels_of_this_cpu()) {
          const GemmS8Weights packed = operands.pack(*kernel, false);
          gemm_s8_sums(pool, operands.x.data(), packed, sums.data(), 5);
          for (const int32_t sum : sums) ASSERT_EQ(sum, x * w * k) << kernel->name << " k " << k;
        }
      }
    }
  }
}

TEST(GemmS8, ZeroPointsAreCorrectedExactly) {
  base::ThreadPool pool(2);
  unsigned seed = 40;
  for (const int32_t zero_point : {-128, -1, 1, 77, 127}) {
    for (const Shape shape : {Shape{1, 1, 1}, {3, 15, 31}, {5, 17, 66}, {9, 33, 64}, {65, 40, 1027}}) {
      Operands operands(shape, ++seed);
      operands.zero_point = zero_point;
      operands.x[0] = operands.w[0] = -128;
      for (const auto* kernel : kernels_of_this_cpu()) expect_exact_sums(pool, *kernel, operands);
    }
    Operands no_depth({4, 17, 0}, 1);
    no_depth.zero_point = zero_point;
    for (const auto* kernel : kernels_of_this_cpu()) expect_exact_sums(pool, *kernel, no_depth);
  }
}

TEST(GemmS8, ZeroPointsAreExactAtTheirLargestDepth) {
  base::ThreadPool pool(2);
  constexpr int64_t kDepth = kGemmS8MaxStaticK;
  for (const int32_t zero_point : {-128, 127}) {
    for (const int x : {-128, 127}) {
      for (const int w : {-128, 127}) {
        Operands operands({5, 17, kDepth});
        operands.zero_point = zero_point;
        std::ranges::fill(operands.x, static_cast<int8_t>(x));
        std::ranges::fill(operands.w, static_cast<int8_t>(w));
        GuardedArray<int32_t> sums(5 * 17);
        for (const auto* kernel : kernels_of_this_cpu()) {
          const GemmS8Weights packed = operands.pack(*kernel, false);
          gemm_s8_sums(pool, operands.x.data(), packed, sums.data(), 5);
          for (const int32_t sum : sums) ASSERT_EQ(sum, (x - zero_point) * w * kDepth) << kernel->name;
        }
      }
    }
  }
}

TEST(GemmS8, TheEpilogueIsOneFormulaAndTouchesNothingElse) {
  base::ThreadPool pool(2);
  for (const Shape shape : {Shape{1, 1, 5}, {4, 16, 64}, {5, 19, 66}, {70, 33, 40}, {8, 33, 1100}}) {
    for (const int form : {0, 1, 2, 3}) {
      const bool with_bias = (form & 1) != 0, accumulate = (form & 2) != 0;
      Operands operands(shape, 11);
      const auto [m, n, k] = shape;
      const int64_t stride = n + 3;
      for (const auto* kernel : kernels_of_this_cpu()) {
        GuardedArray<float> y((m - 1) * stride + n);
        for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) y[i] = static_cast<float>(i) * 0.37F;
        const GemmS8Weights packed = operands.pack(*kernel, with_bias);
        gemm_s8(pool, operands.x.data(), operands.x_scale.data(), packed, y.data(), m, stride, accumulate);
        ASSERT_TRUE(y.front_is_intact());
        for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) {
          const int64_t row = i / stride, column = i % stride;
          const float before = static_cast<float>(i) * 0.37F;
          float expected = before;
          if (column < n) {
            expected = static_cast<float>(operands.sum(row, column)) * operands.w_scale[column];
            expected *= operands.x_scale[row];
            if (with_bias) expected += operands.bias[column];
            if (accumulate) expected += before;
          }
          ASSERT_EQ(std::memcmp(&y[i], &expected, sizeof expected), 0)
              << kernel->name << " " << text(shape) << " form " << form << ": " << y[i] << " for "
              << expected;
        }
      }
    }
  }
}

TEST(GemmS8, ANanScaleReachesItsRowAlone) {
  base::ThreadPool pool(2);
  Operands operands({3, 20, 32}, 5);
  operands.x_scale[1] = std::numeric_limits<float>::quiet_NaN();
  for (const auto* kernel : kernels_of_this_cpu()) {
    GuardedArray<float> y(3 * 20);
    const GemmS8Weights packed = operands.pack(*kernel, true);
    gemm_s8(pool, operands.x.data(), operands.x_scale.data(), packed, y.data(), 3, 20, false);
    for (int64_t i = 0; i < 60; ++i) ASSERT_EQ(std::isnan(y[i]), i / 20 == 1) << kernel->name;
  }
}

TEST(GemmS8, TinyResultsAreFlushedOnTheCallersThreadToo) {
  base::ThreadPool pool(1);
  Operands operands({2, 17, 8}, 3);
  std::ranges::fill(operands.x_scale, 1e-37F);
  std::ranges::fill(operands.w_scale, 1e-7F);
  for (const auto* kernel : kernels_of_this_cpu()) {
    GuardedArray<float> y(2 * 17);
    std::ranges::fill(y, 1.0F);
    const GemmS8Weights packed = operands.pack(*kernel, false);
    gemm_s8(pool, operands.x.data(), operands.x_scale.data(), packed, y.data(), 2, 17, false);
    for (const float value : y) ASSERT_EQ(std::fpclassify(value), FP_ZERO) << kernel->name;
  }
}

TEST(GemmS8, ARowIsTheSameForEveryBatchAndNumberOfThreads) {
  const Shape shape{131, 70, 515};
  const auto [m, n, k] = shape;
  Operands operands(shape, 23);
  std::vector<float> expected;
  for (const auto* kernel : kernels_of_this_cpu()) {
    const GemmS8Weights packed = operands.pack(*kernel, true);
    for (const int n_threads : {1, 2, 3}) {
      base::ThreadPool pool(n_threads);
      std::vector<float> y(static_cast<size_t>(m * n));
      gemm_s8(pool, operands.x.data(), operands.x_scale.data(), packed, y.data(), m, n, false);
      if (expected.empty()) expected = y;
      ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0)
          << kernel->name << " " << n_threads;
      for (const int64_t part : {1, 3, 6}) {
        std::vector<float> few(static_cast<size_t>(part * n));
        const int64_t begin = m - part;
        gemm_s8(pool, operands.x.data() + begin * k, operands.x_scale.data() + begin, packed, few.data(),
                part, n, false);
        ASSERT_EQ(std::memcmp(few.data(), expected.data() + begin * n, few.size() * sizeof(float)), 0)
            << kernel->name;
      }
    }
  }
}

TEST(GemmS8, ProductsSideBySideAreThoseOfEachAlone) {
  base::ThreadPool pool(3);
  for (const auto* kernel : kernels_of_this_cpu()) {
    for (const int64_t m : {1, 70}) {
      Operands a({m, 300, 130}, 5), b({m, 17, 130}, 6), c({m, 128, 130}, 7);
      const std::array<GemmS8Weights, 3> packed = {a.pack(*kernel, true), b.pack(*kernel, false),
                                                   c.pack(*kernel, true)};
      std::array<std::vector<float>, 3> alone, together;
      std::array<GemmS8Product, 3> products;
      for (size_t i = 0; i < 3; ++i) {
        const int64_t n = packed[i].n;
        alone[i].resize(static_cast<size_t>(m * n));
        together[i].resize(alone[i].size());
        gemm_s8(pool, a.x.data(), a.x_scale.data(), packed[i], alone[i].data(), m, n, false);
        products[i] = {&packed[i], together[i].data(), n};
      }
      gemm_s8(pool, a.x.data(), a.x_scale.data(), products, m, false);
      EXPECT_EQ(together, alone) << kernel->name << " " << m;
    }
  }
}

// More panels than a task holds of the gate at once, tails of rows and outputs, biases.
TEST(GemmS8, AGatedProductIsThatOfTheTwoAlone) {
  base::ThreadPool pool(3);
  const ElementwiseKernels& elementwise = select_elementwise(Isa::kRef);
  for (const auto* kernel : kernels_of_this_cpu()) {
    for (const Shape shape :
         {Shape{1, 700, 130}, {7, 19, 66}, {64, 1100, 64}, {70, 1100, 64}, {130, 33, 64}}) {
      const auto [m, n, k] = shape;
      Operands gate(shape, 5), up(shape, 6);
      const GemmS8Weights packed_gate = gate.pack(*kernel, true), packed_up = up.pack(*kernel, n % 2 == 0);
      std::vector<float> gated(static_cast<size_t>(m * n)), expected(gated.size());
      gemm_s8(pool, up.x.data(), up.x_scale.data(), packed_gate, gated.data(), m, n, false);
      gemm_s8(pool, up.x.data(), up.x_scale.data(), packed_up, expected.data(), m, n, false);
      silu_mul(pool, elementwise, gated.data(), expected.data(), n, m, n,
               {RowForm::kF32, expected.data(), nullptr});
      GuardedArray<float> y(m * n);
      gemm_s8_gated(pool, up.x.data(), up.x_scale.data(), packed_gate, packed_up, m,
                    {RowForm::kF32, y.data(), nullptr});
      ASSERT_TRUE(y.front_is_intact());
      for (int64_t i = 0; i < m * n; ++i) {
        const float want = expected[static_cast<size_t>(i)];
        ASSERT_EQ(std::memcmp(&y[i], &want, sizeof want), 0)
            << kernel->name << " " << text(shape) << " at " << i << ": " << y[i] << " for " << want;
      }
    }
  }
}

// One divisor and one for each column, tails of rows and outputs; one value that is infinite, in the first,
// an inner or the last vector of its panel, and as large values beside it.
TEST(GemmS8, AGatedProductToStaticCodesIsTheConvertedProduct) {
  base::ThreadPool pool(3);
  const ElementwiseKernels& elementwise = select_elementwise(Isa::kRef);
  for (const auto* kernel : kernels_of_this_cpu()) {
    for (const Shape shape : {Shape{1, 700, 130}, {7, 19, 66}, {70, 1100, 64}, {130, 33, 64}}) {
      const auto [m, n, k] = shape;
      for (const int64_t broken : {int64_t{-1}, int64_t{0}, int64_t{17}, n - 1}) {
        Operands gate(shape, 5), up(shape, 6);
        const int64_t broken_row = m / 2;
        up.x_scale[static_cast<size_t>(broken_row)] = 1e10F;
        if (broken >= 0) up.w_scale[static_cast<size_t>(broken)] = 1e25F;
        const GemmS8Weights packed_gate = gate.pack(*kernel, true), packed_up = up.pack(*kernel, n % 2 == 0);
        std::vector<float> y(static_cast<size_t>(m * n));
        gemm_s8_gated(pool, up.x.data(), up.x_scale.data(), packed_gate, packed_up, m,
                      {RowForm::kF32, y.data(), nullptr});
        for (const bool per_column : {false, true}) {
          GuardedArray<float> divisors(per_column ? n : 1), scale(m);
          for (int64_t j = 0; j < static_cast<int64_t>(divisors.size()); ++j) {
            divisors[j] = 0.01F + 0.001F * static_cast<float>(j % 31);
          }
          const StaticCodes codes = {divisors.data(), per_column, -11, 0.25F};
          std::vector<int8_t> expected(y.size());
          std::vector<float> expected_scale(static_cast<size_t>(m));
          convert_rows(pool, elementwise, y.data(), n, m, n,
                       {RowForm::kS8, expected.data(), expected_scale.data(), &codes});
          GuardedArray<int8_t> got(m * n);
          gemm_s8_gated(pool, up.x.data(), up.x_scale.data(), packed_gate, packed_up, m,
                        {RowForm::kS8, got.data(), scale.data(), &codes});
          ASSERT_TRUE(got.front_is_intact() && scale.front_is_intact());
          for (int64_t i = 0; i < m; ++i) {
            const std::string where = kernel->name + (" " + text(shape)) + " row " + std::to_string(i) +
                                      " broken " + std::to_string(broken);
            const float want = expected_scale[static_cast<size_t>(i)];
            ASSERT_EQ(std::isnan(want), broken >= 0 && i == broken_row) << where;
            ASSERT_EQ(std::isnan(scale[i]), std::isnan(want)) << where;
            if (std::isnan(want)) continue;
            ASSERT_EQ(scale[i], want) << where;
            ASSERT_EQ(std::memcmp(&got[i * n], expected.data() + i * n, static_cast<size_t>(n)), 0) << where;
          }
        }
      }
    }
  }
}

TEST(GemmS8, AnEmptyProductWritesNothing) {
  base::ThreadPool pool(2);
  for (const auto* kernel : kernels_of_this_cpu()) {
    for (const Shape shape : {Shape{0, 16, 8}, Shape{4, 0, 8}}) {
      Operands operands(shape);
      float y = 3;
      const GemmS8Weights packed = operands.pack(*kernel, false);
      gemm_s8(pool, operands.x.data(), operands.x_scale.data(), packed, &y, shape.m, shape.n, false);
      EXPECT_EQ(y, 3.0F);
    }
    Operands no_depth({4, 17, 0}, 1);
    expect_exact_sums(pool, *kernel, no_depth);
  }
}

TEST(GemmS8, ThePackedPanelEndsWithWhereTheSumsStart) {
  GemmS8Kernel kernel = *kernels_of_this_cpu().back();
  kernel.layout = {16, 16};
  Operands operands({1, 21, 70}, 9);
  operands.zero_point = -7;
  for (const GemmS8Offset offset :
       {GemmS8Offset::kNone, GemmS8Offset::kNegativeWeights, GemmS8Offset::kInputsTimes128}) {
    kernel.offset = offset;
    const int64_t stride = kernel.panel_stride_bytes(70);
    ASSERT_EQ(stride, (128 + 4) * 16);
    const GemmS8Weights packed = operands.pack(kernel, false);
    for (int64_t j = 0; j < 32; ++j) {
      int32_t added = 0;
      for (int64_t kk = 0; j < 21 && kk < 70; ++kk) {
        const int code = operands.w[j * 70 + kk];
        added += -7 * code;
        if (offset == GemmS8Offset::kNegativeWeights) added += std::min(code, 0);
      }
      int32_t start = 0;
      std::memcpy(&start, packed.packed.as<std::byte>() + j / 16 * stride + 128 * 16 + j % 16 * 4,
                  sizeof start);
      EXPECT_EQ(start, -added) << j;
      if (j >= 21) continue;
      int8_t code = operands.w[j * 70];
      if (offset == GemmS8Offset::kInputsTimes128) code = static_cast<int8_t>(code ^ -128);
      EXPECT_EQ(packed.packed.as<int8_t>()[j / 16 * stride + j % 16 * 4], code) << j;
    }
  }
}

TEST(GemmS8, SelectionTakesTheBestLineTheIsaAllows) {
  EXPECT_EQ(gemm_s8_kernels().back().isa, Isa::kRef);
  for (const Isa isa : cpu_isas()) {
    const GemmS8Kernel& kernel = select_gemm_s8(isa);
    EXPECT_LE(kernel.isa, isa);
    EXPECT_TRUE(cpu_has(kernel.isa));
    for (const auto* other : kernels_of_this_cpu()) {
      EXPECT_TRUE(other->isa > isa || other->isa <= kernel.isa) << gemm_s8_kernel_name(kernel);
    }
  }
}

}  // namespace
}  // namespace octavo::kernels
