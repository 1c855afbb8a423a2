#include "cli/progress_bar.h"

#include <gtest/gtest.h>

namespace octavo::cli {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

TEST(ProgressBar, ShowsShareTimeLeftAndMemory) {
  EXPECT_EQ(draw_bar("layer 9/36 smooth", 9, 36, 30, 3 * kGiB, 120),
            "[######..................] 25 %, 1 min 30 s left, 3.0 GiB resident  layer 9/36 smooth");
}

TEST(ProgressBar, BeginningAndEndHaveNoTimeLeft) {
  EXPECT_EQ(draw_bar("open", 0, 10, 5, kGiB, 120), "[........................] 0 %, 1.0 GiB resident  open");
  EXPECT_EQ(draw_bar("done", 10, 10, 5, kGiB, 120),
            "[########################] 100 %, 1.0 GiB resident  done");
  EXPECT_EQ(draw_bar("open", 0, 0, 5, kGiB, 120), "[........................] 0 %, 1.0 GiB resident  open");
}

TEST(ProgressBar, NeverFillsTheLineNorCutsACharacter) {
  for (int columns = 0; columns < 100; ++columns) {
    EXPECT_LT(draw_bar("Schicht übergroß übergroß übergroß", 1, 3, 7, kGiB, columns).size(),
              static_cast<size_t>(columns) + (columns == 0 ? 1 : 0));
  }
  const std::string line = draw_bar("übergroß", 1, 3, 7, kGiB, 74);
  EXPECT_EQ(line.substr(line.size() - 8), "übergro");
}

}  // namespace
}  // namespace octavo::cli
