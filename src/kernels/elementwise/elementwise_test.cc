#include "kernels/elementwise/elementwise.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/elementwise/free_order.h"
#include "kernels/elementwise/kernels.h"
#include "tensor/dtype.h"

namespace octavo::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kDenormal = 0x1p-130F;
constexpr RowForm kForms[] = {RowForm::kF32, RowForm::kBF16, RowForm::kS8};
constexpr int64_t kWidths[] = {1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 100, 257, 1024, 1037};
constexpr uint8_t kCanary = 0xA5;

size_t value_bytes(RowForm form) { return form == RowForm::kF32 ? 4 : form == RowForm::kBF16 ? 2 : 1; }

std::vector<float> random_values(int64_t n, uint32_t seed, float deviation = 1.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(generator);
  return values;
}

// Rows of every kind: ordinary, zero, with a non-finite value at either end, denormal, huge, tiny.
std::vector<float> rows_of_all_kinds(int64_t k, int64_t* m) {
  std::vector<float> x;
  const auto add_row = [&](float deviation, float first, float last) {
    std::vector<float> row = random_values(k, static_cast<uint32_t>(x.size() + 1), deviation);
    if (first != 0) row.front() = first;
    if (last != 0) row.back() = last;
    x.insert(x.end(), row.begin(), row.end());
  };
  for (const float deviation : {1.0F, 0.0F, 1e-41F, 1e-37F, 1e18F, 1e37F, 30.0F}) add_row(deviation, 0, 0);
  for (const float special : {kNan, kInf, -kInf, kDenormal, -88.5F, 1e-36F}) {
    add_row(1.0F, special, 0);
    add_row(1.0F, 0, special);
    add_row(0.0F, 0, special);
  }
  *m = static_cast<int64_t>(x.size()) / k;
  return x;
}

// A RowOut with memory, and canaries after it.
struct Output {
  Output(RowForm form, int64_t m, int64_t k)
      : n_bytes(static_cast<size_t>(m * k) * value_bytes(form)),
        bytes(n_bytes + 64, kCanary),
        scale(static_cast<size_t>(m) + 1, -1.0F),
        out{form, bytes.data(), scale.data()} {}

  void expect_canaries() const {
    for (size_t i = n_bytes; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], kCanary) << "byte " << i - n_bytes;
    EXPECT_EQ(scale.back(), -1.0F);
  }
  template <class T>
  T value(int64_t i) const {
    T t;
    std::memcpy(&t, bytes.data() + static_cast<size_t>(i) * sizeof(T), sizeof(T));
    return t;
  }

  size_t n_bytes;
  std::vector<uint8_t> bytes;
  std::vector<float> scale;
  RowOut out;
};

// Equal bits; of a NaN only that both are one.
bool same_f32(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}
void expect_same(const Output& a, const Output& b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    switch (a.out.form) {
      case RowForm::kF32:
        ASSERT_TRUE(same_f32(a.value<float>(i), b.value<float>(i))) << "value " << i;
        break;
      case RowForm::kBF16:
        ASSERT_TRUE(same_f32(tensor::f32_from_bf16(a.value<uint16_t>(i)),
                             tensor::f32_from_bf16(b.value<uint16_t>(i))))
            << "value " << i;
        break;
      case RowForm::kS8:
        ASSERT_EQ(a.value<int8_t>(i), b.value<int8_t>(i)) << "value " << i;
    }
  }
  for (size_t i = 0; i < a.scale.size(); ++i) ASSERT_TRUE(same_f32(a.scale[i], b.scale[i])) << "row " << i;
}

