#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace octavo::model {
struct ArchSpec;
const ArchSpec* find_arch(std::string_view architecture);  // nullptr when unknown
std::vector<std::string> arch_names();
}  // namespace octavo::model
