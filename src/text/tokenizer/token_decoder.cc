// Decoders: ByteLevel, ByteFallback, Replace, Fuse, Strip, Metaspace and Sequences of them. Each step takes
// tokens one by one and passes tokens on; a step that needs the whole text (Fuse before other steps) holds it
// until the end, but the forms in use, ByteLevel and "Replace, ByteFallback, Fuse, Strip", stream. Called by
// tokenizer.cc and stream_decoder.cc.
#include "text/tokenizer/token_decoder.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/text_format.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/unicode.h"

namespace octavo::text {
namespace {

constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";
constexpr size_t kMaxSteps = 64;  // push() is as deep as there are steps
constexpr size_t kMaxDecodedBytes = 4 * kMaxTextBytes;

// Bytes at the beginning of `bytes` that begin a character without completing it; 0 if the first byte begins
// none.
size_t incomplete_character(std::string_view bytes) {
  const auto byte = [&](size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0; };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const int lead = byte(0);
  if (lead < 0xC2 || lead > 0xF4) return 0;
  // The bounds of the second byte exclude overlong forms, surrogates and what lies beyond U+10FFFF.
  const int lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const int highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (lead < 0xE0 || byte(1) < lowest || byte(1) > highest) return 1;
  if (lead < 0xF0 || !continues(2)) return 2;
  return 3;
}

// Moves from `bytes` to `text` all that is settled: valid characters, and U+FFFD for each longest part of an
// invalid one (the Unicode standard's "maximal subpart" practice, Rust's from_utf8_lossy). At the end nothing
// stays.
void release_characters(std::string& bytes, bool at_end, std::string& text) {
  std::string_view rest = bytes;
  for (;;) {
    const size_t valid = base::valid_utf8_prefix(rest);
    text += rest.substr(0, valid);
    rest.remove_prefix(valid);
    if (rest.empty()) break;
    const size_t incomplete = incomplete_character(rest);
    if (incomplete == rest.size() && !at_end) break;
    text += kReplacementCharacter;
    rest.remove_prefix(std::max<size_t>(incomplete, 1));
  }
  bytes.erase(0, bytes.size() - rest.size());
}

// The byte that a token like <0x0A> stands for, or -1. Like the package's number parser it takes a plus sign.
int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  std::string_view digits = token.substr(3, 2);
  if (digits[0] == '+') digits.remove_prefix(1);
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return error == std::errc() && end == digits.data() + digits.size() ? static_cast<int>(value) : -1;
}

// The bytes of a token of a byte-level vocabulary; a token with any other character stands for itself.
void append_bytes(std::string_view token, std::string& bytes) {
  const size_t n_before = bytes.size();
  for (size_t i = 0; i < token.size();) {
    const Character c = character_at(token, i);
    const int byte = byte_of_character(c.code_point);
    if (byte < 0) {
      bytes.resize(n_before);
      bytes += token;
      return;
    }
    bytes += static_cast<char>(byte);
    i += c.n_bytes;
  }
}

// Without up to `start` of the character at the beginning and up to `stop` at the end.
std::string_view strip(std::string_view token, std::string_view character, uint64_t start, uint64_t stop) {
  for (; start > 0 && token.starts_with(character); --start) token.remove_prefix(character.size());
  for (; stop > 0 && token.ends_with(character); --stop) token.remove_suffix(character.size());
  return token;
}

// One character under a key of the decoder `type`.
Result<std::string> get_character(const base::Json& object, std::string_view key, std::string_view type) {
  OCTAVO_ASSIGN_OR_RETURN(std::string text, base::get_string(object, key));
  if (!text.empty() && character_at(text, 0).n_bytes == text.size()) return text;
  return corrupt(std::string(type) + ": key '" + std::string(key) + "': expected one character, found " +
                 base::quoted(text));
}

}  // namespace

