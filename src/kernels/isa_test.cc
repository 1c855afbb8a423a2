#include "kernels/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace octavo::kernels {
namespace {

const std::vector<Isa> kSome = {Isa::kRef, Isa::kAvx2, Isa::kAvx512Vnni};

TEST(Isa, TheBestIsChosenUnlessForced) {
  EXPECT_EQ(*choose_isa(std::nullopt, kSome), Isa::kAvx512Vnni);
  EXPECT_EQ(*choose_isa("", kSome), Isa::kAvx512Vnni);
  EXPECT_EQ(*choose_isa(std::nullopt, {Isa::kRef}), Isa::kRef);
  for (const Isa isa : kSome) EXPECT_EQ(*choose_isa(isa_name(isa), kSome), isa);
}

TEST(Isa, ForcingWhatIsMissingIsAnErrorAndNeverAFallback) {
  for (const Isa isa : {Isa::kAvxVnni, Isa::kAmx}) {
    const Result<Isa> chosen = choose_isa(isa_name(isa), kSome);
    ASSERT_FALSE(chosen.ok());
    EXPECT_EQ(chosen.status().code(), StatusCode::kUnsupported);
    EXPECT_NE(chosen.status().message().find("ref, avx2, avx512vnni"), std::string::npos)
        << chosen.status().message();
  }
}

TEST(Isa, AnUnknownNameListsTheNamesThereAre) {
  for (const char* name : {"avx", "AVX2", " avx2", "avx2,amx", "native"}) {
    const Result<Isa> chosen = choose_isa(name, kSome);
    ASSERT_FALSE(chosen.ok()) << name;
    EXPECT_EQ(chosen.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(chosen.status().message().find("ref, avx2, avxvnni, avx512vnni, amx"), std::string::npos)
        << chosen.status().message();
  }
}

TEST(Isa, DetectionIsConsistent) {
  const std::vector<Isa> isas = cpu_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::kRef);
  for (size_t i = 0; i < isas.size(); ++i) {
    EXPECT_TRUE(cpu_has(isas[i]));
    EXPECT_TRUE(i == 0 || isas[i - 1] < isas[i]);
  }
}

TEST(Isa, ActiveFollowsTheEnvironment) {
  const char* forced = std::getenv("OCTAVO_ISA");
  const Result<Isa> active = active_isa();
  if (!active.ok()) {
    ASSERT_NE(forced, nullptr) << active.status().message();
  } else {
    EXPECT_TRUE(cpu_has(*active));
    EXPECT_STREQ(isa_name(*active), forced && *forced ? forced : isa_name(cpu_isas().back()));
  }
}

}  // namespace
}  // namespace octavo::kernels
