#pragma once
// A Hugging Face model folder: config.json, generation_config.json and the tensors of one safetensors file or
// of the shards that an index names. MindFormers' tensors, as Golden Stick first wrote them, appear under
// Hugging Face's names. Headers are read and checked; data only when asked for.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "format/safetensors.h"
#include "tensor/buffer.h"

namespace octavo::format {

struct WeightFiles;  // format/weight_files.h

class Checkpoint {
 public:
  // Errors name the file and what is wrong: no or foreign weights, a missing shard, an index entry that
  // leaves the folder, a tensor in two shards, in none, or absent from the index.
  static Result<Checkpoint> open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const base::Json& config() const { return config_; }  // config.json: an object
  // generation_config.json: an object, or null when there is none.
  const base::Json& generation_config() const { return generation_config_; }

  // All tensors of all files, sorted by name; the pointers live as long as the checkpoint.
  const std::vector<const TensorInfo*>& tensors() const { return tensors_; }
  const std::vector<SafetensorsFile>& files() const { return files_; }
  const TensorInfo* find(std::string_view name) const;  // nullptr: no such tensor
  const SafetensorsFile& file_of(const TensorInfo& info) const;
  bool has_mindformers_names() const { return has_mindformers_names_; }  // in the files

  // All bytes of a tensor; `n_bytes` must be its size. An unknown name is an error.
  // Thread-safe.
  Status read(std::string_view name, void* to, uint64_t n_bytes) const;
  Result<tensor::Buffer> read(std::string_view name) const;
  // Memory for values of a tensor, refused where less is available.
  static Result<tensor::Buffer> make_room(const TensorInfo& info, uint64_t n_bytes);
  Status read_part(std::string_view name, uint64_t begin, uint64_t n_bytes, void* to) const;

  // Changes when the config, a tensor's name, type, shape or place, or a file's size changes; not with values
  // alone.
  uint64_t fingerprint() const { return fingerprint_; }

 private:
  Checkpoint() = default;
  Status merge_tensors();
  Status check_index(const WeightFiles& files) const;
  Status rename_tensors();
  void compute_fingerprint();
  size_t position(std::string_view name) const;  // in tensors_, or tensors_.size()
  std::string folder_;
  base::Json config_, generation_config_;
  std::vector<SafetensorsFile> files_;
  std::vector<const TensorInfo*> tensors_;
  std::vector<size_t> file_of_;  // position in files_, by position in tensors_
  bool has_mindformers_names_ = false;
  uint64_t fingerprint_ = 0;
};

}  // namespace octavo::format
