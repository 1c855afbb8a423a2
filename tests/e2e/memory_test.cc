// Quantizing holds one decoder layer, the embedding and the calibration states, whatever the number of
// layers.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/test_environment.h"
#include "program.h"

namespace octavo::e2e {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST(Memory, TwelveAndThirtySixLayersQuantizeUnderOneLimit) {
  if (base::kSanitized) GTEST_SKIP() << "a sanitizer's shadow memory does not fit under RLIMIT_DATA";
  const TemporaryFolder folder;
  const std::string calibration = "text:" OCTAVO_SOURCE_DIR "/tests/data/prose.txt";
  // A layer of this width is 6.4 MiB of bf16: 36 of them alone would not fit under the limit, let alone as
  // fp32.
  RunOptions limited;
  limited.data_limit_bytes = 80 * kMiB;
  for (const char* n_layers : {"12", "36"}) {
    const std::string source = folder / std::string("model-") + n_layers;
    const Outcome made =
        run_program(OCTAVO_MAKE_SYNTHETIC, {demo_model(), source, "--layers", n_layers, "--width", "512"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    const Outcome quantized = run_octavo({"quantize", source, "-o", source + "-w8a8", "--calib", calibration,
                                          "--samples", "4", "--length", "64", "--threads", "2", "--json"},
                                         limited);
    ASSERT_EQ(quantized.exit_code, 0) << n_layers << " layers: " << quantized.err;
    const base::Json report = json_of(quantized.out);
    std::printf("%s layers: %lld MiB of weights, at most %lld MiB resident, limit %llu MiB\n", n_layers,
                static_cast<long long>(report.find("source_bytes")->as_int() >> 20),
                static_cast<long long>(report.find("peak_resident_bytes")->as_int() >> 20),
                static_cast<unsigned long long>(limited.data_limit_bytes / kMiB));
    if (std::string_view(n_layers) == "36") {
      EXPECT_GT(report.find("source_bytes")->as_int(), static_cast<int64_t>(limited.data_limit_bytes));
    }
    std::filesystem::remove_all(source);
  }
}

TEST(Memory, ALimitThatIsTooSmallIsAnErrorAndLeavesNothing) {
  if (base::kSanitized) GTEST_SKIP() << "a sanitizer's shadow memory does not fit under RLIMIT_DATA";
  const TemporaryFolder folder;
  RunOptions limited;
  limited.data_limit_bytes = 12 * kMiB;
  const Outcome outcome = run_octavo(
      {"quantize", demo_model(), "-o", folder / "w8a8", "--recipe", "rtn-w8a8", "--threads", "1"}, limited);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("memory"), std::string::npos) << outcome.err;
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace octavo::e2e