struct Operation {
  const char* name;
  void (*run)(base::ThreadPool& pool, Isa isa, const float* x, int64_t m, int64_t k, RowOut out);
};
const Operation kOperations[] = {
    {"rms_norm",
     [](base::ThreadPool& pool, Isa isa, const float* x, int64_t m, int64_t k, RowOut out) {
       const std::vector<float> weight = random_values(k, 77);
       rms_norm(pool, select_elementwise(isa), x, k, weight.data(), 1e-6F, m, k, out);
     }},
    {"silu_mul",
     [](base::ThreadPool& pool, Isa isa, const float* x, int64_t m, int64_t k, RowOut out) {
       const std::vector<float> up = random_values(m * k, 78);
       silu_mul(pool, select_elementwise(isa), x, up.data(), k, m, k, out);
     }},
    {"convert_rows", [](base::ThreadPool& pool, Isa isa, const float* x, int64_t m, int64_t k, RowOut out) {
       convert_rows(pool, select_elementwise(isa), x, k, m, k, out);
     }}};

TEST(Elementwise, EveryIsaWritesTheBitsOfRef) {
  base::ThreadPool pool(1);
  for (const Isa isa : cpu_isas()) {
    for (const Operation& operation : kOperations) {
      for (const int64_t k : kWidths) {
        int64_t m = 0;
        const std::vector<float> x = rows_of_all_kinds(k, &m);
        for (const RowForm form : kForms) {
          SCOPED_TRACE(testing::Message() << isa_name(isa) << " " << operation.name << " k " << k << " form "
                                          << static_cast<int>(form));
          Output expected(form, m, k), got(form, m, k);
          operation.run(pool, Isa::kRef, x.data(), m, k, expected.out);
          operation.run(pool, isa, x.data(), m, k, got.out);
          expect_same(expected, got, m * k);
          got.expect_canaries();
        }
      }
    }
  }
}

// A divisor for each of `k` columns, or for all of them.
std::vector<float> divisors(int64_t k, bool per_column) {
  std::vector<float> values = random_values(per_column ? k : 1, 79, 0.05F);
  for (float& value : values) value = 0.004F + std::abs(value);
  return values;
}

TEST(Elementwise, StaticCodesFollowTheFormulaOnEveryIsa) {
  base::ThreadPool pool(2);
  for (const Operation& operation : kOperations) {
    for (const int64_t k : kWidths) {
      int64_t m = 0;
      const std::vector<float> x = rows_of_all_kinds(k, &m);
      Output values(RowForm::kF32, m, k);
      operation.run(pool, Isa::kRef, x.data(), m, k, values.out);
      for (const bool per_column : {false, true}) {
        const std::vector<float> divisor = divisors(k, per_column);
        for (const int32_t zero_point : {-128, -3, 0, 127}) {
          const StaticCodes codes = {divisor.data(), per_column, zero_point, 0.25F};
          for (const Isa isa : cpu_isas()) {
            Output got(RowForm::kS8, m, k);
            got.out.static_codes = &codes;
            operation.run(pool, isa, x.data(), m, k, got.out);
            got.expect_canaries();
            for (int64_t i = 0; i < m; ++i) {
              bool is_finite = true;
              for (int64_t c = 0; c < k; ++c) is_finite &= std::isfinite(values.value<float>(i * k + c));
              const float scale = got.scale[static_cast<size_t>(i)];
              ASSERT_TRUE(is_finite ? scale == 0.25F : std::isnan(scale)) << operation.name << " row " << i;
              for (int64_t c = 0; c < k; ++c) {
                const double quotient =  // in fp32; beyond an int's range as well
                    values.value<float>(i * k + c) / divisor[per_column ? static_cast<size_t>(c) : 0];
                const double code = std::clamp(std::nearbyint(quotient) + zero_point, -128.0, 127.0);
                ASSERT_EQ(got.value<int8_t>(i * k + c), is_finite ? static_cast<int>(code) : 0)
                    << isa_name(isa) << " " << operation.name << " k " << k << " at " << i << "," << c;
              }
            }
          }
        }
      }
    }
  }
}

