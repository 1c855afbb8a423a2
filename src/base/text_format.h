#pragma once
// Small pieces of text that messages share.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace octavo::base {
std::string format_bytes(uint64_t n_bytes);   // "1.5 GiB"
std::string format_duration(double seconds);  // "1 h 02 min", "3 min 05 s", "4.2 s"
// A name inside quotes for a message: control characters and invalid UTF-8 escaped, cut at 200 bytes.
// Call it as base::quoted: <iomanip> has a std::quoted that an unqualified call would find as well.
std::string quoted(std::string_view name);
// The candidate nearest to `word` by edit distance, empty when none is near: "did you mean …".
std::string nearest(std::string_view word, std::span<const std::string> candidates);
bool is_valid_utf8(std::string_view text);
// Bytes of the longest beginning of `text` that is whole, valid UTF-8 (no surrogates, no overlong forms).
size_t valid_utf8_prefix(std::string_view text);
}  // namespace octavo::base
