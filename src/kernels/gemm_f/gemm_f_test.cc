// Every line of kernels.inc that this CPU runs, bit for bit against ref; and ref against the order that
// gemm_f.h defines, worked by hand.
#include "kernels/gemm_f/gemm_f.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>

#include "kernels/gemm_f/kernel.h"
#include "kernels/guarded_array.h"

namespace octavo::kernels {
namespace {

using tensor::DType;

struct Shape {
  int64_t m, n, k;
};
std::string text(const Shape& shape) {
  return "m " + std::to_string(shape.m) + " n " + std::to_string(shape.n) + " k " + std::to_string(shape.k);
}

std::vector<const GemmFKernel*> kernels_of_this_cpu(DType dtype) {
  std::vector<const GemmFKernel*> kernels;
  for (const GemmFKernel& kernel : gemm_f_kernels()) {
    if (cpu_has(kernel.isa) && kernel.dtype == dtype) kernels.push_back(&kernel);
  }
  return kernels;
}

// The product's operands in the dtype under test, each ending where memory ends.
struct Operands {
  Operands(DType type, const Shape& s)
      : dtype(type),
        bytes(tensor::dtype_bytes(type)),
        shape(s),
        x(s.m * s.k * bytes),
        w(s.n * s.k * bytes),
        bias(s.n) {}
  void set(GuardedArray<std::byte>& to, int64_t at, float value) {
    tensor::convert_from_f32(dtype, &value, to.data() + at * bytes, 1);
  }
  void fill(GuardedArray<std::byte>& to, const std::function<float(int64_t at)>& value) {
    for (int64_t at = 0; at < static_cast<int64_t>(to.size()) / bytes; ++at) set(to, at, value(at));
  }
  void fill_random(unsigned seed, float spread_bits) {
    std::mt19937 random(seed);
    std::normal_distribution<float> real;
    std::uniform_real_distribution<float> exponent(-spread_bits, spread_bits);
    const auto value = [&](int64_t) { return real(random) * std::exp2(exponent(random)); };
    fill(x, value);
    fill(w, value);
    for (float& v : bias) v = real(random);
  }
  GemmFWeights pack(const GemmFKernel& kernel, bool with_bias) {
    return pack_gemm_f(
        kernel, w.data(),
        with_bias ? std::span<const float>{bias.data(), bias.size()} : std::span<const float>{}, shape.n,
        shape.k);
  }
  std::vector<float> product(base::ThreadPool& pool, const GemmFKernel& kernel) {
    std::vector<float> y(static_cast<size_t>(shape.m * shape.n));
    gemm_f(pool, x.data(), pack(kernel, false), y.data(), shape.m, shape.n, false);
    return y;
  }

  DType dtype;
  int64_t bytes;
  Shape shape;
  GuardedArray<std::byte> x, w;
  GuardedArray<float> bias;
};

bool same_bits(const float* a, const float* b, size_t n) { return std::memcmp(a, b, n * sizeof(float)) == 0; }

class GemmF : public testing::TestWithParam<DType> {
 protected:
  base::ThreadPool pool_{2};
};
INSTANTIATE_TEST_SUITE_P(, GemmF, testing::Values(DType::kBF16, DType::kF32),
                         [](const auto& param) { return std::string(tensor::dtype_name(param.param)); });

// What the cost of the order is measured against must be the same product.
TEST(GemmFFreeOrder, DiffersFromTheCanonicalOrderInItsRoundingsAlone) {
  base::ThreadPool pool(2);
  for (const Isa isa : cpu_isas()) {
    const GemmFKernel* free_order = free_order_gemm_f(isa);
    if (free_order == nullptr) continue;
    for (const Shape& s : {Shape{1, 5, 40}, Shape{7, 33, 64}, Shape{61, 300, 1000}}) {
      Operands operands(DType::kBF16, s);
      operands.fill_random(3, 1);
      const GemmFKernel& canonical = select_gemm_f(isa, DType::kBF16);
      GemmFWeights weights = operands.pack(canonical, false);
      const std::vector<float> want = operands.product(pool, canonical);
      std::vector<float> got(want.size());
      weights.kernel = free_order;
      gemm_f(pool, operands.x.data(), weights, got.data(), s.m, s.n, false);
      for (size_t i = 0; i < want.size(); ++i) {
        ASSERT_NEAR(got[i], want[i], 1e-4 * std::sqrt(static_cast<double>(s.k))) << text(s) << " " << i;
      }
    }
  }
}

TEST_P(GemmF, EveryKernelHasTheBitsOfRefAtEveryTail) {
  unsigned seed = 0;
  for (const int64_t m : {1, 2, 3, 4, 5, 7}) {
    for (const int64_t n : {1, 7, 8, 15, 16, 17, 33}) {
      for (const int64_t k : {1, 2, 3, 31, 32, 33, 63, 64, 70}) {
        Operands operands(GetParam(), {m, n, k});
        operands.fill_random(++seed, 8);
        const std::vector<float> expected = operands.product(pool_, select_gemm_f(Isa::kRef, GetParam()));
        for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
          const std::vector<float> y = operands.product(pool_, *kernel);
          ASSERT_TRUE(same_bits(y.data(), expected.data(), y.size()))
              << kernel->name << " " << text(operands.shape);
        }
      }
    }
  }
}

TEST_P(GemmF, EveryKernelHasTheBitsOfRefAcrossBlocksAndPasses) {
  for (const Shape shape :
       {Shape{49, 17, 1030}, {100, 140, 65}, {48, 130, 513}, {2, 16, 12321}, {1, 16, 25600}}) {
    Operands operands(GetParam(), shape);
    operands.fill_random(3, 8);
    const std::vector<float> expected = operands.product(pool_, select_gemm_f(Isa::kRef, GetParam()));
    for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
      const std::vector<float> y = operands.product(pool_, *kernel);
      ASSERT_TRUE(same_bits(y.data(), expected.data(), y.size())) << kernel->name << " " << text(shape);
    }
  }
}

