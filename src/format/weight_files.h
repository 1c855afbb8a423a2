#pragma once
// Which files of a model folder hold its weights.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::format {

// Tensor name -> name of its file, sorted by tensor.
using WeightMap = std::vector<std::pair<std::string, std::string>>;

struct WeightFiles {
  std::vector<std::string> names;  // in the folder, sorted
  std::optional<WeightMap> map;    // where an index says which tensor is in which
  std::string index_name;          // of that index
  // Files of a name of their own and without an index: the weights of a model only if they have MindFormers'
  // tensors, or a description of their quantization beside them.
  bool are_guessed = false;
};

// model.safetensors, the shards of an index (model.safetensors.index.json, another *.safetensors.index.json,
// MindFormers' param_name_map.json), or else whatever *.safetensors there are. Errors say what is in the
// folder instead, and what to do.
Result<WeightFiles> find_weight_files(const std::string& folder);
// There are no weights to read, with what to do about it.
Status no_weights(const std::string& folder);

// The path of a file of the folder. A symbolic link may not lead out of it, except in the layout of the
// Hugging Face cache.
Result<std::string> path_in_folder(const std::string& folder, const std::string& name);
Result<base::Json> read_object(const std::string& folder, const std::string& name, size_t max_bytes);

}  // namespace octavo::format
