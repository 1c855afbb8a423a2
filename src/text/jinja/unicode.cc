// Python's view of text, on UTF-8: classes and simple case mappings come from utf8proc, the mappings to
// several characters from special_case.inc. Called by the lexer, the string methods and the filters of the
// template language.
#include "text/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace octavo::text::jinja {
namespace {

struct SpecialCase {
  char32_t code;
  const char* upper;
  const char* title;
};

constexpr SpecialCase kSpecialCases[] = {
#include "text/jinja/special_case.inc"
};

constexpr char32_t kCapitalSigma = 0x3A3, kSigma = 0x3C3, kFinalSigma = 0x3C2, kDottedI = 0x130;

const SpecialCase* find_special_case(char32_t code) {
  const auto* found =
      std::lower_bound(std::begin(kSpecialCases), std::end(kSpecialCases), code,
                       [](const SpecialCase& row, char32_t value) { return row.code < value; });
  return found != std::end(kSpecialCases) && found->code == code ? found : nullptr;
}

utf8proc_category_t category(char32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)); }

void append_upper(std::string* out, char32_t code) {
  if (code < 0x80) {
    *out += static_cast<char>(code >= 'a' && code <= 'z' ? code - 32 : code);
  } else if (const SpecialCase* special = find_special_case(code)) {
    *out += special->upper;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))));
  }
}

void append_title(std::string* out, char32_t code) {
  if (code < 0x80) return append_upper(out, code);
  if (const SpecialCase* special = find_special_case(code)) {
    *out += special->title;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code))));
  }
}

bool is_case_ignorable(char32_t code) {
  static constexpr std::u32string_view kPunctuation = U"'.:^`\u00AD\u00B7\u2018\u2019\u2024\u2027";
  if (kPunctuation.find(code) != std::u32string_view::npos) return true;
  const utf8proc_category_t of = category(code);
  return of == UTF8PROC_CATEGORY_MN || of == UTF8PROC_CATEGORY_ME || of == UTF8PROC_CATEGORY_CF ||
         of == UTF8PROC_CATEGORY_LM || of == UTF8PROC_CATEGORY_SK;
}

// A capital sigma ends a word when a cased letter stands before it and none after it.
bool is_final_sigma(std::u32string_view codes, size_t at) {
  size_t before = at;
  while (before > 0 && is_case_ignorable(codes[before - 1])) --before;
  if (before == 0 || !is_cased(codes[before - 1])) return false;
  size_t after = at + 1;
  while (after < codes.size() && is_case_ignorable(codes[after])) ++after;
  return after == codes.size() || !is_cased(codes[after]);
}

void append_lower(std::string* out, std::u32string_view codes, size_t at) {
  const char32_t code = codes[at];
  if (code < 0x80) {
    *out += static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code);
  } else if (code == kDottedI) {
    *out += "i\u0307";
  } else if (code == kCapitalSigma) {
    append_utf8(out, is_final_sigma(codes, at) ? kFinalSigma : kSigma);
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
  }
}

bool is_line_end(char32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 ||
         code == 0x2029;
}

template <class Match>
std::string_view strip_matching(std::string_view text, Strip sides, Match match) {
  size_t begin = 0, end = text.size();
  while (sides != Strip::kRight && begin < end) {
    size_t next = begin;
    if (!match(decode(text, &next))) break;
    begin = next;
  }
  while (sides != Strip::kLeft && end > begin) {
    size_t last = end - 1;
    while (last > begin && (static_cast<unsigned char>(text[last]) & 0xC0) == 0x80 && end - last < 4) --last;
    size_t next = last;
    char32_t code = decode(text, &next);
    if (next != end) {  // no whole character: the last byte stands alone
      last = end - 1;
      next = last;
      code = decode(text, &next);
    }
    if (!match(code)) break;
    end = last;
  }
  return text.substr(begin, end - begin);
}

}  // namespace

char32_t decode(std::string_view text, size_t* i) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char first = byte(*i);
  const size_t length = first < 0x80         ? 1
                        : (first >> 5) == 6  ? 2
                        : (first >> 4) == 14 ? 3
                        : (first >> 3) == 30 ? 4
                                             : 0;
  if (length == 0 || *i + length > text.size()) return ++*i, 0xDC00u + first;
  if (length == 1) return ++*i, first;
  char32_t code = first & (0xFFu >> (length + 1));
  for (size_t k = 1; k < length; ++k) {
    if ((byte(*i + k) & 0xC0) != 0x80) return ++*i, 0xDC00u + first;
    code = (code << 6) | (byte(*i + k) & 0x3Fu);
  }
  static constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
    return ++*i, 0xDC00u + first;
  *i += length;
  return code;
}

