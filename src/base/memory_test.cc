#include "base/memory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <vector>

#include "base/cgroup.h"
#include "base/file.h"

namespace octavo::base {
namespace {

TEST(MemoryTest, SeesWhatThisProcessTakes) {
  const uint64_t before = resident_bytes();
  EXPECT_GT(before, 0u);
  std::vector<char> taken(64 << 20, 1);
  EXPECT_GT(resident_bytes(), before + (48u << 20));
  EXPECT_GE(peak_resident_bytes(), before + (48u << 20));
  EXPECT_GT(available_memory_bytes(), 0u);
  EXPECT_EQ(taken.back(), 1);
}

class CgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/octavo-cgroup-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    mount_ = pattern;
  }
  void TearDown() override { ASSERT_EQ(std::system(("rm -rf '" + mount_ + "'").c_str()), 0); }
  void folder(const std::string& name) { ASSERT_EQ(::mkdir((mount_ + name).c_str(), 0700), 0); }
  void file(const std::string& name, const char* text) {
    ASSERT_TRUE(write_file_atomic(mount_ + name, text).ok());
  }
  std::string mount_;
};

TEST_F(CgroupTest, TheTightestAncestorCounts) {
  folder("/a");
  folder("/a/b");
  file("/a/cpu.max", "150000 100000\n");
  file("/a/b/cpu.max", "max 100000\n");
  file("/a/memory.max", "1000000\n");
  file("/a/memory.current", "600000\n");
  file("/a/memory.stat", "anon 400000\ninactive_file 200000\n");
  file("/a/b/memory.max", "max\n");
  file("/a/b/memory.current", "5\n");
  const CgroupLimits limits = cgroup_limits("0::/a/b\n", mount_);
  EXPECT_EQ(limits.cores, 1.5);
  EXPECT_EQ(limits.free_memory_bytes, 600000u);
}

TEST_F(CgroupTest, APathOfTheHostFallsBackToTheRoot) {
  file("/cpu.max", "200000 100000\n");
  EXPECT_EQ(cgroup_limits("0::/host/only/here\n", mount_).cores, 2.0);
}

TEST_F(CgroupTest, Version1) {
  folder("/cpu,cpuacct");
  folder("/memory");
  file("/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
  file("/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  file("/memory/memory.limit_in_bytes", "1000\n");
  file("/memory/memory.usage_in_bytes", "4000\n");
  const CgroupLimits limits = cgroup_limits("5:memory:/\n4:cpu,cpuacct:/x\n3:cpuset:/\n", mount_);
  EXPECT_EQ(limits.cores, 0.5);
  EXPECT_EQ(limits.free_memory_bytes, 0u);
}

TEST_F(CgroupTest, NothingKnownIsNoLimit) {
  file("/cpu.max", "max 100000\n");
  const CgroupLimits limits = cgroup_limits("junk\n0::/\n", mount_);
  EXPECT_TRUE(std::isinf(limits.cores));
  EXPECT_EQ(limits.free_memory_bytes, UINT64_MAX);
}

}  // namespace
}  // namespace octavo::base