TEST(Elementwise, StaticCodesAreRoundedBeforeTheZeroPointIsAdded) {
  base::ThreadPool pool(1);
  const float inf = std::numeric_limits<float>::max();
  const std::vector<float> x = {0.5F, 1.5F, -0.5F, 2.5F, 126.5F, 254.0F, 255.0F, 256.5F, inf, -inf, -2.0F};
  const std::vector<int8_t> below = {-127, -125, -127, -125, -1, 127, 127, 127, 127, -128, -128};
  const std::vector<int8_t> above = {1, 3, 1, 3, 127, 127, 127, 127, 127, -128, -1};
  const float one = 1;
  for (const Isa isa : cpu_isas()) {
    std::vector<int8_t> codes(x.size());
    float scale = 0;
    StaticCodes fixed = {&one, false, -127, 3.0F};
    const auto run = [&] {
      convert_rows(pool, select_elementwise(isa), x.data(), 0, 1, static_cast<int64_t>(x.size()),
                   {RowForm::kS8, codes.data(), &scale, &fixed});
    };
    run();
    EXPECT_EQ(codes, below) << isa_name(isa);
    EXPECT_EQ(scale, 3.0F);
    fixed.zero_point = 1;
    run();
    EXPECT_EQ(codes, above) << isa_name(isa);
  }
}

TEST(Elementwise, ARowDoesNotDependOnOtherRowsOrThreads) {
  constexpr int64_t kRows = 37, kWidth = 1500;  // several tasks
  const std::vector<float> x = random_values(kRows * kWidth, 5, 3.0F);
  base::ThreadPool one(1), two(2), three(3);
  for (const Isa isa : cpu_isas()) {
    for (const RowForm form : kForms) {
      Output whole(form, kRows, kWidth);
      convert_rows(one, select_elementwise(isa), x.data(), kWidth, kRows, kWidth, whole.out);
      for (base::ThreadPool* pool : {&two, &three}) {
        Output again(form, kRows, kWidth);
        convert_rows(*pool, select_elementwise(isa), x.data(), kWidth, kRows, kWidth, again.out);
        expect_same(whole, again, kRows * kWidth);
      }
      for (const int64_t row : {int64_t{0}, int64_t{20}, kRows - 1}) {
        Output alone(form, 1, kWidth);
        convert_rows(one, select_elementwise(isa), x.data() + row * kWidth, kWidth, 1, kWidth, alone.out);
        EXPECT_EQ(std::memcmp(alone.bytes.data(),
                              whole.bytes.data() + static_cast<size_t>(row) * alone.n_bytes, alone.n_bytes),
                  0);
      }
    }
  }
}

TEST(Elementwise, RmsNormFollowsTheOrderOfTheHeader) {
  const base::FlushDenormals flush;
  base::ThreadPool pool(1);
  for (const int64_t k : kWidths) {
    const std::vector<float> x = random_values(k, 3, 2.0F), weight = random_values(k, 4);
    float partial[16] = {};
    for (int64_t i = 0; i < k; ++i) {
      float& s = partial[i % 16];
      s = std::fma(x[static_cast<size_t>(i)], x[static_cast<size_t>(i)], s);
    }
    for (const int half : {8, 4, 2, 1}) {
      for (int j = 0; j < half; ++j) partial[j] += partial[j + half];
    }
    const float r = 1.0F / std::sqrt(partial[0] / static_cast<float>(k) + 1e-5F);
    std::vector<float> y(static_cast<size_t>(k));
    rms_norm(pool, select_elementwise(Isa::kRef), x.data(), k, weight.data(), 1e-5F, 1, k,
             {RowForm::kF32, y.data(), nullptr});
    for (size_t i = 0; i < y.size(); ++i) {
      const float scaled = x[i] * r;
      ASSERT_EQ(y[i], scaled * weight[i]) << "k " << k << " value " << i;
    }
  }
}

