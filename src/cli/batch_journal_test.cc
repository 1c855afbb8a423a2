#include "cli/batch_journal.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"

namespace octavo::cli {
namespace {

class BatchJournalTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "octavo-journal-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ + "/out.partial";
    header_.set("identity", base::JsonObject());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // A journal of three answers, and its bytes.
  std::string write_three() {
    auto journal = BatchJournal::open(path_);
    EXPECT_TRUE(journal.ok());
    EXPECT_TRUE(journal->is_new());
    EXPECT_TRUE(journal->begin(header_).ok());
    EXPECT_TRUE(journal->append(3, 33, false, "{\"c\":1}").ok());
    EXPECT_TRUE(journal->append(1, 11, true, "{\"a b\":2}").ok());
    EXPECT_TRUE(journal->append(2, 22, false, "{}").ok());
    return *base::read_file(path_);
  }

  std::string folder_, path_;
  base::Json header_;
};

TEST_F(BatchJournalTest, IsReadBack) {
  write_three();
  const auto journal = BatchJournal::open(path_);
  ASSERT_TRUE(journal.ok()) << journal.status().message();
  EXPECT_EQ(journal->header(), header_);
  EXPECT_EQ(journal->n_answers(), 3);
  EXPECT_EQ(journal->n_failed(), 1);
  EXPECT_EQ(journal->last_line(), 3U);
  EXPECT_EQ(journal->n_cut_bytes(), 0U);
  ASSERT_NE(journal->find(1), nullptr);
  EXPECT_EQ(journal->find(1)->line_hash, 11U);
  EXPECT_EQ(*journal->read(*journal->find(1)), "{\"a b\":2}");
  EXPECT_EQ(*journal->read(*journal->find(3)), "{\"c\":1}");
  EXPECT_EQ(journal->find(4), nullptr);
}

// Cut anywhere: the whole records before the cut are there, the file ends after them, and it goes on from
// there.
TEST_F(BatchJournalTest, ATornEndIsCut) {
  const std::string whole = write_three();
  for (size_t size = 1; size < whole.size(); ++size) {
    ASSERT_TRUE(base::write_file_atomic(path_, whole.substr(0, size)).ok());
    const std::string left = whole.substr(0, size);
    const auto n_lines = std::count(left.begin(), left.end(), '\n');
    auto journal = BatchJournal::open(path_);
    ASSERT_TRUE(journal.ok()) << size << ": " << journal.status().message();
    EXPECT_EQ(journal->is_new(), n_lines == 0) << size;
    EXPECT_EQ(journal->n_answers(), std::max<int64_t>(n_lines - 1, 0)) << size;
    if (journal->is_new()) {
      ASSERT_TRUE(journal->begin(header_).ok());
    }
    ASSERT_TRUE(journal->append(9, 99, false, "{}").ok());
    const auto again = *base::read_file(path_);
    EXPECT_EQ(std::count(again.begin(), again.end(), '\n'), std::max<int64_t>(n_lines, 1) + 1) << size;
  }
}

// A power cut may leave blocks of zeros, or old bytes, at the end of the file.
TEST_F(BatchJournalTest, WhatHasNoChecksumIsNoAnswer) {
  const std::string whole = write_three();
  for (size_t at = whole.rfind("2 ", whole.size() - 2) + 2; at < whole.size() - 1; ++at) {
    std::string changed = whole;
    changed[at] = '\0';
    ASSERT_TRUE(base::write_file_atomic(path_, changed).ok());
    const auto journal = BatchJournal::open(path_);
    ASSERT_TRUE(journal.ok());
    EXPECT_LT(journal->n_answers(), 3) << at;
    EXPECT_GT(journal->n_cut_bytes(), 0U) << at;
  }
}

TEST_F(BatchJournalTest, AFileOfSomebodyElseIsLeftAlone) {
  for (const char* text : {"precious\n", "precious", "\n", "octavo run-batch 2 {}\n"}) {
    ASSERT_TRUE(base::write_file_atomic(path_, text).ok());
    const auto journal = BatchJournal::open(path_);
    ASSERT_FALSE(journal.ok()) << text;
    EXPECT_NE(journal.status().message().find("is not the work file of a batch"), std::string::npos);
    EXPECT_EQ(*base::read_file(path_), text);
  }
}

}  // namespace
}  // namespace octavo::cli
