#pragma once
// Tokens to text as they come: whole characters only, and never text that a stop string may turn out to
// begin.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "octavo/status.h"

#include "text/tokenizer.h"
#include "text/tokenizer/token_decoder.h"

namespace octavo::text {

class StreamDecoder {
 public:
  // The tokenizer outlives it. An empty stop string is an error. keep_stop_string: it ends the text as its
  // last part instead of being left out.
  static Result<StreamDecoder> create(const Tokenizer& tokenizer, bool skip_special_tokens,
                                      std::vector<std::string> stop_strings = {},
                                      bool keep_stop_string = false);

  // What comes continues the text of these tokens, which is not given out: a space that decoders drop at a
  // text's beginning is kept then. To be called before the first push.
  Status follow(std::span<const int32_t> prompt);

  // The text that has become certain with this token. All pushes' texts and flush()'s together are what
  // decode() makes of all ids, or, once a stop string has come, that text up to the stop string. Ids that no
  // token has add nothing.
  // may_stop false: a stop string that ends in this token's text is text like any other.
  Result<std::string> push(int32_t id, bool may_stop = true);
  // The text held back; to be called once, after the last push.
  Result<std::string> flush(bool may_stop = true);

  // Which of the stop strings has come, as soon as its last character has; what follows it is dropped. Of
  // several it is the one that ends first, of those the longest, however the text is cut into tokens.
  std::optional<size_t> stopped_by() const { return stopped_by_; }

 private:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens, std::vector<std::string> stop_strings,
                bool keep_stop_string);
  // Takes what is certain out of held_, and finds stop strings in it.
  std::string release(bool at_end, bool may_stop);
  void find_stop(size_t& stop_begin, size_t& stop_end);

  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  std::vector<std::string> stop_strings_;
  bool keep_stop_string_;
  TokenDecoder::State state_;
  std::string held_;         // decoded, not given out yet
  std::string prompt_rest_;  // text of the prompt that the decoder gives out with the first token after it
  std::optional<size_t> stopped_by_;
};

}  // namespace octavo::text
