// Any bytes to the JSON parser: no crash, and what is accepted reads back equal from its own text.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using octavo::base::parse_json;
  const auto tree = parse_json(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!tree.ok()) return 0;
  const auto again = parse_json(tree->dump(2));
  OCTAVO_CHECK(again.ok() && *again == *tree);
  return 0;
}
