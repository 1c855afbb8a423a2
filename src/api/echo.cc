// A byte-level BPE without merges, written as the tokenizer.json that text/tokenizer.cc reads. Called by
// api/engine.cc.
#include "api/echo.h"

#include <string>

#include "base/json.h"

namespace octavo::api {

namespace {

std::string utf8(int code_point) {  // below 0x800
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 0x3F))};
}

// GPT-2's spelling of bytes: printable ones are themselves, the others follow from U+0100 on.
base::Json byte_vocabulary() {
  base::Json vocabulary;
  int n_others = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE);
    vocabulary.set(utf8(printable ? byte : 256 + n_others++), int64_t{byte});
  }
  return vocabulary;
}

base::Json special_token(const char* content, int64_t id) {
  base::Json token;
  token.set("id", id);
  token.set("content", content);
  token.set("special", true);
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) token.set(flag, false);
  return token;
}

base::Json byte_level() {
  base::Json part;
  part.set("type", "ByteLevel");
  part.set("add_prefix_space", false);
  part.set("trim_offsets", false);
  part.set("use_regex", false);
  return part;
}

}  // namespace

Result<text::Tokenizer> make_byte_tokenizer() {
  base::Json model;
  model.set("type", "BPE");
  model.set("vocab", byte_vocabulary());
  model.set("merges", base::JsonArray());
  base::JsonArray added;
  added.push_back(special_token("<|im_start|>", 256));
  added.push_back(special_token("<|im_end|>", 257));
  base::Json tokenizer;
  tokenizer.set("added_tokens", std::move(added));
  tokenizer.set("pre_tokenizer", byte_level());
  tokenizer.set("decoder", byte_level());
  tokenizer.set("model", std::move(model));
  base::Json config;
  config.set("eos_token", "<|im_end|>");
  return text::Tokenizer::from_json(tokenizer, config);
}

Result<text::ChatTemplate> make_echo_template() {
  return text::ChatTemplate::parse("{{ messages[-1].content }}");
}

}  // namespace octavo::api