TEST(Elementwise, RmsNormWorksInPlaceAndWithARowStride) {
  constexpr int64_t kRows = 5, kWidth = 24, kStride = 40;
  const std::vector<float> x = random_values(kRows * kStride, 9), weight = random_values(kWidth, 10);
  base::ThreadPool pool(1);
  for (const Isa isa : cpu_isas()) {
    const ElementwiseKernels& kernels = select_elementwise(isa);
    std::vector<float> strided(kRows * kWidth), in_place(kRows * kWidth);
    rms_norm(pool, kernels, x.data(), kStride, weight.data(), 1e-6F, kRows, kWidth,
             {RowForm::kF32, strided.data(), nullptr});
    for (int64_t i = 0; i < kRows; ++i) {
      std::copy_n(x.data() + i * kStride, kWidth, in_place.data() + i * kWidth);
    }
    rms_norm(pool, kernels, in_place.data(), kWidth, weight.data(), 1e-6F, kRows, kWidth,
             {RowForm::kF32, in_place.data(), nullptr});
    EXPECT_EQ(strided, in_place);
  }
}

TEST(Elementwise, CodesAreRoundedHalfToEvenFromATrueDivision) {
  base::ThreadPool pool(1);
  const std::vector<float> x = {127.0F, 0.5F,    1.5F,    2.5F,        -0.5F,
                                -1.5F,  -126.5F, -125.5F, 0.49999997F, -127.0F};
  const std::vector<int8_t> expected = {127, 0, 2, 2, 0, -2, -126, -126, 0, -127};
  for (const Isa isa : cpu_isas()) {
    std::vector<int8_t> codes(x.size());
    float scale = 0;
    convert_rows(pool, select_elementwise(isa), x.data(), 0, 1, static_cast<int64_t>(x.size()),
                 {RowForm::kS8, codes.data(), &scale});
    EXPECT_EQ(scale, 1.0F);
    EXPECT_EQ(codes, expected);
  }
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> row = random_values(200, seed, std::exp2(static_cast<float>(seed) - 25.0F));
    std::vector<int8_t> codes(row.size());
    float scale = 0, absmax = 0;
    convert_rows(pool, select_elementwise(Isa::kRef), row.data(), 0, 1, 200,
                 {RowForm::kS8, codes.data(), &scale});
    for (const float value : row) absmax = std::max(absmax, std::abs(value));
    ASSERT_EQ(scale, absmax / 127.0F);
    for (size_t i = 0; i < row.size(); ++i) ASSERT_EQ(codes[i], std::nearbyint(row[i] / scale));
  }
}

TEST(Elementwise, RowsWithoutAScaleAreMarked) {
  base::ThreadPool pool(1);
  for (const Isa isa : cpu_isas()) {
    for (const int64_t k : kWidths) {
      for (const float special : {kNan, -kNan, kInf, -kInf}) {
        std::vector<float> x = random_values(k, 1);
        x[static_cast<size_t>(k) / 2] = special;
        std::vector<int8_t> codes(x.size(), 1);
        float scale = 0;
        convert_rows(pool, select_elementwise(isa), x.data(), k, 1, k, {RowForm::kS8, codes.data(), &scale});
        EXPECT_TRUE(std::isnan(scale));
        EXPECT_EQ(codes, std::vector<int8_t>(x.size(), 0));
      }
      for (const float tiny : {0.0F, -0.0F, kDenormal, 0x1p-120F}) {
        const std::vector<float> x(static_cast<size_t>(k), tiny);
        std::vector<int8_t> codes(x.size(), 1);
        float scale = 0;
        convert_rows(pool, select_elementwise(isa), x.data(), k, 1, k, {RowForm::kS8, codes.data(), &scale});
        EXPECT_EQ(scale, 1.0F);
        EXPECT_EQ(codes, std::vector<int8_t>(x.size(), 0));
      }
      const std::vector<float> smallest(static_cast<size_t>(k), 0x1p-119F);
      std::vector<int8_t> codes(smallest.size());
      float scale = 0;
      convert_rows(pool, select_elementwise(isa), smallest.data(), k, 1, k,
                   {RowForm::kS8, codes.data(), &scale});
      EXPECT_EQ(codes, std::vector<int8_t>(smallest.size(), 127));
    }
  }
}