Result<TokenDecoder> TokenDecoder::from_json(const base::Json* decoder) {
  TokenDecoder result;
  result.joins_with_spaces_ = !decoder || decoder->is_null();
  if (!result.joins_with_spaces_) {
    if (Status status = result.read(*decoder); !status.ok()) return status.with_context("decoder");
  }
  result.streamline();
  return result;
}

Status TokenDecoder::read(const base::Json& object) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string type, base::get_string(object, "type"));
  if (steps_.size() == kMaxSteps) {
    return resource_exhausted("more than " + std::to_string(kMaxSteps) + " steps");
  }
  if (type == "Sequence") {
    const base::Json* list = object.find("decoders");
    if (!list || !list->is_array()) return corrupt("Sequence: key 'decoders': expected an array");
    for (const base::Json& element : list->as_array()) OCTAVO_RETURN_IF_ERROR(read(element));
  } else if (type == "Replace") {
    const base::Json* pattern = object.find("pattern");
    if (!pattern) return corrupt("Replace: key 'pattern' is missing");
    OCTAVO_ASSIGN_OR_RETURN(Pattern compiled, Pattern::from_json(*pattern));
    OCTAVO_ASSIGN_OR_RETURN(std::string content, base::get_string(object, "content"));
    steps_.emplace_back(Replace{std::move(compiled), std::move(content)});
  } else if (type == "Strip") {
    return read_strip(object);
  } else if (type == "Metaspace") {
    OCTAVO_ASSIGN_OR_RETURN(const std::string replacement, get_character(object, "replacement", type));
    OCTAVO_ASSIGN_OR_RETURN(const std::string scheme, base::get_string(object, "prepend_scheme", "always"));
    OCTAVO_ASSIGN_OR_RETURN(const bool add_prefix_space, base::get_bool(object, "add_prefix_space", true));
    if (!add_prefix_space && scheme != "never") {
      return corrupt("Metaspace: add_prefix_space is false but prepend_scheme is " + base::quoted(scheme));
    }
    steps_.emplace_back(Metaspace{replacement, scheme != "never"});
  } else if (type == "ByteLevel") {
    steps_.emplace_back(ByteLevel{});
  } else if (type == "ByteFallback") {
    steps_.emplace_back(ByteFallback{});
  } else if (type == "Fuse") {
    steps_.emplace_back(Fuse{});
  } else {
    return unsupported(
        "type " + base::quoted(type) +
        " is not supported; known are ByteLevel, ByteFallback, Replace, Fuse, Strip, Metaspace and "
        "Sequence");
  }
  return {};
}

Status TokenDecoder::read_strip(const base::Json& object) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string character, get_character(object, "content", "Strip"));
  OCTAVO_ASSIGN_OR_RETURN(const int64_t start, base::get_int(object, "start"));
  OCTAVO_ASSIGN_OR_RETURN(const int64_t stop, base::get_int(object, "stop"));
  if (start < 0 || stop < 0) return corrupt("Strip: 'start' and 'stop' must not be negative");
  steps_.emplace_back(Strip{character, static_cast<uint64_t>(start), static_cast<uint64_t>(stop)});
  return {};
}

void TokenDecoder::streamline() {
  // What is fused last need not be: the end joins the tokens anyway.
  while (!steps_.empty() && std::holds_alternative<Fuse>(steps_.back())) steps_.pop_back();
  const size_t n = steps_.size();
  if (n < 2 || !std::holds_alternative<Fuse>(steps_[n - 2])) return;
  const auto* last = std::get_if<Strip>(&steps_[n - 1]);
  if (!last || last->stop > 0) return;
  StripStart start{last->character, last->start};
  steps_.pop_back();
  steps_.pop_back();
  steps_.emplace_back(std::move(start));
}

TokenDecoder::State TokenDecoder::start() const {
  State state;
  state.steps.resize(steps_.size());
  return state;
}

Status TokenDecoder::push(State& state, std::string_view token, std::string& text) const {
  return push(0, state, std::string(token), text);
}

