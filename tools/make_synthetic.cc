// octavo_make_synthetic LIKE DST --layers N [--width N] [--seed N]: a checkpoint with random bf16 weights in
// the layout of the model folder LIKE (its tokenizer too), with another number of layers and another width:
// d_model = width, d_ff = 3 * width. For measuring memory and time in shapes for which there is no trained
// model. Written tensor by tensor.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "data/random.h"
#include "format/safetensors_writer.h"
#include "model/arch/arch_spec.h"
#include "model/config.h"
#include "tensor/dtype.h"

namespace octavo {
namespace {

struct Arguments {
  std::string like, target;
  int64_t n_layers = 2, width = 512;
  uint64_t seed = 0;
};

std::vector<format::TensorSpec> plan_tensors(const model::ModelConfig& config) {
  const model::ArchSpec& arch = *config.arch;
  std::vector<format::TensorSpec> plan;
  const auto add = [&](const std::string& module, std::vector<int64_t> shape) {
    plan.push_back({.name = module + ".weight", .dtype = tensor::DType::kBF16, .shape = std::move(shape)});
  };
  add(arch.embedding, {config.n_vocab, config.d_model});
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    const std::string prefix = std::string(arch.layers) + "." + std::to_string(layer) + ".";
    const int64_t outputs[] = {config.q_width(), config.kv_width(), config.kv_width(), config.d_model,
                               config.d_ff,      config.d_ff,       config.d_model};
    const int64_t inputs[] = {config.d_model, config.d_model, config.d_model, config.q_width(),
                              config.d_model, config.d_model, config.d_ff};
    for (int slot = 0; slot < model::kNLinearSlots; ++slot)
      add(prefix + arch.linear[slot], {outputs[slot], inputs[slot]});
    add(prefix + arch.input_norm, {config.d_model});
    add(prefix + arch.post_attention_norm, {config.d_model});
    if (arch.qk_norm) {
      add(prefix + arch.q_norm, {config.head_dim});
      add(prefix + arch.k_norm, {config.head_dim});
    }
  }
  add(arch.final_norm, {config.d_model});
  if (!config.tied_embeddings) add(arch.lm_head, {config.n_vocab, config.d_model});
  return plan;
}

// Norms are 1; a matrix is uniform with standard deviation 1 / sqrt(inputs), so that activations keep their
// size.
void fill(const format::TensorSpec& spec, data::Random& random, std::vector<uint16_t>& values) {
  if (spec.shape.size() == 1) {
    values.assign(static_cast<size_t>(spec.shape[0]), tensor::bf16_from_f32(1.0F));
    return;
  }
  values.resize(static_cast<size_t>(spec.shape[0] * spec.shape[1]));
  const double range = __builtin_sqrt(12.0 / static_cast<double>(spec.shape[1]));
  for (uint16_t& value : values) {
    const double unit = static_cast<double>(random.next() >> 11) * 0x1p-53 - 0.5;
    value = tensor::bf16_from_f32(static_cast<float>(range * unit));
  }
}

Status make(const Arguments& arguments) {
  OCTAVO_ASSIGN_OR_RETURN(base::Json config_json,
                          base::read_json_file(base::join_path(arguments.like, "config.json")));
  config_json.set("num_hidden_layers", arguments.n_layers);
  config_json.set("hidden_size", arguments.width);
  config_json.set("intermediate_size", 3 * arguments.width);
  OCTAVO_ASSIGN_OR_RETURN(const model::ModelConfig config,
                          model::parse_model_config(config_json, "config.json"));
  OCTAVO_ASSIGN_OR_RETURN(base::AtomicFolder folder, base::AtomicFolder::create(arguments.target));
  const std::vector<format::TensorSpec> plan = plan_tensors(config);
  OCTAVO_ASSIGN_OR_RETURN(format::ShardedWriter writer,
                          format::ShardedWriter::create(folder.temporary_path(), plan));
  data::Random random(arguments.seed);
  std::vector<uint16_t> values;
  for (const format::TensorSpec& spec : plan) {
    fill(spec, random, values);
    OCTAVO_RETURN_IF_ERROR(writer.write(spec.name, values.data(), values.size() * sizeof(uint16_t)));
  }
  OCTAVO_RETURN_IF_ERROR(writer.finish());
  OCTAVO_RETURN_IF_ERROR(base::write_file_atomic(base::join_path(folder.temporary_path(), "config.json"),
                                                 config_json.dump(2) + "\n"));
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
