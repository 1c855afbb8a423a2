// The one list of architectures.
#include "model/registry.h"

#include <array>

#include "model/arch/arch_spec.h"
#include "model/arch/llama.h"
#include "model/arch/qwen3.h"

namespace octavo::model {

namespace {
constexpr std::array<const ArchSpec*, 2> kArchs = {&kQwen3, &kLlama};
}  // namespace

const ArchSpec* find_arch(std::string_view architecture) {
  for (const ArchSpec* arch : kArchs) {
    if (architecture == arch->architecture) return arch;
  }
  return nullptr;
}

const ArchSpec* find_arch_by_model_type(std::string_view model_type) {
  for (const ArchSpec* arch : kArchs) {
    if (model_type == arch->model_type) return arch;
  }
  return nullptr;
}

std::vector<std::string> arch_names() {
  std::vector<std::string> names;
  for (const ArchSpec* arch : kArchs) names.emplace_back(arch->architecture);
  return names;
}

std::string linear_name(const ArchSpec& arch, int64_t layer, LinearSlot slot) {
  return std::string(arch.layers) + "." + std::to_string(layer) + "." +
         arch.linear[static_cast<size_t>(slot)];
}

}  // namespace octavo::model
