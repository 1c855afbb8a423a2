#pragma once
// What the fuzzer and its deterministic twin ask of a tokenizer.json and a text, whatever bytes they are: an
// error or ids, text that is valid UTF-8, a stream equal to the whole; no crash and no hang.
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "base/text_format.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace octavo::text {

inline void exercise_decoding(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  const auto text = tokenizer.decode(ids, false);
  if (!text.ok()) return;
  OCTAVO_CHECK(base::is_valid_utf8(*text));
  auto stream = StreamDecoder::create(tokenizer, false);
  std::string streamed;
  for (const int32_t id : ids) {
    const auto part = stream->push(id);
    OCTAVO_CHECK(part.ok() && base::is_valid_utf8(*part));
    streamed += *part;
  }
  OCTAVO_CHECK(streamed + *stream->flush() == *text);
}

// True if the tokenizer was accepted.
inline bool exercise_tokenizer(std::string_view json, std::string_view text) {
  const auto tree = base::parse_json(json, {.max_bytes = size_t{1} << 20, .max_nodes = 100'000});
  if (!tree.ok()) return false;
  const auto tokenizer = Tokenizer::from_json(*tree, *tree);
  if (!tokenizer.ok()) return false;
  for (const bool special : {false, true}) {
    const auto ids = tokenizer->encode(text, special);
    OCTAVO_CHECK(!ids.ok() || base::is_valid_utf8(text));
    if (ids.ok()) exercise_decoding(*tokenizer, *ids);
  }
  std::vector<int32_t> bytes_as_ids;
  for (const char c : text) bytes_as_ids.push_back(static_cast<unsigned char>(c));
  exercise_decoding(*tokenizer, bytes_as_ids);
  return true;
}

}  // namespace octavo::text
