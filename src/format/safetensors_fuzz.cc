// Any bytes as a safetensors header over 64 bytes of data: refused, or tensors that fill the data exactly.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "format/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const uint64_t data_offset = 8 + size, file_bytes = data_offset + 64;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto header = octavo::format::parse_safetensors_header(text, data_offset, file_bytes, "fuzz");
  if (!header.ok()) return 0;
  uint64_t end = data_offset;
  for (const auto& info : header->tensors) {
    OCTAVO_CHECK(info.offset == end && info.n_elements() >= 0);
    end += info.n_bytes;
  }
  OCTAVO_CHECK(end == file_bytes);
  return 0;
}
