#pragma once
#include <string>

#include "octavo/status.h"

namespace octavo {

struct InspectReport {
  bool healthy = true;
  std::string reason;  // when not healthy
  std::string text;    // for people
  std::string json;    // for programs, with "schema_version"
};

// A model folder or a safetensors file: what it is, how it is quantized, sizes, checks.
Result<InspectReport> inspect(const std::string& path);

}  // namespace octavo
