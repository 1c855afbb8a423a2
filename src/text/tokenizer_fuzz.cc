// libFuzzer: a tokenizer.json up to the first zero byte, then a text for it.
#include <cstddef>
#include <cstdint>

#include "text/tokenizer_exercise.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  const std::string_view input(reinterpret_cast<const char*>(data), n_bytes);
  const size_t end = std::min(input.find('\0'), n_bytes);
  octavo::text::exercise_tokenizer(input.substr(0, end), input.substr(std::min(end + 1, n_bytes)));
  return 0;
}
