#pragma once
// Small pieces of text that messages share.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace octavo::base {
std::string format_bytes(uint64_t n_bytes);   // "1.5 GiB"
std::string format_duration(double seconds);  // "1 h 02 min", "3 min 05 s", "4.2 s"
// A name inside quotes for a message: control characters and invalid UTF-8 escaped, cut at 200 bytes.
std::string quoted(std::string_view name);
// The candidate nearest to `word` by edit distance, empty when none is near: "did you mean …".
std::string nearest(std::string_view word, std::span<const std::string> candidates);
bool is_valid_utf8(std::string_view text);
}  // namespace octavo::base
