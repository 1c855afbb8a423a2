// A Hugging Face model folder as one set of tensors. Opened by model/, quant/, engine/ and inspect.cc.
// What the index says is believed only where the shards agree: each tensor is in exactly the shard that it
// names.
#include "format/checkpoint.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text_format.h"
#include "format/mindformers_names.h"
#include "format/quant_manifest/quant_manifest.h"
#include "format/weight_files.h"

namespace octavo::format {

namespace {

using base::Json;
using base::quoted;

constexpr size_t kMaxConfigBytes = size_t{16} << 20;
constexpr uint64_t kLargeTensorBytes = uint64_t{64}
                                       << 20;  // below it asking how much memory is left is not worth it

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::string& folder) {
  if (!base::path_exists(folder)) return not_found("model folder " + quoted(folder) + " does not exist");
  if (!base::is_folder(folder)) {
    return invalid_argument(quoted(folder) + " is no folder; expected a Hugging Face model folder");
  }
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  OCTAVO_ASSIGN_OR_RETURN(const WeightFiles weights, find_weight_files(folder));
  Result<Json> config = read_object(folder, "config.json", kMaxConfigBytes);
  if (config.status().code() == StatusCode::kNotFound) {
    return not_found(config.status().message() + "; take that of the model which these weights come from");
  }
  if (!config.ok()) return config.status();
  checkpoint.config_ = std::move(*config);
  if (base::path_exists(base::join_path(folder, "generation_config.json"))) {
    OCTAVO_ASSIGN_OR_RETURN(checkpoint.generation_config_,
                            read_object(folder, "generation_config.json", kMaxConfigBytes));
  }
  for (const std::string& name : weights.names) {
    Result<std::string> path = path_in_folder(folder, name);
    if (!path.ok()) return weights.map ? path.status().with_context(weights.index_name) : path.status();
    OCTAVO_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::open(*path));
    checkpoint.files_.push_back(std::move(file));
  }
  checkpoint.has_mindformers_names_ =
      std::any_of(checkpoint.files_.begin(), checkpoint.files_.end(),
                  [](const SafetensorsFile& file) { return format::has_mindformers_names(file.tensors()); });
  if (weights.are_guessed && !checkpoint.has_mindformers_names_) {
    OCTAVO_ASSIGN_OR_RETURN(const auto description, find_quant_description(folder));
    if (!description || weights.names.size() > 1) return no_weights(folder);
  }
  OCTAVO_RETURN_IF_ERROR(checkpoint.merge_tensors());
  if (weights.map) OCTAVO_RETURN_IF_ERROR(checkpoint.check_index(weights));
  if (checkpoint.has_mindformers_names_) OCTAVO_RETURN_IF_ERROR(checkpoint.rename_tensors());
  checkpoint.compute_fingerprint();
  return checkpoint;
}

Status Checkpoint::rename_tensors() {
  for (SafetensorsFile& file : files_) {
    Result<std::vector<TensorInfo>> renamed = with_hugging_face_names(file.tensors(), config_);
    if (!renamed.ok()) return renamed.status().with_context("file " + quoted(file.path()));
    file.replace_tensors(std::move(*renamed));
  }
  return merge_tensors();
}

Status Checkpoint::merge_tensors() {
  tensors_.clear();
  file_of_.clear();
  std::vector<std::pair<const TensorInfo*, size_t>> all;  // with the position of its file
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const TensorInfo& info : files_[i].tensors()) all.emplace_back(&info, i);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.first->name != b.first->name ? a.first->name < b.first->name : a.second < b.second;
  });
  for (size_t i = 0; i < all.size(); ++i) {
    if (i > 0 && all[i].first->name == all[i - 1].first->name) {
      if (all[i].second == all[i - 1].second) {
        return corrupt("file " + quoted(files_[all[i].second].path()) + ": two tensors are both " +
                       quoted(all[i].first->name) + " once MindFormers' names are read as Hugging Face's");
      }
      return corrupt("tensor " + quoted(all[i].first->name) +
                     " is in two files: " + quoted(files_[all[i - 1].second].path()) + " and " +
                     quoted(files_[all[i].second].path()));
    }
    tensors_.push_back(all[i].first);
    file_of_.push_back(all[i].second);
  }
  return {};
}

Status Checkpoint::check_index(const WeightFiles& files) const {
  const std::string in_index = base::join_path(folder_, files.index_name);
  const std::vector<std::string>& shards = files.names;
  size_t i = 0;  // both lists are sorted by name and unique
  for (const auto& [tensor, shard] : *files.map) {
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
  base::Hash hash;
  hash.add(config_.dump());
  for (const SafetensorsFile& file : files_) hash.add(file.header_hash()).add(file.size_bytes());
  fingerprint_ = hash.value();
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
  OCTAVO_ASSIGN_OR_RETURN(tensor::Buffer buffer, make_room(*tensors_[i], tensors_[i]->n_bytes));
  OCTAVO_RETURN_IF_ERROR(files_[file_of_[i]].read(*tensors_[i], buffer.data()));
  return buffer;
}

Result<tensor::Buffer> Checkpoint::make_room(const TensorInfo& info, uint64_t n_bytes) {
  if (n_bytes > kLargeTensorBytes && n_bytes > base::available_memory_bytes()) {
    return resource_exhausted("tensor " + quoted(info.name) + " takes " + base::format_bytes(n_bytes) +
                              ", but only " + base::format_bytes(base::available_memory_bytes()) +
                              " of memory are available");
  }
  return tensor::Buffer(n_bytes);
}

Status Checkpoint::read_part(std::string_view name, uint64_t begin, uint64_t n_bytes, void* to) const {
  const size_t i = position(name);
  if (i == tensors_.size()) return not_found("folder " + quoted(folder_) + " has no tensor " + quoted(name));
  return files_[file_of_[i]].read_part(*tensors_[i], begin, n_bytes, to);
}

}  // namespace octavo::format
