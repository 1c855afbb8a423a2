#pragma once
// Chat templates: the Jinja program in a checkpoint that turns messages into the text a model was trained on,
// rendered as transformers' apply_chat_template renders it, byte for byte. A template comes with a downloaded
// model, so it is untrusted: it reaches nothing but its variables, and steps, depth, memory and output are
// limited.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "text/civil_time.h"

namespace octavo::text {

namespace jinja {
struct Tree;
}

struct RenderOptions {
  std::optional<CivilTime> now;  // what strftime_now() tells; the local clock when absent
  // One of the names of a checkpoint with several templates. By default "tool_use" when there are tools and
  // the checkpoint has it, else "default".
  std::optional<std::string> template_name;
};

// Immutable; render() may run on many threads at once.
class ChatTemplate {
 public:
  // Errors name the line of the template.
  static Result<ChatTemplate> parse(std::string_view source);

  // `variables` is an object: "messages" (an array of objects), and optionally "tools", "documents" (null
  // when absent), "add_generation_prompt" (false when absent) and any other variable the template reads. The
  // special tokens of the checkpoint are variables too (bos_token, eos_token, …), which `variables` may
  // override. A message's reasoning may be called reasoning_content, thinking or reasoning: as in
  // transformers 5, the template finds it under the first two. Fails when the template refuses the
  // conversation (raise_exception), does something its language forbids, or runs into a limit.
  Result<std::string> render(const base::Json& variables, const RenderOptions& options = {}) const;

  // The text of "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token" or "mask_token".
  std::optional<std::string> special_token(std::string_view name) const;
  void set_special_token(std::string_view name, std::string text);

  // Whether a rendered chat begins with the BOS token's text. Then the tokenizer must be told not to add a
  // BOS of its own: a sequence carries exactly one.
  bool starts_with_bos(std::string_view rendered) const;

 private:
  friend Result<ChatTemplate> load_chat_template(const std::string& path);

  Result<const jinja::Tree*> choose(const base::Json& variables, const RenderOptions& options) const;

  std::vector<std::pair<std::string, std::shared_ptr<const jinja::Tree>>>
      templates_;  // by name; one is "default"
  std::vector<std::pair<std::string, std::string>> special_tokens_;
};

// From a checkpoint's folder (chat_template.jinja and chat_templates/*.jinja, else tokenizer_config.json),
// from a tokenizer_config.json, or from a .jinja file. The special tokens come from the tokenizer_config.json
// of that folder. Errors start with the path.
Result<ChatTemplate> load_chat_template(const std::string& path);

}  // namespace octavo::text
