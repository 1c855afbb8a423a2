#pragma once
// Python's str on UTF-8 bytes: what is a space, a letter, a line end; case mapping; repr. Positions and
// counts are in code points where Python's are. Bytes that are no UTF-8 pass through as one unit each.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace octavo::text::jinja {

// The code point at *i; *i moves past it (*i < text.size()). An invalid byte b gives 0xDC00 + b.
char32_t decode(std::string_view text, size_t* i);
void append_utf8(std::string* out, char32_t code);
std::u32string to_code_points(std::string_view text);
std::string to_utf8(std::u32string_view codes);

bool is_ascii(std::string_view text);
size_t n_code_points(std::string_view text);
// Byte offset of code point `index`; text.size() past the end.
size_t byte_offset(std::string_view text, size_t index);

bool is_space(char32_t code);      // str.isspace, and \s of `re`
bool is_name_part(char32_t code);  // may stand in an identifier
bool is_printable(char32_t code);
bool is_alpha(char32_t code);
bool is_decimal(char32_t code);  // Nd
bool is_upper(char32_t code);
bool is_lower(char32_t code);
bool is_cased(char32_t code);  // upper, lower or title case

enum class Strip { kLeft, kRight, kBoth };
std::string_view strip(std::string_view text, Strip sides);
std::string_view strip(std::string_view text, Strip sides, std::string_view characters);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);  // first character in title case, the rest lower
std::string title(std::string_view text);       // str.title: every run of letters
std::string swapcase(std::string_view text);

std::vector<std::string> split_lines(std::string_view text, bool keep_ends);

// Python's repr of a str, with its choice of quotes.
std::string repr(std::string_view text);
// 'x41', 'u4e2d' or 'U0001f600': an escape of `code` without its backslash.
std::string ascii_escape(char32_t code);

}  // namespace octavo::text::jinja
