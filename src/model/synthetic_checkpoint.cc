// The weights of model/synthetic.h under their names in a checkpoint. One layer is made before the others to
// learn the shapes that the file's header wants first: all layers are alike. Called by bench/ and
// tools/make_synthetic.cc.
#include "model/synthetic_checkpoint.h"

#include <vector>

#include "base/file.h"
#include "format/safetensors_writer.h"
#include "model/arch/arch_spec.h"
#include "model/config.h"
#include "model/synthetic.h"

namespace octavo::model {
namespace {

// Calls visit(module, weight) for each linear, visit(name, values) for each vector that is not empty.
template <class Visit>
Status for_each_tensor(const ArchSpec& arch, int64_t layer, const LayerWeights& weights, const Visit& visit) {
  for (size_t slot = 0; slot < weights.linear.size(); ++slot) {
    const std::string module = linear_name(arch, layer, static_cast<LinearSlot>(slot));
    OCTAVO_RETURN_IF_ERROR(visit(module + ".weight", weights.linear[slot]));
    OCTAVO_RETURN_IF_ERROR(visit(module + ".bias", weights.linear[slot].bias));
  }
  const std::string prefix = std::string(arch.layers) + "." + std::to_string(layer) + ".";
  OCTAVO_RETURN_IF_ERROR(visit(prefix + arch.input_norm + ".weight", weights.input_norm));
  OCTAVO_RETURN_IF_ERROR(visit(prefix + arch.post_attention_norm + ".weight", weights.post_attention_norm));
  if (!arch.qk_norm) return {};
  OCTAVO_RETURN_IF_ERROR(visit(prefix + arch.q_norm + ".weight", weights.q_norm));
  return visit(prefix + arch.k_norm + ".weight", weights.k_norm);
}

template <class Visit>
Status for_each_tensor(const ArchSpec& arch, const OuterWeights& weights, const Visit& visit) {
  OCTAVO_RETURN_IF_ERROR(visit(std::string(arch.embedding) + ".weight", weights.embedding));
  OCTAVO_RETURN_IF_ERROR(visit(std::string(arch.final_norm) + ".weight", weights.final_norm));
  return visit(std::string(arch.lm_head) + ".weight", weights.lm_head);
}

struct AddSpec {
  std::vector<format::TensorSpec>& specs;

  Status operator()(const std::string& name, const LinearWeight& weight) const {
    if (weight.n > 0) specs.push_back({name, weight.dtype, {weight.n, weight.k}});
    return {};
  }
  Status operator()(const std::string& name, const std::vector<float>& values) const {
    const auto n = static_cast<int64_t>(values.size());
    if (n > 0) specs.push_back({name, tensor::DType::kBF16, {n}});
    return {};
  }
};

struct WriteTensor {
  format::ShardedWriter& writer;

  Status operator()(const std::string& name, const LinearWeight& weight) const {
    if (weight.n == 0) return {};
    return writer.write(name, weight.data.data(), weight.data.size_bytes());
  }
  Status operator()(const std::string& name, const std::vector<float>& values) const {
    if (values.empty()) return {};
    std::vector<uint16_t> stored(values.size());
    tensor::convert_from_f32(tensor::DType::kBF16, values.data(), stored.data(), std::ssize(stored));
    return writer.write(name, stored.data(), stored.size() * sizeof(uint16_t));
  }
};

}  // namespace

Status write_synthetic_checkpoint(const base::Json& config_json, uint64_t seed, const std::string& folder,
                                  const Progress* progress) {
  const std::string config_path = base::join_path(folder, "config.json");
  OCTAVO_ASSIGN_OR_RETURN(const ModelConfig config, parse_model_config(config_json, config_path));
  const ArchSpec& arch = *config.arch;
  const SyntheticWeights source(config, {tensor::DType::kBF16, seed});
  std::vector<format::TensorSpec> specs;
  OCTAVO_ASSIGN_OR_RETURN(LayerWeights layer, source.layer(0));
  OuterWeights outer;
  OCTAVO_ASSIGN_OR_RETURN(outer, source.outer());
  OCTAVO_RETURN_IF_ERROR(for_each_tensor(arch, outer, AddSpec{specs}));
  for (int64_t i = 0; i < config.n_layers; ++i) {
    OCTAVO_RETURN_IF_ERROR(for_each_tensor(arch, i, layer, AddSpec{specs}));
  }
  OCTAVO_ASSIGN_OR_RETURN(format::ShardedWriter writer, format::ShardedWriter::create(folder, specs));
  OCTAVO_RETURN_IF_ERROR(for_each_tensor(arch, outer, WriteTensor{writer}));
  outer = {};
  for (int64_t i = 0; i < config.n_layers; ++i) {
    if (progress != nullptr && progress->cancelled())
      return cancelled("writing " + folder + " was interrupted");
    if (i > 0) {
      OCTAVO_ASSIGN_OR_RETURN(layer, source.layer(i));
    }
    OCTAVO_RETURN_IF_ERROR(for_each_tensor(arch, i, layer, WriteTensor{writer}));
  }
  OCTAVO_RETURN_IF_ERROR(writer.finish());
  return base::write_file_atomic(config_path, config_json.dump(2) + "\n");
}

}  // namespace octavo::model
