#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace octavo::base {
namespace {

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/octavo-file-test-é中-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    ASSERT_EQ(std::system(("chmod -R u+w '" + folder_ + "'; rm -rf '" + folder_ + "'").c_str()), 0);
  }
  std::string path(const std::string& name) const { return join_path(folder_, name); }
  std::string folder_;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(FileTest, WritesAndReads) {
  ASSERT_TRUE(write_file_atomic(path("a"), "hello").ok());
  EXPECT_EQ(*read_file(path("a")), "hello");
  ASSERT_TRUE(write_file_atomic(path("a"), "").ok());
  EXPECT_EQ(*read_file(path("a")), "");
  EXPECT_EQ(*list_folder(folder_), std::vector<std::string>{"a"});
}

TEST_F(FileTest, RefusesWhatIsNoRegularFileWithoutHanging) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const auto error_of = [](const std::string& name) {
    const auto file = InputFile::open(name);
    return file.ok() ? "opened" : file.status().message();
  };
  EXPECT_TRUE(contains(error_of(path("fifo")), "found a FIFO"));
  EXPECT_TRUE(contains(error_of("/dev/zero"), "found a device"));
  EXPECT_TRUE(contains(error_of(folder_), "found a folder"));
  EXPECT_EQ(InputFile::open(path("none")).status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(InputFile::open("").ok());
  EXPECT_TRUE(contains(error_of(std::string("a\0b", 3)), "NUL"));
}

TEST_F(FileTest, ReadsAreExactOrNamed) {
  ASSERT_TRUE(write_file_atomic(path("a"), "0123456789").ok());
  const auto file = InputFile::open(path("a"));
  ASSERT_TRUE(file.ok());
  char bytes[10] = {};
  ASSERT_TRUE(file->read(3, bytes, 4).ok());
  EXPECT_EQ(std::string(bytes, 4), "3456");
  EXPECT_TRUE(file->read(10, bytes, 0).ok());
  const std::string message = file->read(8, bytes, 4).message();
  EXPECT_TRUE(contains(message, "'" + path("a") + "' is truncated: expected 4 bytes at offset 8, found 2"))
      << message;
  EXPECT_FALSE(file->read(UINT64_MAX, bytes, 2).ok());
  EXPECT_FALSE(file->read(4, bytes, UINT64_MAX).ok());
  ASSERT_EQ(::truncate(path("a").c_str(), 5), 0);  // cut short while open
  EXPECT_EQ(file->read(3, bytes, 4).code(), StatusCode::kCorrupt);
}

