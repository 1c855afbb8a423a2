// The manifest of a written folder. In compressed-tensors it is a section of config.json; Golden Stick leaves
// config.json as it was and writes a tag for every tensor into a file of its own. Called by pipeline.cc.
#include "quant/manifest.h"

#include <map>
#include <utility>

#include "base/file.h"
#include "format/quant_manifest/golden_stick_write.h"
#include "model/arch/arch_spec.h"

namespace octavo::quant {
namespace {

using model::LinearSlot;

// Calls each(layer, slot, policy) for every int8 linear.
template <class Each>
void for_each_int8(const ModelPolicy& policy, const Each& each) {
  for (size_t layer = 0; layer < policy.layers.size(); ++layer) {
    for (size_t slot = 0; slot < policy.layers[layer].size(); ++slot) {
      const LinearPolicy& found = policy.layers[layer][slot];
      if (found.scheme != Scheme::kFloat) {
        each(static_cast<int64_t>(layer), static_cast<LinearSlot>(slot), found);
      }
    }
  }
}

std::string escaped(std::string_view name) {
  std::string pattern;
  for (const char c : name) pattern += c == '.' ? std::string("\\.") : std::string(1, c);
  return pattern;
}

// The int8 linears whose inputs are `activations`. One that has them in every layer where it is int8 (what
// stays float is in `ignore`) is a pattern, others are names.
std::vector<std::string> targets_of(const model::ModelConfig& config, const ModelPolicy& policy,
                                    Activations activations) {
  std::array<bool, model::kNLinearSlots> mixed{};
  for_each_int8(policy, [&](int64_t, LinearSlot slot, const LinearPolicy& found) {
    mixed[static_cast<size_t>(slot)] |= found.activations != activations;
  });
  std::array<bool, model::kNLinearSlots> named{};
  std::vector<std::string> targets;
  for_each_int8(policy, [&](int64_t layer, LinearSlot slot, const LinearPolicy& found) {
    const auto index = static_cast<size_t>(slot);
    if (found.activations != activations) return;
    if (mixed[index]) {
      targets.push_back(model::linear_name(*config.arch, layer, slot));
    } else if (!named[index]) {
      named[index] = true;
      targets.push_back("re:.*\\." + escaped(config.arch->linear[index]) + "$");
    }
  });
  return targets;
}

Result<base::Json> compressed_tensors(const Preflight& flight) {
  return format::compressed_tensors_config(quant_groups(flight.config, flight.policy),
                                           flight.policy.float_linear);
}

base::Json golden_stick(const Preflight& flight) {
  std::map<std::string, format::GoldenStickScheme> modules;
  for_each_int8(flight.policy, [&](int64_t layer, LinearSlot slot, const LinearPolicy& found) {
    modules[model::linear_name(*flight.config.arch, layer, slot)] =
        found.has_static_input() ? format::GoldenStickScheme::kW8A8 : format::GoldenStickScheme::kW8A8Dynamic;
  });
  std::vector<std::string> tensors;
  for (const format::TensorSpec& spec : flight.plan.in_order()) tensors.push_back(spec.name);
  return format::golden_stick_description(tensors, modules);
}

}  // namespace

std::vector<format::QuantGroup> quant_groups(const model::ModelConfig& config, const ModelPolicy& policy) {
  format::QuantGroup dynamic, with_static;
  with_static.quant.input = format::InputQuant::kStaticTensor;
  with_static.quant.input_symmetric = false;
  if (policy.n_static == 0) return {dynamic};
  if (policy.n_static == policy.n_quantized) return {with_static};
  with_static.targets = targets_of(config, policy, Activations::kStatic);
  dynamic.targets = targets_of(config, policy, Activations::kDynamic);
  return {with_static, dynamic};
}

Status write_manifest(QuantLayout layout, const Preflight& flight, const std::string& folder) {
  const std::string path = base::join_path(folder, "config.json");
  if (layout == QuantLayout::kCompressedTensors) {
    base::Json config = flight.source.config();
    OCTAVO_ASSIGN_OR_RETURN(base::Json section, compressed_tensors(flight));
    config.set("quantization_config", std::move(section));
    return base::write_file_atomic(path, config.dump(2) + "\n");
  }
  OCTAVO_ASSIGN_OR_RETURN(const std::string config,
                          base::read_file(base::join_path(flight.source.folder(), "config.json")));
  OCTAVO_RETURN_IF_ERROR(base::write_file_atomic(path, config));
  return base::write_file_atomic(base::join_path(folder, format::kGoldenStickDescription),
                                 golden_stick(flight).dump(4) + "\n");
}

}  // namespace octavo::quant