TEST(Elementwise, Bf16RowsAreTheTensorConversion) {
  base::ThreadPool pool(1);
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 65521) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  for (const uint32_t bits : {0x7f800001U, 0xff800001U, 0x7fffffffU, 0x3f808000U, 0x3f818000U, 0x7f7fffffU}) {
    x.push_back(std::bit_cast<float>(bits));
  }
  for (const Isa isa : cpu_isas()) {
    std::vector<uint16_t> y(x.size());
    convert_rows(pool, select_elementwise(isa), x.data(), 0, 1, static_cast<int64_t>(x.size()),
                 {RowForm::kBF16, y.data(), nullptr});
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], tensor::bf16_from_f32(x[i])) << x[i];
  }
}

TEST(Elementwise, SiluIsCloseToDouble) {
  base::ThreadPool pool(1);
  for (const Isa isa : cpu_isas()) {
    std::vector<float> gate;
    for (float g = -86.0F; g < 86.0F; g += 0.0137F) gate.push_back(g);
    const std::vector<float> up(gate.size(), 1.0F);
    std::vector<float> y(gate.size());
    silu_mul(pool, select_elementwise(isa), gate.data(), up.data(), 0, 1, static_cast<int64_t>(gate.size()),
             {RowForm::kF32, y.data(), nullptr});
    for (size_t i = 0; i < gate.size(); ++i) {
      const double g = gate[i];
      const double expected = g / (1 + std::exp(-g));
      ASSERT_NEAR(y[i], expected, 3e-7 * std::abs(expected)) << g;
    }
  }
}

TEST(Elementwise, RopeRotatesAndEveryIsaAgrees) {
  for (const int64_t head_dim : {2, 8, 10, 16, 30, 32, 34, 64, 128}) {
    constexpr int64_t kRows = 9, kHeads = 3;
    const int64_t stride = kHeads * head_dim + 5, half = head_dim / 2;
    const std::vector<float> x = random_values(kRows * stride, 21);
    std::vector<float> cosine, sine;
    for (int64_t i = 0; i < kRows * half; ++i) {
      cosine.push_back(std::cos(static_cast<float>(i)));
      sine.push_back(std::sin(static_cast<float>(i)));
    }
    std::vector<float> expected = x;
    for (int64_t i = 0; i < kRows; ++i) {
      for (int64_t h = 0; h < kHeads; ++h) {
        for (int64_t d = 0; d < half; ++d) {
          const auto low = static_cast<size_t>(i * stride + h * head_dim + d);
          const size_t high = low + static_cast<size_t>(half);
          const float c = cosine[static_cast<size_t>(i * half + d)],
                      s = sine[static_cast<size_t>(i * half + d)];
          const float low_c = x[low] * c, high_s = x[high] * s, high_c = x[high] * c, low_s = x[low] * s;
          expected[low] = low_c - high_s;
          expected[high] = high_c + low_s;
        }
      }
    }
    for (const Isa isa : cpu_isas()) {
      std::vector<float> y = x;  // what lies between the rows must stay
      for (int64_t i = 0; i < kRows; ++i) {
        select_elementwise(isa).rope(y.data() + i * stride, kHeads, head_dim, cosine.data() + i * half,
                                     sine.data() + i * half);
      }
      ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0) << head_dim;
    }
  }
}

TEST(Elementwise, AddAddsAllAndNoMore) {
  base::ThreadPool pool(3);
  for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{15}, int64_t{33}, int64_t{16384}, int64_t{40001}}) {
    const std::vector<float> x = random_values(n + 16, 1), y = random_values(n + 16, 2);
    for (const Isa isa : cpu_isas()) {
      std::vector<float> sum = y;
      add(pool, select_elementwise(isa), x.data(), sum.data(), n);
      for (int64_t i = 0; i < n + 16; ++i) {
        const auto at = static_cast<size_t>(i);
        ASSERT_EQ(sum[at], i < n ? x[at] + y[at] : y[at]);
      }
    }
  }
}

