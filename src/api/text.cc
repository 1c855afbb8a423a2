// The tokenizer and the chat template alone. Called by cli/cmd_tokenize.cc and cmd_chat_template.cc.
#include "octavo/text.h"

#include <utility>

#include "api/echo.h"
#include "base/json.h"
#include "base/text_format.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace octavo {

struct TextTokenizer::State {
  text::Tokenizer tokenizer;
};

TextTokenizer::TextTokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<TextTokenizer> TextTokenizer::open(const std::string& path) {
  OCTAVO_ASSIGN_OR_RETURN(text::Tokenizer tokenizer,
                          path.empty() ? api::make_byte_tokenizer() : text::Tokenizer::load(path));
  return TextTokenizer(std::make_shared<const State>(State{std::move(tokenizer)}));
}

Result<std::vector<int32_t>> TextTokenizer::encode(const std::string& text, bool add_special_tokens) const {
  return state_->tokenizer.encode(text, add_special_tokens);
}

Result<std::string> TextTokenizer::decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const {
  return state_->tokenizer.decode(ids, skip_special_tokens);
}

struct ChatRenderer::State {
  text::ChatTemplate chat_template;
  text::RenderOptions options;
};

ChatRenderer::ChatRenderer(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<ChatRenderer> ChatRenderer::open(const std::string& path, const std::string& now) {
  text::RenderOptions options;
  if (!now.empty()) {
    OCTAVO_ASSIGN_OR_RETURN(options.now, text::parse_civil_time(now));
  }
  OCTAVO_ASSIGN_OR_RETURN(text::ChatTemplate chat_template, text::load_chat_template(path));
  return ChatRenderer(std::make_shared<const State>(State{std::move(chat_template), std::move(options)}));
}

Result<std::string> ChatRenderer::render(const std::string& variables_json) const {
  OCTAVO_ASSIGN_OR_RETURN(const base::Json variables, base::parse_json(variables_json));
  return state_->chat_template.render(variables, state_->options);
}

}  // namespace octavo