// Products around 2^-126, so that inputs, products and sums meet the flushing.
TEST_P(GemmF, EveryKernelFlushesAsRefDoes) {
  Operands operands(GetParam(), {9, 50, 5});
  std::mt19937 random(5);
  std::uniform_int_distribution<int> exponent(-70, -57);
  std::uniform_real_distribution<float> real(-2, 2);
  const auto draw = [&](int64_t at) {
    return std::ldexp(real(random), at % 7 == 0 ? -130 : exponent(random));
  };
  operands.fill(operands.x, draw);
  operands.fill(operands.w, draw);
  const std::vector<float> expected = operands.product(pool_, select_gemm_f(Isa::kRef, GetParam()));
  int n_zero = 0;
  for (const float value : expected) {
    ASSERT_NE(std::fpclassify(value), FP_SUBNORMAL);
    n_zero += value == 0;
  }
  ASSERT_GT(n_zero, 0);
  ASSERT_LT(n_zero, static_cast<int>(expected.size()));
  for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
    const std::vector<float> y = operands.product(pool_, *kernel);
    ASSERT_TRUE(same_bits(y.data(), expected.data(), y.size())) << kernel->name;
  }
}

TEST_P(GemmF, DenormalsAreZeroInAndOutAndTheCallersModeComesBack) {
  base::ThreadPool alone(1);
  volatile float tiny = std::ldexp(1.0F, -130);
  for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
    Operands in(GetParam(), {1, 17, 2});
    in.fill(in.x, [](int64_t) { return std::ldexp(1.0F, -130); });
    in.fill(in.w, [](int64_t) { return std::ldexp(1.0F, 100); });
    for (const float value : in.product(alone, *kernel)) EXPECT_EQ(value, 0.0F) << kernel->name;
    Operands out(GetParam(), {1, 17, 2});
    out.fill(out.x, [](int64_t) { return std::ldexp(1.0F, -100); });
    out.fill(out.w, [](int64_t) { return std::ldexp(1.0F, -30); });
    for (const float value : out.product(alone, *kernel)) EXPECT_EQ(value, 0.0F) << kernel->name;
    EXPECT_NE(tiny * 2.0F, 0.0F);
  }
}

// A sum in one chain gives 1, pairs of neighbours 0 or 4, the order of gemm_f.h 3 (see the comments).
TEST_P(GemmF, TheOrderIsTheOneDefined) {
  const float big = std::ldexp(1.0F, 24);  // big + 1 == big
  std::vector<float> x(96, 0.0F);
  x[0] = big, x[2] = 1, x[4] = -big;  // even positions of block 0: (big + 1) - big = 0
  x[1] = 1, x[3] = 1;                 // odd: 2; block 0: 2
  x[32] = big, x[33] = 1;             // block 1: big + 1 = big; so far 2 + big
  x[64] = -big, x[65] = 1;            // block 2: -big + 1, exact; total 2 + big - big + 1 = 3
  for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
    Operands operands(GetParam(), {7, 3, 96});
    operands.fill(operands.x, [&](int64_t at) { return x[static_cast<size_t>(at % 96)]; });
    operands.fill(operands.w, [](int64_t) { return 1.0F; });
    for (const float value : operands.product(pool_, *kernel)) EXPECT_EQ(value, 3.0F) << kernel->name;
  }
}

