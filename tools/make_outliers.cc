// octavo_make_outliers SRC DST [--channels N] [--max-exponent E] [--seed N]: the same function with outlier
// activations. In every layer, N channels of each of four places are multiplied by powers of two up to 2^E,
// and what reads them is divided by them:
//   input_layernorm -> columns of q, k, v            post_attention_layernorm -> columns of gate, up
//   rows of v (and bias) -> columns of o             rows of up (and bias) -> columns of down
// Powers of two pass through every product, sum and rounding to bf16, so the logits keep their bits. These
// are the four places where SmoothQuant (arXiv:2211.10438) takes such outliers out again;
// tests/e2e/outlier_test.cc.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/text_format.h"
#include "data/random.h"
#include "format/checkpoint.h"
#include "format/safetensors_writer.h"
#include "model/arch/arch_spec.h"
#include "model/config.h"
#include "tensor/dtype.h"

namespace octavo {
namespace {

using model::LinearSlot;

struct Arguments {
  std::string source, target;
  int64_t n_channels = 0, max_exponent = 8;  // 0 channels: kShare of a place's
  uint64_t seed = 0;
};
constexpr int64_t kShare = 50;        // one of so many
constexpr int64_t kMaxExponent = 16;  // far from what a float model's activations can take

// A tensor's values and the powers of two that go onto them.
struct Scaled {
  const format::TensorInfo* info = nullptr;
  std::vector<float> values;
  int64_t n_columns = 1;  // a vector is a column: its elements are rows

  int64_t n_rows() const { return static_cast<int64_t>(values.size()) / n_columns; }
};
using Tensors = std::map<std::string, Scaled>;

// One channel of a place: elements [begin, begin + count * stride) of a tensor, times 2^exponent.
struct Slice {
  Scaled* tensor;
  int64_t begin, count, stride;
  int exponent;
};

Slice row(Scaled& tensor, int64_t i, int exponent) {
  return {&tensor, i * tensor.n_columns, tensor.n_columns, 1, exponent};
}
Slice column(Scaled& tensor, int64_t j, int exponent) {
  return {&tensor, j, tensor.n_rows(), tensor.n_columns, exponent};
}

// True when every value of the slice stays a normal number that its file's type holds exactly.
bool is_exact(const Slice& slice) {
  for (int64_t i = 0; i < slice.count; ++i) {
    const float value = slice.tensor->values[static_cast<size_t>(slice.begin + i * slice.stride)];
    const float scaled = std::ldexp(value, slice.exponent);
    if (value == 0) continue;
    if (!std::isnormal(value) || !std::isnormal(scaled)) return false;
    if (tensor::round_to_dtype(slice.tensor->info->dtype, scaled) != scaled) return false;
  }
  return true;
}

void scale(const Slice& slice) {
  for (int64_t i = 0; i < slice.count; ++i) {
    float& value = slice.tensor->values[static_cast<size_t>(slice.begin + i * slice.stride)];
    value = std::ldexp(value, slice.exponent);
  }
}

// One of the four places: `channel(i, e)` says what multiplying channel i by 2^e touches.
template <class Channel>
Status scale_place(const std::string& name, int64_t n, const Arguments& arguments, data::Random& random,
                   const Channel& channel) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) order[static_cast<size_t>(i)] = i;
  random.shuffle(order);
  const int64_t n_wanted = arguments.n_channels == 0 ? (n + kShare - 1) / kShare : arguments.n_channels;
  // The first takes the largest power, the rest any of the upper half.
  const auto lowest = (arguments.max_exponent + 1) / 2;
  int64_t n_scaled = 0;
  for (const int64_t i : order) {
    if (n_scaled == n_wanted) return {};
    const int64_t below_max =
        static_cast<int64_t>(random.below(static_cast<uint64_t>(arguments.max_exponent - lowest + 1)));
    const std::vector<Slice> slices =
        channel(i, static_cast<int>(arguments.max_exponent - (n_scaled == 0 ? 0 : below_max)));
    bool exact = true;
    for (const Slice& slice : slices) exact = exact && is_exact(slice);
    if (!exact) continue;
    for (const Slice& slice : slices) scale(slice);
    ++n_scaled;
  }
  if (n_scaled == n_wanted) return {};
  return invalid_argument(name + ": " + std::to_string(n_wanted) + " channels are wanted, but of " +
                          std::to_string(n) + " only " + std::to_string(n_scaled) +
                          " can be multiplied without leaving their type's range");
}

