// The static recipe in both formats, and Golden Stick's layouts, through the program: inspected, run,
// compared.
#include <gtest/gtest.h>

#include <filesystem>

#include "program.h"

namespace octavo::e2e {
namespace {

using base::Json;

std::string golden_stick(const std::string& layout) {
  return std::string(OCTAVO_SOURCE_DIR) + "/tests/golden/golden-stick/" + layout;
}

Json inspected(const std::string& folder) {
  const Outcome outcome = run_octavo({"inspect", folder, "--json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return json_of(outcome.out);
}

TEST(StaticInputs, EveryGoldenStickLayoutIsInspected) {
  for (const std::string layout : {"a", "a-fused", "b-ascend", "b-none", "b-smoothed", "c"}) {
    const Json report = inspected(golden_stick(layout));
    EXPECT_EQ(*report.find("healthy"), Json(true)) << layout << ": " << report.find("problems")->dump();
    EXPECT_EQ(*report.find("runnable"), Json(true)) << layout;
    const Json& quantization = *report.find("quantization");
    const std::string name = layout == "c" ? "ascend" : "golden-stick";
    EXPECT_EQ(*quantization.find("method"), Json(name));
    EXPECT_EQ(*quantization.find("description"), Json(name + " w8a8 static and dynamic"));
    EXPECT_EQ(*quantization.find("n_int8_linears"), Json(7)) << layout;
    EXPECT_EQ(*quantization.find("input_strategy"), Json("static per tensor, dynamic per token"));
  }
  const Outcome text = run_octavo({"inspect", golden_stick("a")});
  EXPECT_NE(text.out.find("golden-stick w8a8 static and dynamic"), std::string::npos) << text.out;
}

TEST(StaticInputs, WhatIsQuantizedIsNotQuantizedAgain) {
  const TemporaryFolder folder;
  for (const char* layout : {"a", "b-none", "c"}) {
    const Outcome outcome =
        run_octavo({"quantize", golden_stick(layout), "-o", folder / "target", "--recipe", "rtn-w8a8"});
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_NE(outcome.err.find("already quantized"), std::string::npos) << outcome.err;
  }
}

TEST(StaticInputs, ADescriptionOfWhatCannotRunIsNamed) {
  const TemporaryFolder folder;
  const std::string copy = folder / "model", file = copy + "/quantization_description.json";
  std::filesystem::copy(golden_stick("b-none"), copy);
  std::string types = read_text(file);
  const std::string type = "W8A8_DYNAMIC";
  types.replace(types.find(type), type.size(), "W4A16");
  write_text(file, types);
  const Json report = inspected(copy);
  EXPECT_EQ(*report.find("runnable"), Json(false));
  EXPECT_NE(report.find("not_runnable_reason")->as_string().find("'W4A16'"), std::string::npos);
}

TEST(StaticInputs, TheRecipeIsWrittenReadAndRunInBothFormats) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 60; ++i) text += "Chapter " + std::to_string(i) + ". The old gentleman said nothing.\n";
  write_text(folder / "calibration.txt", text);
  write_text(folder / "text.txt", "Chapter 7. The old gentleman walked down the street and said nothing.");
  for (const std::string format : {"compressed-tensors", "golden-stick"}) {
    const std::string target = folder / format;
    const Outcome quantized = run_octavo(
        {"quantize", demo_model(), "-o", target, "--recipe", "w8a8-smoothquant", "--format", format,
         "--calib", "text:" + folder / "calibration.txt", "--samples", "4", "--length", "64"});
    ASSERT_EQ(quantized.exit_code, 0) << quantized.err;
    const Json report = inspected(target);
    EXPECT_EQ(*report.find("runnable"), Json(true)) << report.dump();
    EXPECT_EQ(*report.find("quantization")->find("description"), Json(format + " w8a8 static and dynamic"));
    const Outcome compared =
        run_octavo({"eval", target, "--text", folder / "text.txt", "--against", demo_model(), "--json"});
    ASSERT_EQ(compared.exit_code, 0) << compared.err;
    const double kl = json_of(compared.out).find("against")->find("kl")->find("mean")->as_double();
    EXPECT_GT(kl, 0) << format;
    EXPECT_LT(kl, 0.1) << format;
  }
}

}  // namespace
}  // namespace octavo::e2e