// (1 + 2^-12)^2 - 1 keeps its 2^-24 only where the product is not rounded. f32 alone: bf16 products are
// exact.
TEST(GemmFOrder, AProductIsNotRoundedBeforeItIsAdded) {
  base::ThreadPool pool(1);
  const float near_one = 1 + std::ldexp(1.0F, -12);
  for (const auto* kernel : kernels_of_this_cpu(DType::kF32)) {
    Operands operands(DType::kF32, {1, 1, 3});
    operands.fill(operands.x, [&](int64_t at) { return at == 0 ? -1.0F : at == 2 ? near_one : 0.0F; });
    operands.fill(operands.w, [&](int64_t at) { return at == 2 ? near_one : 1.0F; });
    EXPECT_EQ(operands.product(pool, *kernel)[0], std::ldexp(1.0F, -11) + std::ldexp(1.0F, -24))
        << kernel->name;
  }
}

TEST_P(GemmF, TheSumIsNearTheExactOne) {
  Operands operands(GetParam(), {3, 20, 700});
  operands.fill_random(17, 0);
  std::vector<float> x(3 * 700), w(20 * 700);
  tensor::convert_to_f32(GetParam(), operands.x.data(), x.data(), 3 * 700);
  tensor::convert_to_f32(GetParam(), operands.w.data(), w.data(), 20 * 700);
  for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
    const std::vector<float> y = operands.product(pool_, *kernel);
    for (size_t i = 0; i < 3; ++i) {
      for (size_t j = 0; j < 20; ++j) {
        double sum = 0, size = 0;
        for (size_t k = 0; k < 700; ++k) {
          const double product = double{x[i * 700 + k]} * w[j * 700 + k];
          sum += product;
          size += std::abs(product);
        }
        EXPECT_NEAR(y[i * 20 + j], sum, size * 1e-6) << kernel->name;
      }
    }
  }
}

TEST_P(GemmF, InfinityAndNanReachTheirRowOrColumnAlone) {
  for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
    Operands operands(GetParam(), {5, 19, 45});
    operands.fill(operands.x, [](int64_t) { return 1.0F; });
    operands.fill(operands.w, [](int64_t) { return 2.0F; });
    operands.set(operands.x, 1 * 45 + 44, std::numeric_limits<float>::quiet_NaN());
    operands.set(operands.x, 2 * 45 + 3, std::numeric_limits<float>::infinity());
    operands.set(operands.w, 18 * 45 + 7, std::numeric_limits<float>::quiet_NaN());
    operands.set(operands.w, 17 * 45 + 8, -std::numeric_limits<float>::infinity());
    const std::vector<float> y = operands.product(pool_, *kernel);
    for (int64_t i = 0; i < 5; ++i) {
      for (int64_t j = 0; j < 19; ++j) {
        const float value = y[static_cast<size_t>(i * 19 + j)];
        const bool infinity_minus_infinity = i == 2 && j == 17;
        if (i == 1 || j == 18 || infinity_minus_infinity) {
          EXPECT_TRUE(std::isnan(value)) << kernel->name << " " << i << "," << j;
        } else if (i == 2 || j == 17) {
          EXPECT_EQ(value, i == 2 ? HUGE_VALF : -HUGE_VALF) << kernel->name << " " << i << "," << j;
        } else {
          EXPECT_EQ(value, 90.0F) << kernel->name << " " << i << "," << j;
        }
      }
    }
  }
}

