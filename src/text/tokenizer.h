#pragma once
// Text to tokens and back, as Hugging Face's `tokenizers` package does it from a tokenizer.json: byte-level
// BPE (Qwen, Llama 3) and BPE with byte fallback (Llama 2). What a file asks for and this reader does not
// know is refused by name.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::text {

class TokenDecoder;

struct EncodeOptions {
  bool add_special_tokens = false;  // those of the post-processor: Llama's <s>
  // Special tokens written in the text become those tokens. Text of unknown origin goes without, so that
  // nobody can write <|im_end|> into a conversation.
  bool parse_special_tokens = true;
};

// Immutable; encode and decode may be called by many threads at once.
class Tokenizer {
 public:
  // A model folder (tokenizer.json and, if there is one, tokenizer_config.json) or a tokenizer.json, whose
  // neighbour tokenizer_config.json is then not read.
  static Result<Tokenizer> load(const std::string& path);
  // The trees of the two files; the second may be null.
  static Result<Tokenizer> from_json(const base::Json& tokenizer, const base::Json& config);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Invalid UTF-8 is an error that names the byte; so is a text of more than 64 MiB.
  Result<std::vector<int32_t>> encode(std::string_view utf8, const EncodeOptions& options = {}) const;
  Result<std::vector<int32_t>> encode(std::string_view utf8, bool add_special_tokens) const {
    return encode(utf8, EncodeOptions{.add_special_tokens = add_special_tokens});
  }

  // Valid UTF-8 always: bytes that are no character become U+FFFD. Like the package it leaves out ids that no
  // token has (models pad their vocabularies). A negative id is an error.
  Result<std::string> decode(std::span<const int32_t> ids, bool skip_special_tokens) const;

  // The token's own spelling ("Ġthe", "<0x0A>"), as the file has it.
  std::optional<std::string> id_to_token(int32_t id) const;
  std::optional<int32_t> token_to_id(std::string_view token) const;
  size_t vocab_size() const;  // tokens, the added ones among them
  int32_t id_limit() const;   // largest id + 1; larger than vocab_size() when ids leave holes
  bool is_special(int32_t id) const;

  // From tokenizer_config.json; no value where that names none, or one that is no token.
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  const std::string& bos_token() const;  // empty when there is none
  const std::string& eos_token() const;

  // For StreamDecoder: the string that the decoder gets for an id, if it gets one.
  std::optional<std::string_view> decoder_input(int32_t id, bool skip_special_tokens) const;
  const TokenDecoder& decoder() const;

 private:
  struct Parts;
  class ScratchLoan;
  explicit Tokenizer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace octavo::text
