#pragma once
// The architectures Octavo runs. Adding one: its ArchSpec in a file under model/arch/, and a line in
// registry.cc.
#include <string>
#include <string_view>
#include <vector>

namespace octavo::model {
struct ArchSpec;
// By config.json's "architectures" entry, or by its "model_type"; nullptr when unknown.
const ArchSpec* find_arch(std::string_view architecture);
const ArchSpec* find_arch_by_model_type(std::string_view model_type);
std::vector<std::string> arch_names();  // "Qwen3ForCausalLM", …
}  // namespace octavo::model
