#include "octavo/quantize.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "data/ceval.h"
#include "model/test_checkpoint.h"

namespace octavo {
namespace {

TEST(QuantizeReport, TellsTheCevalSplitThatWasReallyUsed) {
  const model::TempFolder folder;
  const std::string dev = folder.path() + "/ceval/dev";
  std::filesystem::create_directories(dev);
  for (const data::CevalSubject& subject : data::ceval_subjects()) {
    const std::string path = dev + "/" + subject.name + "_dev.csv";
    ASSERT_TRUE(base::write_file_atomic(path, "id,question,A,B,C,D,answer\n0,one?,1,2,3,4,A\n").ok());
  }
  QuantizeOptions options;
  options.source = std::string(OCTAVO_SOURCE_DIR) + "/models/demo";
  options.target = folder.path() + "/out";
  options.recipe = folder.path() + "/one_strength.yaml";
  ASSERT_TRUE(base::write_file_atomic(options.recipe, "smooth: {strengths: [0.5]}\n").ok());
  options.calibration = "ceval:" + folder.path() + "/ceval";
  options.n_samples = 4;
  options.n_threads = 1;
  const auto report = quantize(options);
  ASSERT_TRUE(report.ok()) << report.status().message();
  const base::Json tree = base::parse_json(report->json).value();
  EXPECT_EQ(*tree.find("calibration")->find("split"), base::Json("dev"));
  EXPECT_EQ(tree.find("calibration")->find("subjects")->as_object().size(), 4U);
  EXPECT_EQ(*tree.find("recipe")->find("name"), base::Json("one_strength"));
}

}  // namespace
}  // namespace octavo