TEST_P(GemmF, TheEpilogueIsOneFormulaAndTouchesNothingElse) {
  for (const Shape shape : {Shape{1, 1, 5}, {4, 16, 64}, {5, 19, 66}, {70, 33, 40}}) {
    Operands operands(GetParam(), shape);
    operands.fill_random(11, 2);
    const std::vector<float> sums = operands.product(pool_, select_gemm_f(Isa::kRef, GetParam()));
    const int64_t n = shape.n, stride = n + 3;
    for (const int form : {0, 1, 2, 3}) {
      const bool with_bias = (form & 1) != 0, accumulate = (form & 2) != 0;
      for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
        GuardedArray<float> y((shape.m - 1) * stride + n);
        for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) y[i] = static_cast<float>(i) * 0.37F;
        gemm_f(pool_, operands.x.data(), operands.pack(*kernel, with_bias), y.data(), shape.m, stride,
               accumulate);
        ASSERT_TRUE(y.front_is_intact());
        for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) {
          const int64_t row = i / stride, column = i % stride;
          const float before = static_cast<float>(i) * 0.37F;
          float expected = before;
          if (column < n) {
            expected = sums[static_cast<size_t>(row * n + column)];
            if (with_bias) expected += operands.bias[column];
            if (accumulate) expected += before;
          }
          ASSERT_TRUE(same_bits(&y[i], &expected, 1))
              << kernel->name << " " << text(shape) << " form " << form;
        }
      }
    }
  }
}

TEST_P(GemmF, ARowIsTheSameForEveryBatchAndNumberOfThreads) {
  const Shape shape{101, 150, 515};
  const auto [m, n, k] = shape;
  Operands operands(GetParam(), shape);
  operands.fill_random(23, 6);
  std::vector<float> expected;
  for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
    const GemmFWeights packed = operands.pack(*kernel, true);
    for (const int n_threads : {1, 2, 3}) {
      base::ThreadPool pool(n_threads);
      std::vector<float> y(static_cast<size_t>(m * n));
      gemm_f(pool, operands.x.data(), packed, y.data(), m, n, false);
      if (expected.empty()) expected = y;
      ASSERT_TRUE(same_bits(y.data(), expected.data(), y.size())) << kernel->name << " " << n_threads;
      for (const int64_t part : {1, 2, 4, 50}) {
        std::vector<float> few(static_cast<size_t>(part * n));
        const int64_t begin = m - part;
        gemm_f(pool, operands.x.data() + begin * k * operands.bytes, packed, few.data(), part, n, false);
        ASSERT_TRUE(same_bits(few.data(), expected.data() + begin * n, few.size()))
            << kernel->name << " " << part;
      }
    }
  }
}

TEST_P(GemmF, ProductsSideBySideAreThoseOfEachAlone) {
  Operands a(GetParam(), {5, 150, 70}), b(GetParam(), {5, 40, 70});
  a.fill_random(3, 6);
  b.fill_random(4, 6);
  for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
    const GemmFWeights wide = a.pack(*kernel, true), narrow = b.pack(*kernel, false);
    std::vector<float> alone(5 * 190), together(5 * 190);
    gemm_f(pool_, a.x.data(), wide, alone.data(), 5, 190, false);
    gemm_f(pool_, a.x.data(), narrow, alone.data() + 150, 5, 190, false);
    const GemmFProduct products[] = {{&wide, together.data(), 190}, {&narrow, together.data() + 150, 190}};
    gemm_f(pool_, a.x.data(), products, 5, false);
    EXPECT_EQ(together, alone) << kernel->name;
  }
}

TEST_P(GemmF, AnEmptyProductWritesNothing) {
  for (const auto* kernel : kernels_of_this_cpu(GetParam())) {
    for (const Shape shape : {Shape{0, 16, 8}, Shape{4, 0, 8}}) {
      Operands operands(GetParam(), shape);
      float y = 3;
      gemm_f(pool_, operands.x.data(), operands.pack(*kernel, false), &y, shape.m, shape.n, false);
      EXPECT_EQ(y, 3.0F);
    }
    Operands no_depth(GetParam(), {4, 17, 0});
    for (const float value : no_depth.product(pool_, *kernel)) EXPECT_EQ(std::bit_cast<uint32_t>(value), 0U);
  }
}

TEST_P(GemmF, SelectionTakesTheBestLineTheIsaAllows) {
  for (const Isa isa : cpu_isas()) {
    const GemmFKernel& kernel = select_gemm_f(isa, GetParam());
    EXPECT_EQ(kernel.dtype, GetParam());
    EXPECT_LE(kernel.isa, isa);
    EXPECT_TRUE(cpu_has(kernel.isa));
    for (const auto* other : kernels_of_this_cpu(GetParam())) {
      EXPECT_TRUE(other->isa > isa || other->isa <= kernel.isa) << gemm_f_kernel_name(kernel);
    }
  }
  EXPECT_EQ(select_gemm_f(Isa::kRef, GetParam()).isa, Isa::kRef);
}

}  // namespace
}  // namespace octavo::kernels