class LayerTensors {
 public:
  LayerTensors(const format::Checkpoint& checkpoint, const model::ModelConfig& config, int64_t layer,
               Tensors& tensors)
      : checkpoint_(checkpoint),
        arch_(*config.arch),
        prefix_(std::string(arch_.layers) + "." + std::to_string(layer) + "."),
        tensors_(tensors) {}

  const std::string& prefix() const { return prefix_; }
  Status read_all() {
    for (const char* module : arch_.linear) {
      OCTAVO_RETURN_IF_ERROR(read(std::string(module) + ".weight"));
      if (checkpoint_.find(prefix_ + module + ".bias") != nullptr)
        OCTAVO_RETURN_IF_ERROR(read(std::string(module) + ".bias"));
    }
    OCTAVO_RETURN_IF_ERROR(read(std::string(arch_.input_norm) + ".weight"));
    return read(std::string(arch_.post_attention_norm) + ".weight");
  }
  Scaled& norm(const char* module) { return tensors_.at(prefix_ + module + ".weight"); }
  Scaled& weight(LinearSlot slot) { return tensors_.at(linear(slot) + ".weight"); }
  // Row i of a linear layer: of its weight, and of its bias if it has one.
  std::vector<Slice> output(LinearSlot slot, int64_t i, int exponent) {
    std::vector<Slice> slices = {row(weight(slot), i, exponent)};
    const auto bias = tensors_.find(linear(slot) + ".bias");
    if (bias != tensors_.end()) slices.push_back(row(bias->second, i, exponent));
    return slices;
  }

 private:
  std::string linear(LinearSlot slot) const { return prefix_ + arch_.linear[static_cast<size_t>(slot)]; }

  Status read(const std::string& rest) {
    const std::string name = prefix_ + rest;
    const format::TensorInfo* info = checkpoint_.find(name);
    if (info == nullptr) return not_found("tensor " + base::quoted(name) + " is missing");
    using tensor::DType;
    if (info->dtype != DType::kF32 && info->dtype != DType::kBF16 && info->dtype != DType::kF16) {
      return unsupported("tensor " + base::quoted(name) + " is " + tensor::dtype_name(info->dtype) +
                         "; expected a float model: BF16, F16 or F32");
    }
    OCTAVO_ASSIGN_OR_RETURN(const tensor::Buffer bytes, checkpoint_.read(name));
    Scaled scaled{.info = info, .values = std::vector<float>(static_cast<size_t>(info->n_elements()))};
    if (info->shape.size() == 2) scaled.n_columns = info->shape[1];
    tensor::convert_to_f32(info->dtype, bytes.data(), scaled.values.data(), info->n_elements());
    tensors_[name] = std::move(scaled);
    return {};
  }

  const format::Checkpoint& checkpoint_;
  const model::ArchSpec& arch_;
  std::string prefix_;
  Tensors& tensors_;
};

Status scale_layer(const model::ModelConfig& config, const Arguments& arguments, data::Random& random,
                   LayerTensors& layer) {
  const model::ArchSpec& arch = *config.arch;
  const auto norm_place = [&](const char* norm, std::span<const LinearSlot> readers) {
    return scale_place(layer.prefix() + norm, config.d_model, arguments, random,
                       [&](int64_t i, int exponent) {
                         std::vector<Slice> slices = {row(layer.norm(norm), i, exponent)};
                         for (const LinearSlot slot : readers)
                           slices.push_back(column(layer.weight(slot), i, -exponent));
                         return slices;
                       });
  };
  constexpr LinearSlot kQkv[] = {LinearSlot::kQ, LinearSlot::kK, LinearSlot::kV};
  constexpr LinearSlot kGateUp[] = {LinearSlot::kGate, LinearSlot::kUp};
  OCTAVO_RETURN_IF_ERROR(norm_place(arch.input_norm, kQkv));
  OCTAVO_RETURN_IF_ERROR(norm_place(arch.post_attention_norm, kGateUp));

  const int64_t heads_per_kv = config.n_heads / config.n_kv_heads;
  OCTAVO_RETURN_IF_ERROR(scale_place(
      layer.prefix() + "v, o", config.kv_width(), arguments, random, [&](int64_t i, int exponent) {
        std::vector<Slice> slices = layer.output(LinearSlot::kV, i, exponent);
        const int64_t kv_head = i / config.head_dim, d = i % config.head_dim;
        for (int64_t head = kv_head * heads_per_kv; head < (kv_head + 1) * heads_per_kv; ++head)
          slices.push_back(column(layer.weight(LinearSlot::kO), head * config.head_dim + d, -exponent));
        return slices;
      }));
  return scale_place(layer.prefix() + "up, down", config.d_ff, arguments, random,
                     [&](int64_t i, int exponent) {
                       std::vector<Slice> slices = layer.output(LinearSlot::kUp, i, exponent);
                       slices.push_back(column(layer.weight(LinearSlot::kDown), i, -exponent));
                       return slices;
                     });
}