void append_utf8(std::string* out, char32_t code) {
  const auto put = [&](char32_t byte) { *out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code >= 0xDC80 && code < 0xDD00) {  // an invalid byte that decode() let through
    put(code - 0xDC00);
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

std::u32string to_code_points(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  for (size_t i = 0; i < text.size();) codes += decode(text, &i);
  return codes;
}

std::string to_utf8(std::u32string_view codes) {
  std::string text;
  text.reserve(codes.size());
  for (const char32_t code : codes) append_utf8(&text, code);
  return text;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

size_t n_code_points(std::string_view text) {
  if (is_ascii(text)) return text.size();
  size_t n = 0;
  for (size_t i = 0; i < text.size(); ++n) decode(text, &i);
  return n;
}

size_t byte_offset(std::string_view text, size_t index) {
  if (is_ascii(text)) return std::min(index, text.size());
  size_t i = 0;
  for (; index > 0 && i < text.size(); --index) decode(text, &i);
  return i;
}

bool is_space(char32_t code) {
  return (code >= 9 && code <= 13) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_name_part(char32_t code) {
  if (code < 0x80) {
    return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || (code >= '0' && code <= '9') ||
           code == '_';
  }
  const utf8proc_category_t of = category(code);
  return is_alpha(code) || of == UTF8PROC_CATEGORY_ND || of == UTF8PROC_CATEGORY_NL ||
         of == UTF8PROC_CATEGORY_MN || of == UTF8PROC_CATEGORY_MC || of == UTF8PROC_CATEGORY_PC;
}

bool is_printable(char32_t code) {
  if (code < 0x80) return code >= 0x20 && code < 0x7F;
  switch (category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_alpha(char32_t code) {
  const utf8proc_category_t of = category(code);
  return of >= UTF8PROC_CATEGORY_LU && of <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t code) { return category(code) == UTF8PROC_CATEGORY_ND; }
bool is_upper(char32_t code) { return utf8proc_isupper(static_cast<utf8proc_int32_t>(code)) != 0; }
bool is_lower(char32_t code) {
  return utf8proc_islower(static_cast<utf8proc_int32_t>(code)) != 0 || category(code) == UTF8PROC_CATEGORY_LL;
}
bool is_cased(char32_t code) {
  return is_upper(code) || is_lower(code) || category(code) == UTF8PROC_CATEGORY_LT;
}

std::string_view strip(std::string_view text, Strip sides) { return strip_matching(text, sides, is_space); }

std::string_view strip(std::string_view text, Strip sides, std::string_view characters) {
  std::u32string set = to_code_points(characters);
  std::sort(set.begin(), set.end());
  return strip_matching(text, sides,
                        [&](char32_t code) { return std::binary_search(set.begin(), set.end(), code); });
}

std::string upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) append_upper(&out, decode(text, &i));
  return out;
}

std::string lower(std::string_view text) {
  const std::u32string codes = to_code_points(text);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < codes.size(); ++i) append_lower(&out, codes, i);
  return out;
}

std::string capitalize(std::string_view text) {
  const std::u32string codes = to_code_points(text);
  std::string out;
  for (size_t i = 0; i < codes.size(); ++i) {
    i == 0 ? append_title(&out, codes[i]) : append_lower(&out, codes, i);
  }
  return out;
}

std::string title(std::string_view text) {
  const std::u32string codes = to_code_points(text);
  std::string out;
  bool inside_word = false;
  for (size_t i = 0; i < codes.size(); ++i) {
    inside_word ? append_lower(&out, codes, i) : append_title(&out, codes[i]);
    inside_word = is_cased(codes[i]);
  }
  return out;
}

std::string swapcase(std::string_view text) {
  const std::u32string codes = to_code_points(text);
  std::string out;
  for (size_t i = 0; i < codes.size(); ++i) {
    is_lower(codes[i]) ? append_upper(&out, codes[i]) : append_lower(&out, codes, i);
  }
  return out;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t at = i;
    const char32_t code = decode(text, &i);
    if (!is_line_end(code)) continue;
    if (code == '\r' && i < text.size() && text[i] == '\n') ++i;
    lines.emplace_back(text.substr(begin, (keep_ends ? i : at) - begin));
    begin = i;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return lines;
}

std::string ascii_escape(char32_t code) {
  char text[16];
  std::snprintf(text, sizeof text,
                code < 0x100     ? "x%02x"
                : code < 0x10000 ? "u%04x"
                                 : "U%08x",
                static_cast<unsigned>(code));
  return text;
}

std::string repr(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t i = 0; i < text.size();) {
    const char32_t code = decode(text, &i);
    if (code == static_cast<char32_t>(quote) || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code == '\n') {
      out += "\\n";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code == '\t') {
      out += "\\t";
    } else if (is_printable(code)) {
      append_utf8(&out, code);
    } else {
      out += '\\' + ascii_escape(code);
    }
  }
  out += quote;
  return out;
}

}  // namespace octavo::text::jinja
