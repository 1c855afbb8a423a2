// Any JSON as a quantization_config: an answer for a module name, or an error.
#include <cstddef>
#include <cstdint>

#include "format/quant_manifest/quant_manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using octavo::base::Json;
  auto section = octavo::base::parse_json(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!section.ok()) return 0;
  Json config;
  config.set("quantization_config", std::move(*section));
  const auto manifest = octavo::format::QuantManifest::parse(config, "fuzz");
  if (manifest.ok()) (void)manifest->find("model.layers.0.self_attn.q_proj").ok();
  return 0;
}
