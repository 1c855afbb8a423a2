// Any bytes to the YAML parser: no crash, and what is accepted is a tree that JSON can say.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using octavo::base::parse_json;
  using octavo::base::parse_yaml;
  const auto tree = parse_yaml(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!tree.ok()) return 0;
  const auto again = parse_json(tree->dump());
  OCTAVO_CHECK(again.ok() && *again == *tree);
  return 0;
}
