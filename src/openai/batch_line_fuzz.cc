// Any bytes as a line of a batch file: no crash, and an error gives an output line that reads back.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "openai/batch_line.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace octavo;
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  openai::BatchLine parsed = openai::parse_batch_line(line);
  OCTAVO_CHECK((parsed.shared() != nullptr) == parsed.call.ok());
  if (parsed.call.ok()) return 0;
  const base::Json answer = openai::batch_answer_json(parsed, "0", parsed.call.status());
  const auto again = base::parse_json(answer.dump());
  OCTAVO_CHECK(again.ok() && *again == answer);
  return 0;
}
