// Text for messages: sizes, durations, quoted names, "did you mean". Used wherever a Status is made.
#include "base/text_format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

namespace octavo::base {

namespace {

// Length of the UTF-8 sequence that starts at text[0], 0 if it is not a valid one (Unicode 15, table 3-7).
size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                        : (first & 0xF0) == 0xE0         ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  if (length == 0 || text.size() < length) return 0;
  unsigned char low = 0x80,
                high = 0xBF;  // of the second byte: no overlong form, no surrogate, nothing past U+10FFFF
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

// Edit distance with swaps of neighbours (optimal string alignment), letters compared without case.
size_t edit_distance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({row[j - 1] + 1, last[j] + 1, last[j - 1] + (same ? 0 : 1)});
      const bool swapped =
          i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

template <class... Args>
std::string print(const char* format, Args... args) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), format, args...);
  return buffer;
}

}  // namespace

std::string format_bytes(uint64_t n_bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (n_bytes < 1024) return std::to_string(n_bytes) + " B";
  double value = static_cast<double>(n_bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {  // 1023.95 would print as 1024.0
    value /= 1024;
    ++unit;
  }
  return print("%.1f %s", value, kUnits[unit]);
}

std::string format_duration(double seconds) {
  if (!(seconds >= 0)) seconds = 0;
  if (seconds < 59.95) return print("%.1f s", seconds);
  const double whole = std::min(std::round(seconds), 1e15);
  const auto total = static_cast<long long>(whole);
  if (total < 3600) return print("%lld min %02lld s", total / 60, total % 60);
  return print("%lld h %02lld min", total / 3600, total % 3600 / 60);
}

std::string quoted(std::string_view name) {
  constexpr size_t kMaxShownBytes = 200;
  std::string out = "'";
  size_t i = 0;
  while (i < name.size()) {
    const size_t length = utf8_sequence(name.substr(i));
    if (i + std::max<size_t>(length, 1) > kMaxShownBytes) break;
    const auto byte = static_cast<unsigned char>(name[i]);
    if (length == 0 || byte < 0x20 || byte == 0x7F) {
      out += print("\\x%02x", static_cast<unsigned>(byte));
      ++i;
    } else {
      out += name.substr(i, length);
      i += length;
    }
  }
  if (i < name.size()) out += "…";
  return out + "'";
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr size_t kMaxWordBytes = 200;  // the distance takes time quadratic in it
  if (word.size() > kMaxWordBytes) return {};
  size_t best = std::max<size_t>(1, word.size() / 3) + 1;
  std::string_view found;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kMaxWordBytes) continue;
    const size_t distance = edit_distance(word, candidate);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return std::string(found);
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const size_t length = utf8_sequence(text.substr(i));
    if (length == 0) break;
    i += length;
  }
  return i;
}

bool is_valid_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }

}  // namespace octavo::base