TEST_F(FileTest, ReadFileHasALimit) {
  ASSERT_TRUE(write_file_atomic(path("a"), "0123456789").ok());
  EXPECT_EQ(read_file(path("a"), 9).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(read_file(path("a"), 10).ok());
}

TEST_F(FileTest, WithoutCommitTheOldFileStays) {
  ASSERT_TRUE(write_file_atomic(path("a"), "old").ok());
  {
    auto file = AtomicFile::create(path("a"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("new", 3).ok());
  }
  EXPECT_EQ(*read_file(path("a")), "old");
  EXPECT_EQ(list_folder(folder_)->size(), 1u);
  auto file = AtomicFile::create(path("a"));
  ASSERT_TRUE(file->write("new", 3).ok());
  ASSERT_TRUE(file->commit().ok());
  EXPECT_FALSE(file->write("x", 1).ok());
  EXPECT_FALSE(file->commit().ok());
  EXPECT_EQ(*read_file(path("a")), "new");
}

TEST_F(FileTest, WritesAtOffsets) {
  auto file = AtomicFile::create(path("a"));
  ASSERT_TRUE(file->write("ab", 2).ok());
  ASSERT_TRUE(file->write_at(5, "f", 1).ok());
  ASSERT_TRUE(file->write("cd", 2).ok());
  ASSERT_TRUE(file->commit().ok());
  EXPECT_FALSE(file->write_at(0, "x", 1).ok());
  EXPECT_EQ(*read_file(path("a")), std::string("abcd\0f", 6));
}

TEST_F(FileTest, CreateNamesWhatIsInTheWay) {
  EXPECT_EQ(AtomicFile::create(path("no/such/folder")).status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(AtomicFile::create(folder_).ok());
}

TEST_F(FileTest, AReadOnlyFolderIsNamed) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write to a read-only folder";
  ASSERT_EQ(::chmod(folder_.c_str(), 0500), 0);
  EXPECT_TRUE(contains(AtomicFile::create(path("a")).status().message(), "Permission denied"));
}

TEST_F(FileTest, AFullDiskIsNamedAndLeavesNothing) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = write_file_atomic(path("a"), std::string(5000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(contains(status.message(), path("a"))) << status.message();
  EXPECT_TRUE(list_folder(folder_)->empty());
}

TEST_F(FileTest, FolderAppearsWhole) {
  {
    const auto dropped = AtomicFolder::create(path("model"));
    ASSERT_TRUE(dropped.ok());
    ASSERT_TRUE(write_file_atomic(join_path(dropped->temporary_path(), "a"), "1").ok());
    EXPECT_FALSE(path_exists(path("model")));
  }
  EXPECT_TRUE(list_folder(folder_)->empty());
  auto folder = AtomicFolder::create(path("model") + "//");
  ASSERT_TRUE(folder.ok());
  ASSERT_TRUE(write_file_atomic(join_path(folder->temporary_path(), "a"), "1").ok());
  ASSERT_TRUE(folder->commit().ok());
  EXPECT_EQ(*read_file(path("model/a")), "1");
  EXPECT_EQ(list_folder(folder_)->size(), 1u);
}

TEST_F(FileTest, FolderIsReplacedOnlyIfAsked) {
  ASSERT_EQ(::mkdir(path("model").c_str(), 0700), 0);
  ASSERT_TRUE(write_file_atomic(path("model/old"), "1").ok());
  EXPECT_TRUE(contains(AtomicFolder::create(path("model")).status().message(), "exists already"));
  auto folder = AtomicFolder::create(path("model"), true);
  ASSERT_TRUE(folder.ok());
  ASSERT_TRUE(write_file_atomic(join_path(folder->temporary_path(), "new"), "2").ok());
  EXPECT_TRUE(path_exists(path("model/old")));
  ASSERT_TRUE(folder->commit().ok());
  EXPECT_EQ(*list_folder(path("model")), std::vector<std::string>{"new"});
  EXPECT_EQ(list_folder(folder_)->size(), 1u);
  ASSERT_TRUE(write_file_atomic(path("file"), "x").ok());
  EXPECT_FALSE(AtomicFolder::create(path("file"), true).ok());
}

TEST_F(FileTest, FolderThatAppearsMeanwhileStays) {
  auto folder = AtomicFolder::create(path("model"));
  ASSERT_EQ(::mkdir(path("model").c_str(), 0700), 0);
  EXPECT_FALSE(folder->commit().ok());
  EXPECT_TRUE(path_exists(path("model")));
}

TEST_F(FileTest, WhatAKilledProcessLeftOfAFolderIsRemoved) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto folder = AtomicFolder::create(path("model"));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(list_folder(path("")).value().size(), 1U);
  const auto other = AtomicFolder::create(path("model2"));
  EXPECT_EQ(list_folder(path("")).value().size(), 2U) << "another target's leavings are not touched";
  const auto running = AtomicFolder::create(path("model"));
  const auto beside = AtomicFolder::create(path("model"));
  const std::vector<std::string> names = list_folder(path("")).value();
  EXPECT_EQ(names.size(), 3U) << "of live processes nothing is removed";
  // Of another host, or not a name of ours.
  ASSERT_EQ(::mkdir(path(".model.tmp-0123456789abcdef-" + std::to_string(child) + "-0").c_str(), 0700), 0);
  const std::string ours = names.front().substr(0, names.front().rfind('-', names.front().rfind('-') - 1));
  ASSERT_EQ(::mkdir(path(ours + "-" + std::to_string(child) + "-0-7").c_str(), 0700), 0);
  EXPECT_TRUE(AtomicFolder::create(path("model")).ok());
  EXPECT_EQ(list_folder(path("")).value().size(), 5U);
}

TEST_F(FileTest, PathsAndDisk) {
  EXPECT_EQ(join_path("a", "b"), "a/b");
  EXPECT_EQ(join_path("a/", "b"), "a/b");
  EXPECT_EQ(join_path("", "b"), "b");
  EXPECT_TRUE(is_folder(folder_));
  EXPECT_FALSE(is_folder(path("none")));
  EXPECT_GT(*free_disk_bytes(path("none/deeper/x")), 0u);
  EXPECT_GT(*free_disk_bytes("relative-name"), 0u);
  EXPECT_TRUE(check_disk_room(path("none/deeper/x"), 1, "the target").ok());
  const Status refused = check_disk_room(path("none"), UINT64_MAX, "the target");
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  for (const std::string& words : {std::string("the target needs"), path("none"), std::string("free")}) {
    EXPECT_NE(refused.message().find(words), std::string::npos) << refused.message();
  }
  EXPECT_EQ(list_folder(path("none")).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace octavo::base
