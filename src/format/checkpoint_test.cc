#include "format/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test_environment.h"
#include "format/test_folder.h"

namespace octavo::format {
namespace {

// One file with I8 tensors [4] of these names.
std::string shard_of(const std::vector<std::string>& names) {
  std::string header = "{";
  for (size_t i = 0; i < names.size(); ++i) {
    header += (i > 0 ? ",\"" : "\"") + names[i] + R"(":{"dtype":"I8","shape":[4],"data_offsets":[)" +
              std::to_string(4 * i) + "," + std::to_string(4 * i + 4) + "]}";
  }
  return safetensors_bytes(header + "}", 4 * names.size());
}

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_.write("config.json", R"({"model_type":"llama"})"); }
  std::string error() const {
    const auto checkpoint = Checkpoint::open(folder_.path());
    return checkpoint.ok() ? "accepted" : checkpoint.status().message();
  }
  // Shards s1 {a, b} and s2 {c}, with this weight_map.
  void write_shards(const std::string& weight_map) const {
    folder_.write("s1.safetensors", shard_of({"a", "b"}));
    folder_.write("s2.safetensors", shard_of({"c"}));
    folder_.write("model.safetensors.index.json",
                  R"({"metadata":{"total_size":12},"weight_map":)" + weight_map + "}");
  }
  static constexpr const char* kMap = R"({"a":"s1.safetensors","b":"s1.safetensors","c":"s2.safetensors"})";
  TestFolder folder_;
};

TEST_F(CheckpointTest, OneFile) {
  folder_.write("model.safetensors", shard_of({"b", "a"}));
  const auto checkpoint = Checkpoint::open(folder_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->config().find("model_type")->as_string(), "llama");
  EXPECT_TRUE(checkpoint->generation_config().is_null());
  ASSERT_EQ(checkpoint->tensors().size(), 2u);
  EXPECT_EQ(checkpoint->tensors()[0]->name, "a");
  char bytes[4];
  ASSERT_TRUE(checkpoint->read("a", bytes, 4).ok());
  EXPECT_EQ(bytes[0], 4);
  ASSERT_TRUE(checkpoint->read_part("a", 2, 2, bytes).ok());
  EXPECT_EQ(bytes[0], 6);
  const auto buffer = checkpoint->read("b");
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ(buffer->size_bytes(), 4u);
  EXPECT_EQ(buffer->as<char>()[3], 3);
  EXPECT_EQ(checkpoint->read("x").status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(contains(checkpoint->read("a", bytes, 3).message(), "tensor 'a': expected 3 bytes, found 4"));
  EXPECT_EQ(checkpoint->file_of(*checkpoint->find("a")).path(), folder_.path("model.safetensors"));
}

TEST_F(CheckpointTest, Shards) {
  write_shards(kMap);
  folder_.write("generation_config.json", R"({"eos_token_id":2})");
  const auto checkpoint = Checkpoint::open(folder_.path() + "/");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->generation_config().find("eos_token_id")->as_int(), 2);
  EXPECT_EQ(checkpoint->tensors().size(), 3u);
  EXPECT_TRUE(contains(checkpoint->file_of(*checkpoint->find("c")).path(), "s2.safetensors"));
  char bytes[4];
  EXPECT_TRUE(checkpoint->read("c", bytes, 4).ok());
}

TEST_F(CheckpointTest, IndexEntriesStayInTheFolder) {
  for (const char* name :
       {"../s1.safetensors", "/etc/passwd", "sub/s1.safetensors", "..", ".", "", "a\\\\b", "s\\u0000"}) {
    write_shards(std::string(R"({"a":")") + name + "\"}");
    const std::string message = error();
    EXPECT_TRUE(contains(message, "tensor 'a': expected the name of a file in the folder")) << message;
  }
}

TEST_F(CheckpointTest, IndexAndShardsMustAgree) {
  write_shards(R"({"a":"s1.safetensors","c":"s2.safetensors"})");
  EXPECT_TRUE(contains(error(), "tensor 'b' of 's1.safetensors' is not listed")) << error();
  write_shards(R"({"a":"s1.safetensors","b":"s1.safetensors","c":"s2.safetensors","d":"s2.safetensors"})");
  EXPECT_TRUE(contains(error(), "tensor 'd' is in none of the files")) << error();
  write_shards(R"({"a":"s1.safetensors","b":"s2.safetensors","c":"s2.safetensors"})");
  EXPECT_TRUE(contains(error(), "tensor 'b' should be in 's2.safetensors', but is in 's1.safetensors'"))
      << error();
  write_shards(R"({"a":"s1.safetensors","b":"s1.safetensors","c":"s3.safetensors"})");
  EXPECT_TRUE(contains(error(), "has no file 's3.safetensors'")) << error();
  write_shards(kMap);
  folder_.write("s2.safetensors", shard_of({"a", "c"}));
  EXPECT_TRUE(contains(error(), "tensor 'a' is in two files")) << error();
}

TEST_F(CheckpointTest, AnIndexHasAMap) {
  for (const char* map : {"{}", "[]", "3", "null", "\"x\""}) {
    write_shards(map);
    EXPECT_TRUE(contains(error(), "weight_map")) << error();
  }
  write_shards(R"({"a":7})");
  EXPECT_TRUE(contains(error(), "tensor 'a': expected a file name, found integer")) << error();
  folder_.write("model.safetensors.index.json", "[]");
  EXPECT_TRUE(contains(error(), "expected an object, found array")) << error();
  folder_.write("model.safetensors.index.json",
                R"({"weight_map":{"a":"s1.safetensors","a":"s2.safetensors"}})");
  EXPECT_TRUE(contains(error(), "duplicate key 'a'")) << error();
  std::string many = R"({"weight_map":{)";
  for (int i = 0; i < 2000; ++i) many += "\"t" + std::to_string(i) + "\":\"s" + std::to_string(i) + "\",";
  many.back() = '}';
  folder_.write("model.safetensors.index.json", many + "}");
  EXPECT_TRUE(contains(error(), "2000 shards")) << error();
}

TEST_F(CheckpointTest, ATruncatedShardIsNamed) {
  write_shards(kMap);
  ASSERT_EQ(::truncate(folder_.path("s2.safetensors").c_str(), 60), 0);
  EXPECT_TRUE(contains(error(), "s2.safetensors")) << error();
}

TEST_F(CheckpointTest, OnlyRegularFilesAreRead) {
  write_shards(kMap);
  ASSERT_EQ(::unlink(folder_.path("s2.safetensors").c_str()), 0);
  ASSERT_EQ(::mkfifo(folder_.path("s2.safetensors").c_str(), 0600), 0);
  EXPECT_TRUE(contains(error(), "FIFO")) << error();
  ASSERT_EQ(::unlink(folder_.path("s2.safetensors").c_str()), 0);
  ASSERT_EQ(::mkdir(folder_.path("s2.safetensors").c_str(), 0700), 0);
  EXPECT_TRUE(contains(error(), "a folder")) << error();
  ASSERT_EQ(::rmdir(folder_.path("s2.safetensors").c_str()), 0);
  ASSERT_EQ(::symlink("/dev/zero", folder_.path("s2.safetensors").c_str()), 0);
  EXPECT_TRUE(contains(error(), "s2.safetensors") && contains(error(), "leaves the folder")) << error();
  ASSERT_EQ(::unlink(folder_.path("config.json").c_str()), 0);
  ASSERT_EQ(::mkfifo(folder_.path("config.json").c_str(), 0600), 0);
  EXPECT_TRUE(contains(error(), "FIFO")) << error();
}

TEST_F(CheckpointTest, LinksMayNotLeaveTheFolder) {
  const TestFolder other;
  other.write("model.safetensors", shard_of({"a"}));
  ASSERT_EQ(::symlink(other.path("model.safetensors").c_str(), folder_.path("model.safetensors").c_str()), 0);
  EXPECT_TRUE(contains(error(), "is a link that leaves the folder")) << error();
  ASSERT_EQ(::unlink(folder_.path("model.safetensors").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", folder_.path("model.safetensors").c_str()), 0);
  EXPECT_TRUE(contains(error(), "link to nothing")) << error();
  ASSERT_EQ(::unlink(folder_.path("model.safetensors").c_str()), 0);
  folder_.write("weights", shard_of({"a"}));
  ASSERT_EQ(::symlink("weights", folder_.path("model.safetensors").c_str()), 0);
  EXPECT_EQ(error(), "accepted");
}

TEST_F(CheckpointTest, TheHuggingFaceCacheIsAFolderOfLinks) {
  const TestFolder cache;
  for (const char* name : {"blobs", "snapshots", "snapshots/0123"}) {
    ASSERT_EQ(::mkdir(cache.path(name).c_str(), 0700), 0);
  }
  cache.write("blobs/x1", "{}");
  cache.write("blobs/x2", shard_of({"a"}));
  ASSERT_EQ(::symlink("../../blobs/x1", cache.path("snapshots/0123/config.json").c_str()), 0);
  ASSERT_EQ(::symlink("../../blobs/x2", cache.path("snapshots/0123/model.safetensors").c_str()), 0);
  const auto checkpoint = Checkpoint::open(cache.path("snapshots/0123"));
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  cache.write("x3", shard_of({"a"}));
  ASSERT_EQ(::unlink(cache.path("snapshots/0123/model.safetensors").c_str()), 0);
  ASSERT_EQ(::symlink("../../x3", cache.path("snapshots/0123/model.safetensors").c_str()), 0);
  EXPECT_FALSE(Checkpoint::open(cache.path("snapshots/0123")).ok());
}

TEST_F(CheckpointTest, FoldersWithoutWeightsSayWhatToDo) {
  EXPECT_TRUE(contains(error(), "neither model.safetensors nor")) << error();
  folder_.write("pytorch_model.bin", "x");
  EXPECT_TRUE(contains(error(), "'pytorch_model.bin'") && contains(error(), "save_pretrained")) << error();
  folder_.write("model.gguf", "GGUF");
  EXPECT_TRUE(contains(error(), "GGUF is not read")) << error();
  folder_.write("quant.safetensors", shard_of({"a"}));
  EXPECT_TRUE(contains(error(), "it has 'quant.safetensors'")) << error();
  EXPECT_EQ(Checkpoint::open(folder_.path("none")).status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(contains(Checkpoint::open(folder_.path("model.gguf")).status().message(), "is no folder"));
  EXPECT_FALSE(Checkpoint::open("").ok());
}

TEST_F(CheckpointTest, AnIndexOfAnotherNameWillDo) {
  folder_.write("quant-1.safetensors", shard_of({"a"}));
  folder_.write("quant-2.safetensors", shard_of({"b"}));
  folder_.write("quant_model_weight_w8a8.safetensors.index.json",
                R"({"weight_map":{"a":"quant-1.safetensors","b":"quant-2.safetensors"}})");
  EXPECT_EQ(error(), "accepted");
  folder_.write("quant_model_weight_w8a8.safetensors.index.json",
                R"({"weight_map":{"a":"quant-1.safetensors","b":"quant-1.safetensors"}})");
  EXPECT_TRUE(contains(error(), "w8a8.safetensors.index.json: tensor 'b' is in none")) << error();
}

TEST_F(CheckpointTest, TwoSetsOfWeightsAreAmbiguous) {
  write_shards(kMap);
  folder_.write("model.safetensors", shard_of({"a"}));
  EXPECT_TRUE(contains(error(), "has both")) << error();
}

TEST_F(CheckpointTest, ConfigsAreObjects) {
  folder_.write("model.safetensors", shard_of({"a"}));
  folder_.write("config.json", "[]");
  EXPECT_TRUE(contains(error(), "config.json: expected an object, found array")) << error();
  folder_.write("config.json", "{\"a\": nope}");
  EXPECT_TRUE(contains(error(), "config.json: line 1")) << error();
  folder_.write("config.json", "{}");
  folder_.write("generation_config.json", "3");
  EXPECT_TRUE(contains(error(), "generation_config.json: expected an object")) << error();
  ASSERT_EQ(::unlink(folder_.path("config.json").c_str()), 0);
  EXPECT_TRUE(contains(error(), "has no file 'config.json'")) << error();
}

TEST_F(CheckpointTest, TheFingerprintFollowsHeadersAndConfig) {
  folder_.write("model.safetensors", shard_of({"a"}));
  const auto fingerprint = [&] { return Checkpoint::open(folder_.path())->fingerprint(); };
  const uint64_t first = fingerprint();
  EXPECT_EQ(fingerprint(), first);
  folder_.write("model.safetensors", shard_of({"b"}));
  EXPECT_NE(fingerprint(), first);
  folder_.write("model.safetensors", shard_of({"a"}));
  EXPECT_EQ(fingerprint(), first);
  folder_.write("config.json", "{}");
  EXPECT_NE(fingerprint(), first);
}

TEST_F(CheckpointTest, OpensRealModels) {
  const std::string models = base::test_data_folder() + "/models";
  if (!base::is_folder(models)) GTEST_SKIP() << "test data " << models << " is missing";
  const auto names = base::list_folder(models);
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    const auto checkpoint = Checkpoint::open(base::join_path(models, name));
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    for (const TensorInfo* info : checkpoint->tensors())
      EXPECT_TRUE(checkpoint->read(info->name).ok()) << info->name;
  }
}

TEST_F(CheckpointTest, OpensTheDemoModel) {
  const auto checkpoint = Checkpoint::open(OCTAVO_SOURCE_DIR "/models/demo");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_NE(checkpoint->find("model.embed_tokens.weight"), nullptr);
}

}  // namespace
}  // namespace octavo::format