Status TokenDecoder::push(size_t index, State& state, std::string token, std::string& text) const {
  if (index == steps_.size()) {
    if (joins_with_spaces_ && state.n_joined++ > 0) text += ' ';
    text += token;
    if (text.size() <= kMaxDecodedBytes) return {};
    return resource_exhausted("the decoded text is longer than " + base::format_bytes(kMaxDecodedBytes));
  }
  const Step& step = steps_[index];
  State::OfStep& mine = state.steps[index];
  const uint64_t position = mine.n_tokens++;
  if (const auto* replace = std::get_if<Replace>(&step)) {
    base::RegexBudget budget = budget_for(token);
    OCTAVO_ASSIGN_OR_RETURN(token, replace->pattern.replace_all(token, replace->content, budget));
  } else if (const auto* both_ends = std::get_if<Strip>(&step)) {
    token = std::string(strip(token, both_ends->character, both_ends->start, both_ends->stop));
  } else if (const auto* metaspace = std::get_if<Metaspace>(&step)) {
    const std::string_view blank = position == 0 && metaspace->drops_first ? "" : " ";
    std::string spaced;
    for (std::string_view rest = token; !rest.empty();) {
      const bool is_blank = rest.starts_with(metaspace->replacement);
      const size_t n_bytes = is_blank ? metaspace->replacement.size() : character_at(rest, 0).n_bytes;
      spaced += is_blank ? blank : rest.substr(0, n_bytes);
      rest.remove_prefix(n_bytes);
    }
    token = std::move(spaced);
  } else if (const auto* from_start = std::get_if<StripStart>(&step)) {
    const std::string_view rest = strip(token, from_start->character, from_start->start - mine.n_stripped, 0);
    const uint64_t n_stripped = (token.size() - rest.size()) / from_start->character.size();
    mine.n_stripped = rest.empty() ? mine.n_stripped + n_stripped : from_start->start;
    token.erase(0, token.size() - rest.size());
  } else if (std::holds_alternative<ByteFallback>(step)) {
    if (const int byte = fallback_byte(token); byte >= 0) {
      mine.held += static_cast<char>(byte);
      return {};
    }
    OCTAVO_RETURN_IF_ERROR(release_bytes(index, state, text));
  } else if (std::holds_alternative<Fuse>(step)) {
    mine.held += token;
    return {};
  } else {
    append_bytes(token, mine.held);
    if (is_last(index)) release_characters(mine.held, false, text);
    return {};
  }
  return push(index + 1, state, std::move(token), text);
}

// A run of bytes is text if it is valid as a whole, else each of them becomes U+FFFD. So it waits for the
// run's end.
Status TokenDecoder::release_bytes(size_t index, State& state, std::string& text) const {
  std::string run = std::exchange(state.steps[index].held, {});
  if (run.empty()) return {};
  if (base::is_valid_utf8(run)) return push(index + 1, state, std::move(run), text);
  for (size_t i = 0; i < run.size(); ++i) {
    OCTAVO_RETURN_IF_ERROR(push(index + 1, state, std::string(kReplacementCharacter), text));
  }
  return {};
}

Status TokenDecoder::finish(State& state, std::string& text) const {
  for (size_t index = 0; index < steps_.size(); ++index) {
    std::string& held = state.steps[index].held;
    if (std::holds_alternative<ByteFallback>(steps_[index])) {
      OCTAVO_RETURN_IF_ERROR(release_bytes(index, state, text));
    } else if (std::holds_alternative<Fuse>(steps_[index])) {
      OCTAVO_RETURN_IF_ERROR(push(index + 1, state, std::exchange(held, {}), text));
    } else if (std::holds_alternative<ByteLevel>(steps_[index])) {
      std::string fused;
      release_characters(held, true, fused);
      OCTAVO_RETURN_IF_ERROR(push(index + 1, state, std::move(fused), text));
    }
  }
  return {};
}

}  // namespace octavo::text
