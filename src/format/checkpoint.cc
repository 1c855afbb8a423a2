// A Hugging Face model folder as one set of tensors. Opened by model/, quant/, engine/ and inspect.cc.
// What the index says is believed only where the shards agree: each tensor is in exactly the shard that it
// names.
#include "format/checkpoint.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text_format.h"

namespace octavo::format {

namespace {

using base::Json;
using base::quoted;

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr size_t kMaxConfigBytes = size_t{16} << 20;
constexpr size_t kMaxIndexBytes = size_t{100} << 20;
constexpr uint64_t kLargeTensorBytes = uint64_t{64}
                                       << 20;  // below it asking how much memory is left is not worth it
constexpr size_t kMaxShards = 900;             // each is an open file; systems allow 1024 by default

struct FreePath {
  void operator()(char* path) const { std::free(path); }
};

// The path without symbolic links; empty when it does not exist.
std::string real_path(const std::string& path) {
  const std::unique_ptr<char, FreePath> resolved(::realpath(path.c_str(), nullptr));
  return resolved ? resolved.get() : "";
}

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The path of a file of the folder. A symbolic link may not lead out of it, except in the layout of the
// Hugging Face cache, where …/snapshots/<revision>/name is a link into …/blobs.
Result<std::string> path_in_folder(const std::string& folder, const std::string& name) {
  std::string path = base::join_path(folder, name);
  if (!base::path_exists(path)) return not_found("folder " + quoted(folder) + " has no file " + quoted(name));
  const std::string real = real_path(path);
  if (real.empty()) return not_found("file " + quoted(path) + " is a link to nothing");
  const std::string home = real_path(folder);
  const std::string cache = parent_of(parent_of(home));
  const bool in_cache = parent_of(home) == cache + "/snapshots" && parent_of(real) == cache + "/blobs";
  if (parent_of(real) != home && !in_cache) {
    return invalid_argument("file " + quoted(path) + " is a link that leaves the folder, to " + quoted(real));
  }
  return path;
}

Result<Json> read_object(const std::string& folder, const std::string& name, size_t max_bytes) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string path, path_in_folder(folder, name));
  base::JsonLimits limits;
  limits.max_bytes = max_bytes;
  OCTAVO_ASSIGN_OR_RETURN(Json tree, base::read_json_file(path, limits));
  if (!tree.is_object()) return corrupt(path + ": expected an object, found " + tree.type_name());
  return tree;
}

// Tensor name -> shard name of model.safetensors.index.json, sorted by tensor.
using WeightMap = std::vector<std::pair<std::string, std::string>>;

Result<WeightMap> read_index(const std::string& folder) {
  OCTAVO_ASSIGN_OR_RETURN(const Json index, read_object(folder, kIndexName, kMaxIndexBytes));
  const std::string in_index = base::join_path(folder, kIndexName);
  const Json* map = index.find("weight_map");
  if (map == nullptr || !map->is_object() || map->as_object().empty()) {
    return corrupt(in_index + ": expected an object 'weight_map' of tensor names to file names");
  }
  WeightMap weights;
  for (const auto& [tensor, file] : map->as_object()) {
    const std::string in_tensor = in_index + ": tensor " + quoted(tensor);
    if (!file.is_string()) return corrupt(in_tensor + ": expected a file name, found " + file.type_name());
    const std::string& name = file.as_string();
    const bool is_plain = !name.empty() && name != "." && name != ".." &&
                          name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
    if (!is_plain)
      return corrupt(in_tensor + ": expected the name of a file in the folder, found " + quoted(name));
    weights.emplace_back(tensor, name);
  }
  std::sort(weights.begin(), weights.end());
  return weights;
}

// Why there are no weights to read, with what to do about it.
Status no_weights(const std::string& folder) {
  const std::string expected =
      "folder " + quoted(folder) + " has neither " + kSingleName + " nor " + kIndexName;
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<std::string> names, base::list_folder(folder));
  for (const std::string& name : names) {
    if (name.ends_with(".safetensors")) {
      return not_found(expected + "; it has " + quoted(name) + ": rename it to " + kSingleName +
                       " if it holds the whole model");
    }
  }
  for (const std::string& name : names) {
    if (name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth")) {
      return unsupported(expected + "; it has PyTorch's " + quoted(name) +
                         ", which can run code when loaded and is not read: convert it with transformers' "
                         "save_pretrained(…, safe_serialization=True)");
    }
    if (name.ends_with(".gguf")) {
      return unsupported(expected + "; it has " + quoted(name) +
                         ", and GGUF is not read: take the model's Hugging Face safetensors");
    }
  }
  return not_found(expected);
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::string& folder) {
  if (!base::path_exists(folder)) return not_found("model folder " + quoted(folder) + " does not exist");
  if (!base::is_folder(folder)) {
    return invalid_argument(quoted(folder) + " is no folder; expected a Hugging Face model folder");
  }
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  std::optional<WeightMap> weights;  // of the index, when there is one
  std::vector<std::string> shards;
  if (base::path_exists(base::join_path(folder, kIndexName))) {
    OCTAVO_ASSIGN_OR_RETURN(weights, read_index(folder));
    for (const auto& [tensor, shard] : *weights) shards.push_back(shard);
    std::sort(shards.begin(), shards.end());
    shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
    const bool has_single = base::path_exists(base::join_path(folder, kSingleName));
    if (has_single && !std::binary_search(shards.begin(), shards.end(), kSingleName)) {
      return corrupt("folder " + quoted(folder) + " has both " + kSingleName +
                     " and an index of other files; remove " + "whichever is not the model");
    }
    if (shards.size() > kMaxShards) {
      return resource_exhausted(base::join_path(folder, kIndexName) + ": " + std::to_string(shards.size()) +
                                " shards; at most " + std::to_string(kMaxShards) + " can be open at once");
    }
  } else if (base::path_exists(base::join_path(folder, kSingleName))) {
    shards.emplace_back(kSingleName);
  } else {
    return no_weights(folder);
  }
  OCTAVO_ASSIGN_OR_RETURN(checkpoint.config_, read_object(folder, "config.json", kMaxConfigBytes));
  if (base::path_exists(base::join_path(folder, "generation_config.json"))) {
    OCTAVO_ASSIGN_OR_RETURN(checkpoint.generation_config_,
                            read_object(folder, "generation_config.json", kMaxConfigBytes));
  }
  for (const std::string& shard : shards) {
    Result<std::string> path = path_in_folder(folder, shard);
    if (!path.ok()) return weights ? path.status().with_context(kIndexName) : path.status();
    OCTAVO_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::open(*path));
    checkpoint.files_.push_back(std::move(file));
  }
  OCTAVO_RETURN_IF_ERROR(checkpoint.merge_tensors());
  if (weights) OCTAVO_RETURN_IF_ERROR(checkpoint.check_index(*weights, shards));
  checkpoint.compute_fingerprint();
  return checkpoint;
}

