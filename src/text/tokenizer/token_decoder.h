#pragma once
// The decoder of tokenizer.json, from the strings of tokens to text. It works token by token, so that a whole
// decode and a stream are the same code: what the text so far does not settle yet (half a character, a run of
// bytes) is held back.
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "text/tokenizer/pattern.h"

namespace octavo::text {

class TokenDecoder {
 public:
  // The object under the key "decoder"; null or absent joins the tokens with spaces.
  static Result<TokenDecoder> from_json(const base::Json* decoder);

  // One decode under way. Made by start(); used with the decoder that made it.
  class State {
   private:
    friend class TokenDecoder;
    struct OfStep {
      uint64_t n_tokens = 0;
      uint64_t n_stripped = 0;
      std::string held;
    };
    std::vector<OfStep> steps;
    uint64_t n_joined = 0;
  };
  State start() const;

  // Appends to `text` what is certain once this token has come. All that is appended is whole UTF-8
  // characters.
  Status push(State& state, std::string_view token, std::string& text) const;
  // Appends the rest.
  Status finish(State& state, std::string& text) const;

 private:
  struct Replace {
    Pattern pattern;
    std::string content;
  };
  struct ByteFallback {};
  struct Fuse {};
  struct Strip {
    std::string character;
    uint64_t start, stop;
  };
  // Fuse and Strip with stop 0 at the end of the steps: strips the text's beginning without waiting for its
  // end.
  struct StripStart {
    std::string character;
    uint64_t start;
  };
  struct ByteLevel {};
  struct Metaspace {
    std::string replacement;
    bool drops_first;
  };
  using Step = std::variant<Replace, ByteFallback, Fuse, Strip, StripStart, ByteLevel, Metaspace>;

  Status read(const base::Json& decoder);
  Status read_strip(const base::Json& decoder);
  void streamline();
  Status push(size_t step, State& state, std::string token, std::string& text) const;
  Status release_bytes(size_t step, State& state, std::string& text) const;
  bool is_last(size_t step) const { return step + 1 == steps_.size(); }

  std::vector<Step> steps_;  // sequences flattened
  bool joins_with_spaces_ = false;
};

}  // namespace octavo::text
