// Called by checkpoint.cc. What an index says is checked against the files there.
#include "format/weight_files.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/file.h"
#include "base/text_format.h"

namespace octavo::format {

namespace {

using base::Json;
using base::quoted;

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kMindFormersIndexName = "param_name_map.json";
constexpr size_t kMaxIndexBytes = size_t{100} << 20;
constexpr size_t kMaxShards = 900;  // each is an open file; systems allow 1024 by default

struct FreePath {
  void operator()(char* path) const { std::free(path); }
};

// The path without symbolic links; empty when it does not exist.
std::string real_path(const std::string& path) {
  const std::unique_ptr<char, FreePath> resolved(::realpath(path.c_str(), nullptr));
  return resolved ? resolved.get() : "";
}

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The object of tensor names to file names, under "weight_map" or, as MindFormers also writes it, alone.
Result<WeightMap> read_index(const std::string& folder, const std::string& index_name) {
  OCTAVO_ASSIGN_OR_RETURN(const Json index, read_object(folder, index_name, kMaxIndexBytes));
  const std::string in_index = base::join_path(folder, index_name);
  const Json* map = index.find("weight_map");
  if (map == nullptr && index_name == kMindFormersIndexName) map = &index;
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

std::vector<std::string> files_of(const WeightMap& map) {
  std::vector<std::string> names;
  for (const auto& [tensor, name] : map) names.push_back(name);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// The index of the folder, by name; "" when it has none.
Result<std::string> find_index(const std::string& folder) {
  if (base::path_exists(base::join_path(folder, kIndexName))) return std::string(kIndexName);
  if (base::path_exists(base::join_path(folder, kSingleName))) return std::string();
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<std::string> names, base::list_folder(folder));
  std::string found;
  for (const std::string& name : names) {
    if (name != kMindFormersIndexName && !name.ends_with(".safetensors.index.json")) continue;
    if (!found.empty()) {
      return invalid_argument("folder " + quoted(folder) + " has two indices of its weights, " +
                              quoted(found) + " and " + quoted(name) + "; remove whichever is not true");
    }
    found = name;
  }
  return found;
}

}  // namespace

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

Result<WeightFiles> find_weight_files(const std::string& folder) {
  WeightFiles files;
  OCTAVO_ASSIGN_OR_RETURN(files.index_name, find_index(folder));
  const bool has_single = base::path_exists(base::join_path(folder, kSingleName));
  if (!files.index_name.empty()) {
    OCTAVO_ASSIGN_OR_RETURN(files.map, read_index(folder, files.index_name));
    files.names = files_of(*files.map);
    if (has_single && !std::binary_search(files.names.begin(), files.names.end(), kSingleName)) {
      return corrupt("folder " + quoted(folder) + " has both " + kSingleName +
                     " and an index of other files; remove whichever is not the model");
    }
  } else if (has_single) {
    files.names.emplace_back(kSingleName);
  } else {
    OCTAVO_ASSIGN_OR_RETURN(files.names, base::list_folder(folder));
    std::erase_if(files.names, [](const std::string& name) { return !name.ends_with(".safetensors"); });
    if (files.names.empty()) return no_weights(folder);
    std::sort(files.names.begin(), files.names.end());
    files.are_guessed = true;
  }
  if (files.names.size() > kMaxShards) {
    const std::string where = files.index_name.empty() ? folder : base::join_path(folder, files.index_name);
    return resource_exhausted(where + ": " + std::to_string(files.names.size()) + " shards; at most " +
                              std::to_string(kMaxShards) + " can be open at once");
  }
  return files;
}

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

}  // namespace octavo::format
