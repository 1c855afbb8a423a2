// libFuzzer target: any bytes as a chat template, rendered on a fixed conversation with small limits. It must
// end in a text or a jinja::Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "base/text_format.h"
#include "text/jinja/error.h"
#include "text/jinja/from_json.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace {

constexpr const char* kVariables =
    R"({"add_generation_prompt": true, "bos_token": "<s>", "tools": [{"name": "f"}],
  "messages": [{"role": "user", "content": "h\u00e9llo <think>a</think> 1.5"},
               {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5]}}}]}]})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace octavo::text;
  static const octavo::base::Json variables = octavo::base::parse_json(kVariables).value();
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  if (!octavo::base::is_valid_utf8(source)) return 0;
  jinja::Limits limits;
  limits.max_steps = 100'000;
  limits.max_live_bytes = uint64_t{16} << 20;
  try {
    const jinja::Tree tree = jinja::parse(source);
    jinja::Interpreter interpreter(tree, limits, CivilTime());
    for (const auto& [name, value] : variables.as_object()) {
      interpreter.set_variable(name, jinja::from_json(interpreter, value));
    }
    interpreter.render();
  } catch (const jinja::Error&) {
  }
  return 0;
}
