#pragma once
// Characters as the `tokenizers` package sees them, whatever Unicode version this system's libraries have.
// The differences are listed in unicode_tables.inc, which tools/unicode_exceptions.py writes by asking the
// package. Every text here is valid UTF-8.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace octavo::text {

struct Character {
  uint32_t code_point = 0;
  uint32_t n_bytes = 0;
};

// The character that begins at `offset` < text.size().
inline Character character_at(std::string_view text, size_t offset) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(text[offset + i]));
  };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

// The character that ends before `end` > 0.
Character character_before(std::string_view text, size_t end);

void append_utf8(uint32_t code_point, std::string& to);

bool is_white_space(uint32_t code_point);  // White_Space, Rust's char::is_whitespace
bool is_word(uint32_t code_point);  // \w of Rust's regex: letters, marks, decimal digits, connectors, joiners
bool is_numeric(uint32_t code_point);
bool is_punctuation(uint32_t code_point);

// `text` with each character that a regular expression library may not know replaced by an older one of the
// same general category and length, so that matches and their offsets are those of the newer Unicode. Returns
// `text` itself when there is nothing to replace, else a view of `storage`.
std::string_view with_stand_ins(std::string_view text, std::string& storage);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
// `text` itself when it is in that form already, else a view of `storage`.
std::string_view normalize(std::string_view text, NormalForm form, std::string& storage);

std::string lowercase(std::string_view text);

}  // namespace octavo::text
