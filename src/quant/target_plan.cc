// Every tensor of the source has its place in the target; weights that become int8 bring their scales. Called
// by preflight.cc; write.cc follows it.
#include "quant/target_plan.h"

#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/arch/arch_spec.h"

namespace octavo::quant {
namespace {

using format::TensorSpec;

// The number in "model.layers.12.mlp.up_proj.weight" after "model.layers.", if there is one.
std::optional<size_t> layer_of(std::string_view name, std::string_view layers) {
  if (!name.starts_with(layers) || name.size() <= layers.size() || name[layers.size()] != '.') return {};
  name.remove_prefix(layers.size() + 1);
  size_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
  return layer;
}

// The int8 linears, by the names of their weights.
std::map<std::string, LinearPolicy> quantized_weights(const model::ModelConfig& config,
                                                      const ModelPolicy& policy) {
  std::map<std::string, LinearPolicy> found;
  for (size_t layer = 0; layer < policy.layers.size(); ++layer) {
    for (size_t slot = 0; slot < policy.layers[layer].size(); ++slot) {
      if (policy.layers[layer][slot].scheme == Scheme::kFloat) continue;
      const std::string module =
          model::linear_name(*config.arch, static_cast<int64_t>(layer), static_cast<model::LinearSlot>(slot));
      found[module + ".weight"] = policy.layers[layer][slot];
    }
  }
  return found;
}

uint64_t bytes_of(const TensorSpec& spec) {
  const auto n_bytes = format::tensor_bytes(spec);
  OCTAVO_CHECK(n_bytes.ok());  // no larger than the source's tensor, whose size was checked
  return *n_bytes;
}

}  // namespace

std::vector<TensorSpec> TargetPlan::in_order() const {
  std::vector<TensorSpec> all = outer;
  for (const std::vector<TensorSpec>& layer : layers) all.insert(all.end(), layer.begin(), layer.end());
  return all;
}

TargetPlan plan_target(const format::Checkpoint& source, const model::ModelConfig& config,
                       const ModelPolicy& policy, QuantLayout layout) {
  const std::map<std::string, LinearPolicy> quantized = quantized_weights(config, policy);
  const std::string lm_head = std::string(config.arch->lm_head) + ".weight";
  const bool has_embedding = source.find(std::string(config.arch->embedding) + ".weight") != nullptr;
  TargetPlan plan;
  plan.layers.resize(static_cast<size_t>(config.n_layers));
  for (const format::TensorInfo* info : source.tensors()) {
    if (config.tied_embeddings && has_embedding && info->name == lm_head) continue;
    const std::optional<size_t> layer = layer_of(info->name, config.arch->layers);
    std::vector<TensorSpec>& to = layer && *layer < plan.layers.size() ? plan.layers[*layer] : plan.outer;
    const auto int8 = quantized.find(info->name);
    if (int8 == quantized.end()) {
      to.push_back({info->name, info->dtype, info->shape});
      continue;
    }
    const std::vector<TensorSpec> specs = stored_linear_specs(layout, *info, int8->second);
    to.insert(to.end(), specs.begin(), specs.end());
  }
  for (const TensorSpec& spec : plan.in_order()) plan.n_bytes += bytes_of(spec);
  return plan;
}

}  // namespace octavo::quant