Status write_weights(const format::Checkpoint& checkpoint, const Tensors& tensors,
                     const std::string& folder) {
  std::vector<format::TensorSpec> plan;
  for (const format::TensorInfo* info : checkpoint.tensors())
    plan.push_back({.name = info->name, .dtype = info->dtype, .shape = info->shape});
  OCTAVO_ASSIGN_OR_RETURN(format::ShardedWriter writer, format::ShardedWriter::create(folder, plan));
  for (const format::TensorInfo* info : checkpoint.tensors()) {
    OCTAVO_ASSIGN_OR_RETURN(tensor::Buffer bytes, checkpoint.read(info->name));
    if (const auto scaled = tensors.find(info->name); scaled != tensors.end()) {
      tensor::convert_from_f32(info->dtype, scaled->second.values.data(), bytes.data(), info->n_elements());
    }
    OCTAVO_RETURN_IF_ERROR(writer.write(info->name, bytes.data(), info->n_bytes));
  }
  return writer.finish();
}

bool is_weights(std::string_view name) {
  return name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
}

Status make(const Arguments& arguments) {
  OCTAVO_ASSIGN_OR_RETURN(const format::Checkpoint checkpoint, format::Checkpoint::open(arguments.source));
  OCTAVO_ASSIGN_OR_RETURN(
      const model::ModelConfig config,
      model::parse_model_config(checkpoint.config(), base::join_path(arguments.source, "config.json")));
  Tensors tensors;
  data::Random random(arguments.seed);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    LayerTensors layer(checkpoint, config, i, tensors);
    OCTAVO_RETURN_IF_ERROR(layer.read_all());
    OCTAVO_RETURN_IF_ERROR(scale_layer(config, arguments, random, layer));
  }
  OCTAVO_ASSIGN_OR_RETURN(base::AtomicFolder folder, base::AtomicFolder::create(arguments.target));
  OCTAVO_RETURN_IF_ERROR(write_weights(checkpoint, tensors, folder.temporary_path()));
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<std::string> names, base::list_folder(arguments.source));
  for (const std::string& name : names) {
    const std::string from = base::join_path(arguments.source, name);
    if (is_weights(name) || base::is_folder(from)) continue;
    OCTAVO_ASSIGN_OR_RETURN(const std::string bytes, base::read_file(from));
    OCTAVO_RETURN_IF_ERROR(base::write_file_atomic(base::join_path(folder.temporary_path(), name), bytes));
  }
  return folder.commit();
}

// False when the words are not as the usage line says.
bool parse(const std::vector<std::string>& words, Arguments& arguments) {
  if (words.size() < 2 || words.size() % 2 != 0) return false;
  arguments.source = words[0];
  arguments.target = words[1];
  for (size_t i = 2; i < words.size(); i += 2) {
    char* end = nullptr;
    const long long value = std::strtoll(words[i + 1].c_str(), &end, 10);
    if (words[i + 1].empty() || *end != '\0' || value < 0) return false;
    if (words[i] == "--channels") {
      arguments.n_channels = value;
    } else if (words[i] == "--max-exponent" && value <= kMaxExponent) {
      arguments.max_exponent = value;
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
    std::fputs(
        "usage: octavo_make_outliers SRC DST [--channels N] [--max-exponent E] [--seed N]\n"
        "  N channels of each of four places of a layer, default one of 50; powers of two up to 2^E, default "
        "8\n",
        stderr);
    return 2;
  }
  const octavo::Status status = octavo::make(arguments);
  if (!status.ok()) std::fprintf(stderr, "octavo_make_outliers: error: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
