#include "format/safetensors_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "base/json.h"
#include "format/checkpoint.h"
#include "format/test_folder.h"

namespace octavo::format {
namespace {

using tensor::DType;

std::string counted(size_t n, int from) {
  std::string bytes(n, '\0');
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<char>(from + static_cast<int>(i));
  return bytes;
}

std::string read_all(const SafetensorsFile& file, std::string_view name) {
  const TensorInfo* info = file.find(name);
  if (info == nullptr) return "missing";
  std::string bytes(info->n_bytes, '\0');
  return file.read(*info, bytes.data()).ok() ? bytes : "unreadable";
}

TEST(SafetensorsWriterTest, ReadsBackAndIsAligned) {
  const TestFolder folder;
  const std::string path = folder.path("m.safetensors");
  auto writer = SafetensorsWriter::create(path, {{"odd", DType::kI8, {3}},
                                                 {"wide", DType::kF64, {2}},
                                                 {"none", DType::kF32, {0, 4}},
                                                 {"half", DType::kBF16, {5}},
                                                 {"é", DType::kF32, {}}});
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  ASSERT_TRUE(writer->write("odd", counted(3, 1).data(), 3).ok());
  ASSERT_TRUE(writer->write("wide", counted(16, 10).data(), 5).ok());  // in two parts
  ASSERT_TRUE(writer->write("wide", counted(16, 10).data() + 5, 11).ok());
  ASSERT_TRUE(writer->write("none", nullptr, 0).ok());
  ASSERT_TRUE(writer->write("half", counted(10, 40).data(), 10).ok());
  EXPECT_FALSE(base::path_exists(path));
  ASSERT_TRUE(writer->write("é", counted(4, 60).data(), 4).ok());
  ASSERT_TRUE(writer->finish().ok());
  const auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(read_all(*file, "odd"), counted(3, 1));
  EXPECT_EQ(read_all(*file, "wide"), counted(16, 10));
  EXPECT_EQ(read_all(*file, "none"), "");
  EXPECT_EQ(read_all(*file, "half"), counted(10, 40));
  EXPECT_EQ(read_all(*file, "é"), counted(4, 60));
  EXPECT_EQ(file->metadata(), (TensorMetadata{{"format", "pt"}}));
  for (const TensorInfo& info : file->tensors()) {
    EXPECT_EQ(info.offset % static_cast<uint64_t>(tensor::dtype_bytes(info.dtype)), 0u) << info.name;
  }
}

TEST(SafetensorsWriterTest, RefusesPlansThatNoReaderWouldTake) {
  const TestFolder folder;
  const auto error_of = [&](std::vector<TensorSpec> plan) {
    const auto writer = SafetensorsWriter::create(folder.path("m.safetensors"), plan);
    return writer.ok() ? "accepted" : writer.status().message();
  };
  EXPECT_TRUE(contains(error_of({{"a", DType::kI8, {1}}, {"a", DType::kI8, {1}}}), "duplicate key 'a'"));
  EXPECT_TRUE(contains(error_of({{"a", DType::kI8, {-1}}}), "tensor 'a': shape [-1]"));
  EXPECT_TRUE(contains(error_of({{"a", DType::kF32, {INT64_MAX}}}), "exceeds"));
  EXPECT_TRUE(contains(error_of({{"__metadata__", DType::kI8, {1}}}), "reserved"));
  EXPECT_TRUE(contains(error_of({{"\xFF", DType::kI8, {1}}}), "UTF-8"));
  EXPECT_TRUE(contains(error_of({{std::string("a\0", 2), DType::kI8, {1}}}), "NUL"));
  EXPECT_TRUE(contains(error_of({{"a", DType::kI8, {1, 1, 1, 1, 1, 1, 1, 1, 1}}}), "9 dimensions"));
  const int64_t quarter = int64_t{1} << 61;
  EXPECT_FALSE(SafetensorsWriter::create(
                   folder.path("x"),
                   {{"a", DType::kI8, {quarter}}, {"b", DType::kI8, {quarter}}, {"c", DType::kI8, {quarter}}})
                   .ok());
  EXPECT_TRUE(base::list_folder(folder.path())->empty());
}

TEST(SafetensorsWriterTest, HoldsToThePlan) {
  const TestFolder folder;
  const std::string bytes(16, 'x');
  auto writer = SafetensorsWriter::create(folder.path("m.safetensors"),
                                          {{"a", DType::kI8, {4}}, {"b", DType::kI8, {4}}});
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(contains(writer->write("b", bytes.data(), 4).message(), "the plan expects 'a' next"));
  EXPECT_TRUE(contains(writer->write("a", bytes.data(), 5).message(), "5 bytes given, 4 of its 4"));
  ASSERT_TRUE(writer->write("a", bytes.data(), 3).ok());
  EXPECT_TRUE(contains(writer->finish().message(), "tensor 'a': 3 of 4 bytes"));
  ASSERT_TRUE(writer->write("a", bytes.data(), 1).ok());
  EXPECT_TRUE(contains(writer->finish().message(), "tensor 'b': 0 of 4 bytes"));
  ASSERT_TRUE(writer->write("b", bytes.data(), 4).ok());
  EXPECT_TRUE(contains(writer->write("b", bytes.data(), 1).message(), "all planned tensors are written"));
  EXPECT_FALSE(base::path_exists(folder.path("m.safetensors")));
  EXPECT_TRUE(writer->finish().ok());
  EXPECT_FALSE(writer->finish().ok());
}

TEST(SafetensorsWriterTest, WithoutFinishNothingStays) {
  const TestFolder folder;
  {
    auto writer = SafetensorsWriter::create(folder.path("m.safetensors"), {{"a", DType::kI8, {4}}});
    ASSERT_TRUE(writer->write("a", "abcd", 4).ok());
  }
  EXPECT_TRUE(base::list_folder(folder.path())->empty());
}

TEST(SafetensorsWriterTest, AFullDiskIsNamed) {
  const TestFolder folder;
  const std::string bytes(100'000, 'x');
  auto writer = SafetensorsWriter::create(folder.path("m.safetensors"), {{"big", DType::kI8, {100'000}}});
  ASSERT_TRUE(writer.ok());
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{50'000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = writer->write("big", bytes.data(), bytes.size());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(contains(status.message(), "tensor 'big'") &&
              contains(status.message(), folder.path("m.safetensors")))
      << status.message();
}

class ShardedWriterTest : public ::testing::Test {
 protected:
  // Tensors t0 … t(n-1), [10] I8 each, tensor i of value i; then opened as a checkpoint.
  void write(int n, uint64_t max_shard_bytes) {
    std::vector<TensorSpec> plan;
    for (int i = 0; i < n; ++i) plan.push_back({"t" + std::to_string(i), DType::kI8, {10}});
    auto writer = ShardedWriter::create(folder_.path(), plan, max_shard_bytes);
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    for (int i = 0; i < n; ++i) {
      const std::string bytes(10, static_cast<char>(i));
      ASSERT_TRUE(writer->write("t" + std::to_string(i), bytes.data(), 10).ok());
    }
    ASSERT_TRUE(writer->finish().ok());
    file_names_ = writer->file_names();
    folder_.write("config.json", "{}");
    const auto checkpoint = Checkpoint::open(folder_.path());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    EXPECT_EQ(checkpoint->tensors().size(), static_cast<size_t>(n));
    for (int i = 0; i < n; ++i) {
      char bytes[10];
      ASSERT_TRUE(checkpoint->read("t" + std::to_string(i), bytes, 10).ok());
      EXPECT_EQ(bytes[9], i);
    }
  }
  TestFolder folder_;
  std::vector<std::string> file_names_;
};

TEST_F(ShardedWriterTest, OneShardNeedsNoIndex) {
  write(5, 50);
  EXPECT_EQ(file_names_, std::vector<std::string>{"model.safetensors"});
  EXPECT_FALSE(base::path_exists(folder_.path("model.safetensors.index.json")));
}

TEST_F(ShardedWriterTest, ManyShardsHaveAnIndex) {
  write(12, 45);
  EXPECT_EQ(file_names_,
            (std::vector<std::string>{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                      "model-00003-of-00003.safetensors"}));
  const auto index = base::read_json_file(folder_.path("model.safetensors.index.json"));
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->find("metadata")->find("total_size")->as_int(), 120);
  EXPECT_EQ(index->find("weight_map")->find("t3")->as_string(), file_names_[0]);
  EXPECT_EQ(index->find("weight_map")->find("t4")->as_string(), file_names_[1]);
}

TEST_F(ShardedWriterTest, ATensorLargerThanAShardGetsItsOwn) {
  write(3, 5);
  EXPECT_EQ(file_names_.size(), 3u);
}

TEST_F(ShardedWriterTest, ShardsOfEmptyTensorsAreWritten) {
  auto writer = ShardedWriter::create(folder_.path(), {{"a", DType::kI8, {4}}, {"e", DType::kI8, {0}}}, 2);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->write("a", "abcd", 4).ok());
  ASSERT_TRUE(writer->finish().ok());
  folder_.write("config.json", "{}");
  EXPECT_TRUE(Checkpoint::open(folder_.path()).ok());
}

TEST_F(ShardedWriterTest, RefusesBeforeWriting) {
  EXPECT_TRUE(
      contains(ShardedWriter::create(folder_.path(), {{"a", DType::kI8, {4}}, {"a", DType::kI8, {4}}}, 4)
                   .status()
                   .message(),
               "planned twice"));
  EXPECT_FALSE(ShardedWriter::create(folder_.path(), {}).ok());
  const Status full = ShardedWriter::create(folder_.path(), {{"a", DType::kI8, {int64_t{1} << 60}}}).status();
  EXPECT_EQ(full.code(), StatusCode::kResourceExhausted) << full.message();
  EXPECT_TRUE(base::list_folder(folder_.path())->empty());
}

TEST_F(ShardedWriterTest, AMissingTensorIsNamed) {
  auto writer = ShardedWriter::create(folder_.path(), {{"a", DType::kI8, {4}}, {"b", DType::kI8, {4}}}, 4);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->write("a", "abcd", 4).ok());
  EXPECT_TRUE(contains(writer->write("c", "abcd", 4).message(), "'b'"));
  EXPECT_TRUE(contains(writer->finish().message(), "tensor 'b': 0 of 4 bytes"));
  EXPECT_FALSE(base::path_exists(folder_.path("model.safetensors.index.json")));
}

TEST_F(ShardedWriterTest, AReadOnlyFolderIsNamed) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write to a read-only folder";
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0500), 0);
  const Status status = ShardedWriter::create(folder_.path(), {{"a", DType::kI8, {4}}}).status();
  EXPECT_EQ(::chmod(folder_.path().c_str(), 0700), 0);
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_TRUE(contains(status.message(), folder_.path())) << status.message();
}

}  // namespace
}  // namespace octavo::format
