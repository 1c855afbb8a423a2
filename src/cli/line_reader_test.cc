#include "cli/line_reader.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/hash.h"

namespace octavo::cli {
namespace {

struct Kept {
  std::string text;
  uint64_t hash, begin, end;
  bool is_too_long, has_end;
};

std::vector<Kept> lines_of(const std::string& bytes, size_t max_line_bytes = 100) {
  std::string path = (std::filesystem::temp_directory_path() / "octavo-lines-XXXXXX").string();
  const int fd = mkstemp(path.data());
  EXPECT_GE(fd, 0);
  EXPECT_TRUE(base::write_file_atomic(path, bytes).ok());
  std::vector<Kept> kept;
  const auto file = base::InputFile::open(path);
  EXPECT_TRUE(file.ok());
  LineReader reader(*file, max_line_bytes);
  Line line;
  for (;;) {
    const auto is_there = reader.next(line);
    EXPECT_TRUE(is_there.ok());
    if (!is_there.ok() || !*is_there) break;
    EXPECT_EQ(line.number, kept.size() + 1);
    kept.push_back({std::string(line.text), line.hash, line.begin, line.end, line.is_too_long, line.has_end});
  }
  std::filesystem::remove(path);
  return kept;
}

uint64_t hash_of(const std::string& text) { return base::Hash().add(text).value(); }

TEST(LineReader, EndsOfLines) {
  const auto lines = lines_of("a\nb\r\n\n c\rd\r\n\r\nlast");
  ASSERT_EQ(lines.size(), 6U);
  const std::vector<std::string> expected = {"a", "b", "", " c\rd", "", "last"};
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].text, expected[i]);
    EXPECT_EQ(lines[i].hash, hash_of(expected[i]));
    EXPECT_EQ(lines[i].has_end, i != 5);
    EXPECT_EQ(lines[i].begin, i > 0 ? lines[i - 1].end : 0U);
  }
  EXPECT_EQ(lines.back().end, 18U);
}

TEST(LineReader, NothingAndAByteOrderMark) {
  EXPECT_TRUE(lines_of("").empty());
  EXPECT_TRUE(lines_of("\xEF\xBB\xBF").empty());
  ASSERT_EQ(lines_of("\xEF\xBB\xBFx\n").size(), 1U);
  EXPECT_EQ(lines_of("\xEF\xBB\xBFx\n")[0].text, "x");
  EXPECT_EQ(lines_of("\n").size(), 1U);
}

// Lines that end at, before and after the buffer's end, "\r" and "\n" apart included.
TEST(LineReader, AcrossBuffers) {
  constexpr size_t kBuffer = size_t{1} << 20;
  for (size_t length = kBuffer - 2; length <= kBuffer + 2; ++length) {
    const std::string text(length, 'x');
    const auto lines = lines_of(text + "\r\nnext", 4 * kBuffer);
    ASSERT_EQ(lines.size(), 2U) << length;
    EXPECT_EQ(lines[0].text, text);
    EXPECT_EQ(lines[0].hash, hash_of(text));
    EXPECT_EQ(lines[1].text, "next");
  }
}

TEST(LineReader, ALongLineIsCutButHashedWhole) {
  const std::string text = std::string(100, 'x') + "end";
  const auto lines = lines_of(text + "\nnext\n" + std::string(100, 'y') + "\n");
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[0].is_too_long);
  EXPECT_EQ(lines[0].text.size(), 100U);
  EXPECT_EQ(lines[0].hash, hash_of(text));
  EXPECT_EQ(lines[1].text, "next");
  EXPECT_FALSE(lines[2].is_too_long);
}

}  // namespace
}  // namespace octavo::cli