Status Checkpoint::merge_tensors() {
  std::vector<std::pair<const TensorInfo*, size_t>> all;  // with the position of its file
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const TensorInfo& info : files_[i].tensors()) all.emplace_back(&info, i);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.first->name != b.first->name ? a.first->name < b.first->name : a.second < b.second;
  });
  for (size_t i = 0; i < all.size(); ++i) {
    if (i > 0 && all[i].first->name == all[i - 1].first->name) {
      return corrupt("tensor " + quoted(all[i].first->name) +
                     " is in two files: " + quoted(files_[all[i - 1].second].path()) + " and " +
                     quoted(files_[all[i].second].path()));
    }
    tensors_.push_back(all[i].first);
    file_of_.push_back(all[i].second);
  }
  return {};
}

Status Checkpoint::check_index(const std::vector<std::pair<std::string, std::string>>& weights,
                               const std::vector<std::string>& shards) const {
  const std::string in_index = base::join_path(folder_, kIndexName);
  size_t i = 0;  // both lists are sorted by name and unique
  for (const auto& [tensor, shard] : weights) {
    if (i < tensors_.size() && tensors_[i]->name < tensor) break;
    if (i == tensors_.size() || tensors_[i]->name != tensor) {
      return corrupt(in_index + ": tensor " + quoted(tensor) + " is in none of the files");
    }
    if (shards[file_of_[i]] != shard) {
      return corrupt(in_index + ": tensor " + quoted(tensor) + " should be in " + quoted(shard) +
                     ", but is in " + quoted(shards[file_of_[i]]));
    }
    ++i;
  }
  if (i < tensors_.size()) {
    return corrupt(in_index + ": tensor " + quoted(tensors_[i]->name) + " of " + quoted(shards[file_of_[i]]) +
                   " is not listed");
  }
  return {};
}

void Checkpoint::compute_fingerprint() {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  const auto add = [&](std::string_view bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  add(config_.dump());
  for (const SafetensorsFile& file : files_) {
    add(std::to_string(file.header_hash()) + "/" + std::to_string(file.size_bytes()) + ";");
  }
  fingerprint_ = hash;
}

size_t Checkpoint::position(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const TensorInfo* info, std::string_view wanted) { return info->name < wanted; });
  if (found == tensors_.end() || (*found)->name != name) return tensors_.size();
  return static_cast<size_t>(found - tensors_.begin());
}

const TensorInfo* Checkpoint::find(std::string_view name) const {
  const size_t i = position(name);
  return i < tensors_.size() ? tensors_[i] : nullptr;
}

const SafetensorsFile& Checkpoint::file_of(const TensorInfo& info) const {
  const size_t i = position(info.name);
  OCTAVO_CHECK(i < tensors_.size());
  return files_[file_of_[i]];
}

Status Checkpoint::read(std::string_view name, void* to, uint64_t n_bytes) const {
  const size_t i = position(name);
  if (i == tensors_.size()) return not_found("folder " + quoted(folder_) + " has no tensor " + quoted(name));
  if (n_bytes != tensors_[i]->n_bytes) {
    return corrupt("file " + quoted(files_[file_of_[i]].path()) + ": tensor " + quoted(name) + ": expected " +
                   std::to_string(n_bytes) + " bytes, found " + std::to_string(tensors_[i]->n_bytes));
  }
  return files_[file_of_[i]].read(*tensors_[i], to);
}

Result<tensor::Buffer> Checkpoint::read(std::string_view name) const {
  const size_t i = position(name);
  if (i == tensors_.size()) return not_found("folder " + quoted(folder_) + " has no tensor " + quoted(name));
  const uint64_t n_bytes = tensors_[i]->n_bytes;
  if (n_bytes > kLargeTensorBytes && n_bytes > base::available_memory_bytes()) {
    return resource_exhausted("tensor " + quoted(name) + " takes " + base::format_bytes(n_bytes) +
                              ", but only " + base::format_bytes(base::available_memory_bytes()) +
                              " of memory are available");
  }
  tensor::Buffer buffer(n_bytes);
  OCTAVO_RETURN_IF_ERROR(files_[file_of_[i]].read(*tensors_[i], buffer.data()));
  return buffer;
}

Status Checkpoint::read_part(std::string_view name, uint64_t begin, uint64_t n_bytes, void* to) const {
  const size_t i = position(name);
  if (i == tensors_.size()) return not_found("folder " + quoted(folder_) + " has no tensor " + quoted(name));
  return files_[file_of_[i]].read_part(*tensors_[i], begin, n_bytes, to);
}

}  // namespace octavo::format
