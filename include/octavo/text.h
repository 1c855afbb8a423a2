#pragma once
// Tokenizer and chat template of a model folder, for programs that need nothing else of it.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "octavo/status.h"

namespace octavo {

class TextTokenizer {
 public:
  // A model folder or a tokenizer.json; "": the bytes of an engine that has neither (EngineOptions::echo).
  static Result<TextTokenizer> open(const std::string& path);
  Result<std::vector<int32_t>> encode(const std::string& text, bool add_special_tokens) const;
  Result<std::string> decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const;

 private:
  struct State;
  explicit TextTokenizer(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

class ChatRenderer {
 public:
  // A model folder, a tokenizer_config.json or a .jinja file. now: "2024-07-26" fixes the template's clock;
  // "" is today.
  static Result<ChatRenderer> open(const std::string& path, const std::string& now = "");
  // variables_json: {"messages": […], "tools": […], "add_generation_prompt": true, …any template variable}
  Result<std::string> render(const std::string& variables_json) const;

 private:
  struct State;
  explicit ChatRenderer(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

}  // namespace octavo
