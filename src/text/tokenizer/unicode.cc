// Character classes, stand-ins and normalization forms as the `tokenizers` package has them. utf8proc
// computes; the tables say where the package's Unicode is older (normalization: Unicode 9's marks and
// decompositions) or newer (categories: Unicode 16). Called by the normalizers, pre-tokenizers and added
// tokens.
#include "text/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <iterator>
#include <memory>
#include <vector>

#include "base/check.h"

namespace octavo::text {
namespace {

struct Range {
  uint32_t first, last;
};
struct StandIn {
  uint32_t first, last, stand_in;
};
struct NotInert {
  uint32_t first, last, forms;
};
struct CasePair {
  uint32_t upper, lower;
};
#include "text/tokenizer/unicode_tables.inc"

// The row of an ascending table whose range holds the code point, or null.
template <class Row, size_t n>
const Row* row_of(const Row (&table)[n], uint32_t code_point) {
  const Row* row = std::upper_bound(std::begin(table), std::end(table), code_point,
                                    [](uint32_t c, const Row& r) { return c < r.first; });
  if (row == std::begin(table) || code_point > row[-1].last) return nullptr;
  return row - 1;
}

// Characters in the longest decomposition (of U+FDFA).
constexpr int kMaxDecomposition = 18;

uint32_t stand_in(uint32_t code_point) {
  const StandIn* row = row_of(kStandIns, code_point);
  return row ? row->stand_in : code_point;
}

// Whether the 64 characters around a code point hold one that has a stand-in: nearly no text gets past this.
constexpr uint32_t kBlock = 64;
bool near_stand_in(uint32_t code_point) {
  static const auto blocks = [] {
    auto set = std::make_unique<std::bitset<0x110000 / kBlock>>();
    for (const StandIn& row : kStandIns) {
      for (uint32_t block = row.first / kBlock; block <= row.last / kBlock; ++block) set->set(block);
    }
    return set;
  }();
  return blocks->test(code_point / kBlock);
}

bool is_inert(uint32_t code_point, NormalForm form) {
  // Below these no form changes anything, and nothing between them is a mark or decomposes.
  if (code_point < 0xA0 || (code_point >= 0x4E00 && code_point < 0xA000)) return true;
  const NotInert* row = row_of(kNotInert, code_point);
  return !row || !(row->forms >> static_cast<int>(form) & 1);
}

// Whether a character that is inert to the package may be joined with marks behind it. If utf8proc, being
// newer, knows more of it than the package, it may not.
bool may_lead(uint32_t code_point, NormalForm form) {
  if (form == NormalForm::kNfd || form == NormalForm::kNfkd) return false;
  const utf8proc_property_t* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code_point));
  return property->combining_class == 0 && (form == NormalForm::kNfc || property->decomp_type == 0) &&
         stand_in(code_point) == code_point;
}

uint8_t combining_class(utf8proc_int32_t code_point) {
  return static_cast<uint8_t>(utf8proc_get_property(code_point)->combining_class);
}

// Canonical ordering. utf8proc_decompose would do it too, but takes quadratic time for long runs of marks.
void order_marks(std::vector<utf8proc_int32_t>& code_points) {
  for (auto begin = code_points.begin(); begin != code_points.end();) {
    const auto is_starter = [](utf8proc_int32_t c) { return combining_class(c) == 0; };
    begin = std::find_if_not(begin, code_points.end(), is_starter);
    const auto end = std::find_if(begin, code_points.end(), is_starter);
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    begin = end;
  }
}

// Appends the normal form of a stretch of text that begins and ends where normalization of its neighbours is
// unaffected.
void append_normalized(std::string_view stretch, NormalForm form, std::string& to) {
  const bool compose = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const auto options =
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                     (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> code_points;
  for (size_t i = 0; i < stretch.size();) {
    const Character c = character_at(stretch, i);
    i += c.n_bytes;
    std::array<utf8proc_int32_t, kMaxDecomposition> parts;
    const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code_point), parts.data(),
                                           kMaxDecomposition, options, nullptr);
    OCTAVO_CHECK(n > 0 && n <= kMaxDecomposition);
    code_points.insert(code_points.end(), parts.begin(), parts.begin() + n);
  }
  order_marks(code_points);
  const utf8proc_ssize_t n_after = utf8proc_normalize_utf32(
      code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()), options);
  OCTAVO_CHECK(n_after >= 0);
  for (utf8proc_ssize_t i = 0; i < n_after; ++i) {
    append_utf8(static_cast<uint32_t>(code_points[static_cast<size_t>(i)]), to);
  }
}

}  // namespace

Character character_before(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return character_at(text, begin);
}

void append_utf8(uint32_t code_point, std::string& to) {
  utf8proc_uint8_t bytes[4];
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  to.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
}

bool is_white_space(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_word(uint32_t c) {
  // Alphabetic beyond the categories below: circled and squared Latin letters; and the two joiners.
  if ((c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
      (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C || c == 0x200D) {
    return true;
  }
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(stand_in(c)))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

bool is_numeric(uint32_t c) { return row_of(kNumeric, c) != nullptr; }
bool is_punctuation(uint32_t c) { return row_of(kPunctuation, c) != nullptr; }

std::string_view with_stand_ins(std::string_view text, std::string& storage) {
  bool copied = false;
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const Character c = character_at(text, i);
    if (near_stand_in(c.code_point)) {
      if (const uint32_t other = stand_in(c.code_point); other != c.code_point) {
        if (!copied) storage = text;
        copied = true;
        std::string bytes;
        append_utf8(other, bytes);
        OCTAVO_CHECK(bytes.size() == c.n_bytes);
        storage.replace(i, c.n_bytes, bytes);
      }
    }
    i += c.n_bytes;
  }
  return copied ? std::string_view(storage) : text;
}

std::string_view normalize(std::string_view text, NormalForm form, std::string& storage) {
  // A stretch to normalize is a run of characters that are not inert, with the inert one before it: a run's
  // first mark may join with that. Inert characters neither change nor let anything pass, so all between the
  // stretches stays.
  bool copied = false;
  size_t done = 0, inert = 0;  // `inert`: where the last inert character begins
  bool has_inert = false;
  for (size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    if (is_inert(c.code_point, form)) {
      inert = i;
      has_inert = true;
      i += c.n_bytes;
      continue;
    }
    if (!copied) storage.clear();
    copied = true;
    size_t begin = i;
    if (has_inert && may_lead(character_at(text, inert).code_point, form)) begin = inert;
    size_t end = i;
    while (end < text.size()) {
      const Character next = character_at(text, end);
      if (is_inert(next.code_point, form)) break;
      end += next.n_bytes;
    }
    storage.append(text.substr(done, begin - done));
    append_normalized(text.substr(begin, end - begin), form, storage);
    done = i = end;
    has_inert = false;
  }
  if (!copied) return text;
  storage.append(text.substr(done));
  return storage;
}

std::string lowercase(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    i += c.n_bytes;
    const CasePair* pair =
        std::lower_bound(std::begin(kNewLowercase), std::end(kNewLowercase), c.code_point,
                         [](const CasePair& p, uint32_t upper) { return p.upper < upper; });
    if (c.code_point == 0x130) {
      lower += "i\xCC\x87";  // the one letter whose lower case is two characters
    } else if (pair != std::end(kNewLowercase) && pair->upper == c.code_point) {
      append_utf8(pair->lower, lower);
    } else {
      append_utf8(static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.code_point))),
                  lower);
    }
  }
  return lower;
}

}  // namespace octavo::text
