// Tokenizer and chat template for Python. Called by octavo.AutoTokenizer and octavo.LLM.
#include "octavo/text.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "errors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace octavo::python {

void bind_text(nb::module_& module) {
  nb::class_<TextTokenizer>(module, "Tokenizer", "A model folder's tokenizer, or a tokenizer.json.")
      .def(nb::new_([](const std::string& path) {
             return unwrap(without_gil([&] { return TextTokenizer::open(path); }));
           }),
           "path"_a)
      .def(
          "encode",
          [](const TextTokenizer& tokenizer, const std::string& text, bool add_special_tokens) {
            return unwrap(without_gil([&] { return tokenizer.encode(text, add_special_tokens); }));
          },
          "text"_a, "add_special_tokens"_a = true)
      .def(
          "decode",
          [](const TextTokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip_special_tokens) {
            return unwrap(without_gil([&] { return tokenizer.decode(ids, skip_special_tokens); }));
          },
          "ids"_a, "skip_special_tokens"_a = true);

  nb::class_<ChatRenderer>(module, "ChatTemplate",
                           "A model folder's chat template, a tokenizer_config.json or a .jinja file. now: a "
                           "date such as 2024-07-26 for templates that ask for it; empty is today.")
      .def(nb::new_([](const std::string& path, const std::string& now) {
             return unwrap(ChatRenderer::open(path, now));
           }),
           "path"_a, "now"_a = "")
      .def(
          "render",
          [](const ChatRenderer& renderer, const std::string& variables_json) {
            return unwrap(renderer.render(variables_json));
          },
          "variables_json"_a,
          "The prompt text of {\"messages\": [...], \"add_generation_prompt\": true, ...any template "
          "variable}.");
}

}  // namespace octavo::python
