#include "base/append_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"

namespace octavo::base {
namespace {

class AppendFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "octavo-append-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ + "/journal";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_, path_;
};

TEST_F(AppendFileTest, GrowsAndIsReadBackByTheNextOwner) {
  {
    auto file = AppendFile::open(path_);
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_TRUE(file->append("one\n").ok());
    EXPECT_TRUE(file->append("two\n").ok());
    EXPECT_TRUE(file->sync().ok());
  }
  auto file = AppendFile::open(path_);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size_bytes(), 8U);
  std::string text(4, '\0');
  EXPECT_TRUE(file->read(4, text.data(), 4).ok());
  EXPECT_EQ(text, "two\n");
  EXPECT_FALSE(file->read(6, text.data(), 4).ok());
  EXPECT_TRUE(file->cut(3).ok());
  EXPECT_TRUE(file->append("!").ok());
  EXPECT_EQ(*read_file(path_), "one!");
}

TEST_F(AppendFileTest, OneOwnerAtATime) {
  auto first = AppendFile::open(path_);
  ASSERT_TRUE(first.ok());
  const auto second = AppendFile::open(path_);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find("in use by another process"), std::string::npos);
}

TEST_F(AppendFileTest, AnEmptyFileGoesWithItsOwner) {
  { ASSERT_TRUE(AppendFile::open(path_).ok()); }
  EXPECT_FALSE(path_exists(path_));
}

TEST_F(AppendFileTest, RefusesWhatIsNoRegularFile) {
  EXPECT_FALSE(AppendFile::open(folder_).ok());
  EXPECT_FALSE(AppendFile::open("/dev/null").ok());
  EXPECT_FALSE(AppendFile::open(folder_ + "/no/such").ok());
}

TEST_F(AppendFileTest, AFullDiskLeavesWhatWasThere) {
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  auto file = AppendFile::open(path_);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->append("whole\n").ok());
  const rlimit small{8, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = file->append("does not fit\n");
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, ignored);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
  EXPECT_EQ(*read_file(path_), "whole\n");
}

}  // namespace
}  // namespace octavo::base
