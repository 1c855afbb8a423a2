// octavo_make_synthetic LIKE DST --layers N [--width N] [--seed N]: a checkpoint with random bf16 weights in
// the layout of the model folder LIKE (its tokenizer too), with another number of layers and another width:
// d_model = width, d_ff = 3 * width. For measuring memory and time in shapes for which there is no trained
// model.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "model/synthetic_checkpoint.h"

namespace octavo {
namespace {

struct Arguments {
  std::string like, target;
  int64_t n_layers = 2, width = 512;
  uint64_t seed = 0;
};

Status make(const Arguments& arguments) {
  OCTAVO_ASSIGN_OR_RETURN(base::Json config_json,
                          base::read_json_file(base::join_path(arguments.like, "config.json")));
  config_json.set("num_hidden_layers", arguments.n_layers);
  config_json.set("hidden_size", arguments.width);
  config_json.set("intermediate_size", 3 * arguments.width);
  OCTAVO_ASSIGN_OR_RETURN(base::AtomicFolder folder, base::AtomicFolder::create(arguments.target));
  OCTAVO_RETURN_IF_ERROR(
      model::write_synthetic_checkpoint(config_json, arguments.seed, folder.temporary_path()));
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    const std::string source = base::join_path(arguments.like, name);
    if (!base::path_exists(source)) continue;
    OCTAVO_ASSIGN_OR_RETURN(const std::string bytes, base::read_file(source));
    OCTAVO_RETURN_IF_ERROR(base::write_file_atomic(base::join_path(folder.temporary_path(), name), bytes));
  }
  return folder.commit();
}

// False when the words are not as the usage line says.
bool parse(const std::vector<std::string>& words, Arguments& arguments) {
  if (words.size() < 2 || words.size() % 2 != 0) return false;
  arguments.like = words[0];
  arguments.target = words[1];
  for (size_t i = 2; i < words.size(); i += 2) {
    char* end = nullptr;
    const long long value = std::strtoll(words[i + 1].c_str(), &end, 10);
    if (*end != '\0' || value < 0) return false;
    if (words[i] == "--layers") {
      arguments.n_layers = value;
    } else if (words[i] == "--width") {
      arguments.width = value;
    } else if (words[i] == "--seed") {
      arguments.seed = static_cast<uint64_t>(value);
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  octavo::Arguments arguments;
  if (!octavo::parse({argv + 1, argv + argc}, arguments)) {
    std::fputs("usage: octavo_make_synthetic LIKE DST [--layers N] [--width N] [--seed N]\n", stderr);
    return 2;
  }
  const octavo::Status status = octavo::make(arguments);
  if (!status.ok()) std::fprintf(stderr, "octavo_make_synthetic: error: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
