#pragma once
// Writes safetensors files tensor by tensor: names, types and shapes are known first, the header goes out
// first, and only the bytes being written are in memory. A file or folder of shards is whole only after
// finish().
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/file.h"
#include "format/safetensors.h"
#include "tensor/dtype.h"

namespace octavo::format {

struct TensorSpec {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;
  std::vector<int64_t> shape;
};

// Bytes of a tensor of this type and shape; an error if a size is negative or the product does not fit.
Result<uint64_t> tensor_bytes(const TensorSpec& spec);

// One file. Offsets are laid out by falling element size, so that each tensor is aligned to its element as
// readers that map the file need; the bytes are still written in the plan's order.
class SafetensorsWriter {
 public:
  // Refuses a plan with duplicate names or impossible sizes before anything is written.
  static Result<SafetensorsWriter> create(const std::string& path, const std::vector<TensorSpec>& plan,
                                          const TensorMetadata& metadata = {{"format", "pt"}});

  // The next bytes of tensor `name`, which must be the plan's next unfinished one: whole, or part after part.
  Status write(std::string_view name, const void* bytes, uint64_t n_bytes);
  // Puts the file in its place; an error names the first tensor that is not complete.
  Status finish();

 private:
  SafetensorsWriter(base::AtomicFile file, std::vector<TensorInfo> tensors);
  void skip_complete_tensors();
  base::AtomicFile file_;
  std::vector<TensorInfo> tensors_;  // in the plan's order
  size_t next_ = 0;                  // tensor under way
  uint64_t n_written_ = 0;           // bytes of it
};

inline constexpr uint64_t kDefaultShardBytes = 5'000'000'000;  // as transformers' save_pretrained

// How the files of a checkpoint's weights are called: "STEM-00001-of-0000N.safetensors" …, and
// "STEM.safetensors" where one is enough, unless they are always numbered.
struct ShardNames {
  std::string stem = "model";
  bool always_numbered = false;
};

// A checkpoint's weights in `folder`, with `model.safetensors.index.json` where the names are numbered.
class ShardedWriter {
 public:
  // Tensors go to shards in the plan's order; one larger than max_shard_bytes gets a shard of its own.
  // Refuses when the disk has no room for all of it.
  static Result<ShardedWriter> create(const std::string& folder, std::vector<TensorSpec> plan,
                                      uint64_t max_shard_bytes = kDefaultShardBytes,
                                      const ShardNames& names = {});

  // As SafetensorsWriter::write, over all shards.
  Status write(std::string_view name, const void* bytes, uint64_t n_bytes);
  // Completes the last shard and writes the index.
  Status finish();

  uint64_t total_bytes() const { return total_bytes_; }  // of all tensors
  std::vector<std::string> file_names() const;           // of the shards

 private:
  struct Shard {
    std::string file_name;
    std::vector<TensorSpec> plan;
    uint64_t n_bytes = 0;
  };
  ShardedWriter() = default;
  Status open_next_shard();
  std::string folder_;
  std::vector<Shard> shards_;
  bool has_index_ = false;
  size_t n_started_ = 0;              // shards
  uint64_t left_in_shard_bytes_ = 0;  // of the one under way
  uint64_t total_bytes_ = 0;
  std::optional<SafetensorsWriter> open_;  // the shard under way
};

}  // namespace octavo::format