TEST(Elementwise, DenormalsAreFlushedOnEveryThreadAndTheCallers) {
  for (const int n_threads : {1, 3}) {
    base::ThreadPool pool(n_threads);
    for (const Isa isa : cpu_isas()) {
      const std::vector<float> x(200000, kDenormal);
      std::vector<float> y(x.size(), kDenormal);
      add(pool, select_elementwise(isa), x.data(), y.data(), static_cast<int64_t>(x.size()));
      EXPECT_EQ(y, std::vector<float>(x.size(), 0.0F)) << isa_name(isa);
    }
  }
}

TEST(Exp, IsWithinOneUlpOverAllFloatsAndTheSameOnEveryIsa) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 9973) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  for (float v = -87.4F; v < 88.8F; v += 0.00173F) x.push_back(v);
  std::vector<float> expected(x.size());
  exp_values(select_elementwise(Isa::kRef), x.data(), expected.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    if (std::isnan(x[i])) {
      ASSERT_TRUE(std::isnan(expected[i]));
    } else if (exact < 0x1p-126) {
      ASSERT_EQ(expected[i], 0.0F) << x[i];
    } else if (exact >= 0x1.ffffffp+127) {
      ASSERT_EQ(expected[i], kInf) << x[i];
    } else {
      int exponent = 0;
      std::frexp(exact, &exponent);
      ASSERT_LT(std::abs(expected[i] - exact), std::ldexp(0.9, exponent - 24)) << x[i];
    }
  }
  for (const Isa isa : cpu_isas()) {
    std::vector<float> y(x.size());
    exp_values(select_elementwise(isa), x.data(), y.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) ASSERT_TRUE(same_f32(expected[i], y[i])) << isa_name(isa) << x[i];
  }
}

TEST(Exp, EdgesAreExact) {
  const std::vector<float> x = {
      0.0F,           -0.0F,           -kInf,           kInf,      0x1.62e42ep+6F,
      0x1.62e430p+6F, -0x1.5d589ep+6F, -0x1.5d58a0p+6F, kDenormal, std::numeric_limits<float>::max()};
  for (const Isa isa : cpu_isas()) {
    std::vector<float> y(x.size());
    exp_values(select_elementwise(isa), x.data(), y.data(), static_cast<int64_t>(x.size()));
    EXPECT_EQ(y[0], 1.0F);
    EXPECT_EQ(y[1], 1.0F);
    EXPECT_EQ(y[2], 0.0F);
    EXPECT_EQ(y[3], kInf);
    EXPECT_NEAR(y[4], 3.4028e38F, 1e34F);
    EXPECT_EQ(y[5], kInf);
    EXPECT_GE(y[6], std::numeric_limits<float>::min());
    EXPECT_EQ(y[7], 0.0F);
    EXPECT_EQ(y[8], 1.0F);
    EXPECT_EQ(y[9], kInf);
  }
}

// What the cost of the order is measured against must be the same norm.
TEST(ElementwiseFreeOrder, DiffersFromTheCanonicalOrderInItsRoundingsAlone) {
  for (const Isa isa : cpu_isas()) {
    const ElementwiseKernels* free_order = free_order_elementwise(isa);
    EXPECT_EQ(free_order == nullptr, isa == Isa::kRef);
    if (free_order == nullptr) continue;
    for (const int64_t k : kWidths) {
      const std::vector<float> x = random_values(k, 1), weight = random_values(k, 2);
      std::vector<float> want(x.size()), got(x.size());
      select_elementwise(isa).rms_norm(x.data(), weight.data(), 1e-6F, k,
                                       {RowForm::kF32, want.data(), nullptr});
      free_order->rms_norm(x.data(), weight.data(), 1e-6F, k, {RowForm::kF32, got.data(), nullptr});
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_NEAR(got[i], want[i], 1e-5 * std::fabs(want[i]) + 1e-30) << k;
    }
  }
}

}  // namespace
}  // namespace octavo::kernels
