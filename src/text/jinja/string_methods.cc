// The methods of str that templates call: "…".strip(), .split(), .format() and their kin, counted in code
// points as Python counts. Results of a markup string are markup. Looked up by attributes.cc.
#include <algorithm>
#include <optional>

#include "text/jinja/argument_reader.h"
#include "text/jinja/attributes.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/representation.h"
#include "text/jinja/unicode.h"

namespace octavo::text::jinja {
namespace {

Value like(Runtime& runtime, const Value& self, std::string text) {
  return runtime.string(std::move(text), self.is_markup());
}

template <std::string (*kTransform)(std::string_view)>
Value transformed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  require_no_arguments(runtime, "the string method", arguments);
  runtime.charge_bytes(self.text().size());
  runtime.expect_text(4 * self.text().size());  // as code points
  return like(runtime, self, kTransform(self.text()));
}

template <Strip kSides>
Value stripped(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "strip", arguments, {"chars"}, 0, 1);
  runtime.charge_bytes(self.text().size());
  if (!args.has(0) || args[0].is_none()) return like(runtime, self, std::string(strip(self.text(), kSides)));
  runtime.charge_bytes(args.text(0).size());
  return like(runtime, self, std::string(strip(self.text(), kSides, args.text(0))));
}

// The part of a string that [start, end) arguments choose; no value when start lies past the end.
struct Window {
  size_t begin, end;  // bytes
  int64_t first;      // code points before it
};

std::optional<Window> window(Runtime& runtime, const ArgumentReader& args, const std::string& text) {
  const auto size = static_cast<int64_t>(n_code_points(text));
  const auto bound = [&](size_t index, int64_t fallback) {
    if (!args.has(index) || args[index].is_none()) return fallback;
    const int64_t value = require_int(runtime, args[index], "a start or end");
    return value < 0 ? std::max<int64_t>(value < -size ? 0 : value + size, 0) : value;
  };
  const int64_t first = bound(1, 0), last = std::min(bound(2, size), size);
  if (first > size || last < first) return std::nullopt;
  return Window{byte_offset(text, static_cast<size_t>(first)), byte_offset(text, static_cast<size_t>(last)),
                first};
}

enum class Search { kFind, kRfind, kIndex, kRindex };

template <Search kSearch>
Value found_at(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "find", arguments, {"sub", "start", "end"}, 1, 3);
  const std::string& text = self.text();
  runtime.charge_bytes(text.size());
  const std::string& sub = args.text(0);
  if (const auto in = window(runtime, args, text)) {
    const std::string_view part = std::string_view(text).substr(in->begin, in->end - in->begin);
    const bool from_right = kSearch == Search::kRfind || kSearch == Search::kRindex;
    const size_t at = from_right ? part.rfind(sub) : part.find(sub);
    if (at != std::string_view::npos) {
      return Value::integer(in->first + static_cast<int64_t>(n_code_points(part.substr(0, at))));
    }
  }
  if (kSearch == Search::kIndex || kSearch == Search::kRindex) runtime.fail("substring not found");
  return Value::integer(-1);
}

Value count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "count", arguments, {"sub", "start", "end"}, 1, 3);
  const std::string& text = self.text();
  runtime.charge_bytes(text.size());
  const std::string& sub = args.text(0);
  const auto in = window(runtime, args, text);
  if (!in) return Value::integer(0);
  const std::string_view part = std::string_view(text).substr(in->begin, in->end - in->begin);
  if (sub.empty()) return Value::integer(static_cast<int64_t>(n_code_points(part)) + 1);
  int64_t n = 0;
  for (size_t at = part.find(sub); at != std::string_view::npos; at = part.find(sub, at + sub.size())) ++n;
  return Value::integer(n);
}

template <bool kAtEnd>
Value affixed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, kAtEnd ? "endswith" : "startswith", arguments,
                            {"prefix", "start", "end"}, 1, 3);
  runtime.charge_bytes(self.text().size());
  const auto in = window(runtime, args, self.text());
  const auto matches = [&](const Value& affix) {
    require_defined(runtime, affix);
    if (!affix.is_string()) {
      runtime.fail(std::string("startswith and endswith take a string or a tuple of strings, not ") +
                   type_name(affix));
    }
    if (!in) return false;
    const std::string_view part = std::string_view(self.text()).substr(in->begin, in->end - in->begin);
    return kAtEnd ? part.ends_with(affix.text()) : part.starts_with(affix.text());
  };
  if (!args[0].is(Kind::kTuple)) return Value::boolean(matches(args[0]));
  const std::vector<Value>& affixes = args[0].sequence().items;
  return Value::boolean(std::any_of(affixes.begin(), affixes.end(), matches));
}

template <bool kAtEnd>
Value without_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, kAtEnd ? "removesuffix" : "removeprefix", arguments, {"affix"}, 1, 1);
  std::string_view text = self.text();
  const std::string& affix = args.text(0);
  if (!affix.empty() && (kAtEnd ? text.ends_with(affix) : text.starts_with(affix))) {
    kAtEnd ? text.remove_suffix(affix.size()) : text.remove_prefix(affix.size());
  }
  return like(runtime, self, std::string(text));
}

class Pieces {
 public:
  Pieces(Runtime& runtime, const Value& self) : runtime_(runtime), self_(self) {}
  void add(std::string_view piece) {
    runtime_.reserve(1);
    items_.push_back(like(runtime_, self_, std::string(piece)));
  }
  Value list(bool reversed) {
    if (reversed) std::reverse(items_.begin(), items_.end());
    return runtime_.list(std::move(items_));
  }

 private:
  Runtime& runtime_;
  const Value& self_;
  std::vector<Value> items_;
};

size_t skip_word(std::string_view text, size_t at, bool while_space) {
  while (at < text.size()) {
    size_t next = at;
    if (is_space(decode(text, &next)) != while_space) break;
    at = next;
  }
  return at;
}

void split_words(std::string_view text, int64_t max_splits, Pieces* pieces) {
  for (size_t at = skip_word(text, 0, true); at < text.size();) {
    if (max_splits == 0) return pieces->add(text.substr(at));
    const size_t end = skip_word(text, at, false);
    pieces->add(text.substr(at, end - at));
    at = skip_word(text, end, true);
    --max_splits;
  }
}

void split_words_from_right(std::string_view text, int64_t max_splits, Pieces* pieces) {
  std::vector<std::pair<size_t, size_t>> words;
  for (size_t at = skip_word(text, 0, true); at < text.size();) {
    const size_t end = skip_word(text, at, false);
    words.emplace_back(at, end);
    at = skip_word(text, end, true);
  }
  for (size_t i = words.size(); i > 0; --i) {
    if (max_splits == 0) return pieces->add(text.substr(0, words[i - 1].second));
    pieces->add(text.substr(words[i - 1].first, words[i - 1].second - words[i - 1].first));
    --max_splits;
  }
}

template <bool kFromRight>
Value split(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "split", arguments, {"sep", "maxsplit"});
  std::string_view text = self.text();
  runtime.charge_bytes(text.size());
  int64_t max_splits = args.integer(1, -1);
  Pieces pieces(runtime, self);
  if (!args.has(0) || args[0].is_none()) {
    kFromRight ? split_words_from_right(text, max_splits, &pieces) : split_words(text, max_splits, &pieces);
    return pieces.list(kFromRight);
  }
  const std::string& separator = args.text(0);
  if (separator.empty()) runtime.fail("empty separator");
  for (; max_splits != 0; --max_splits) {
    const size_t at = kFromRight ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    pieces.add(kFromRight ? text.substr(at + separator.size()) : text.substr(0, at));
    text = kFromRight ? text.substr(0, at) : text.substr(at + separator.size());
  }
  pieces.add(text);
  return pieces.list(kFromRight);
}

template <bool kFromRight>
Value partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "partition", arguments, {"sep"}, 1, 1);
  const std::string& text = self.text();
  const std::string& separator = args.text(0);
  if (separator.empty()) runtime.fail("empty separator");
  const size_t at = kFromRight ? text.rfind(separator) : text.find(separator);
  if (at == std::string::npos) {
    const Value none = like(runtime, self, "");
    return kFromRight ? runtime.tuple({none, none, self}) : runtime.tuple({self, none, none});
  }
  return runtime.tuple({like(runtime, self, text.substr(0, at)), like(runtime, self, separator),
                        like(runtime, self, text.substr(at + separator.size()))});
}

Value splitlines(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "splitlines", arguments, {"keepends"});
  runtime.expect_text(self.text().size());
  Pieces pieces(runtime, self);
  for (const std::string& line : split_lines(self.text(), args.flag(0, false))) pieces.add(line);
  return pieces.list(false);
}

Value join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "join", arguments, {"iterable"}, 1, 1);
  std::string joined;
  size_t n = 0;
  for (const Value& item : to_vector(runtime, args[0])) {
    const bool escapes = self.is_markup() && !(item.is_string() && item.is_markup());
    if (!item.is_string() && !self.is_markup()) {
      runtime.fail("sequence item " + std::to_string(n) + ": expected str instance, " + type_name(item) +
                   " found");
    }
    const std::string piece = escapes ? escape_html(runtime, to_text(runtime, item)) : item.text();
    if (n++ > 0) joined += self.text();
    joined += piece;
    runtime.charge_copy(self.text().size() + piece.size());
    runtime.check_live(joined.size());
  }
  return like(runtime, self, std::move(joined));
}

Value replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "replace", arguments, {"old", "new", "count"}, 2, 3);
  args.text(0);
  const std::string fresh =
      self.is_markup() && !args[1].is_markup() ? escape_html(runtime, args.text(1)) : args.text(1);
  return like(runtime, self, replace_text(runtime, self.text(), args.text(0), fresh, args.integer(2, -1)));
}

template <char kAlign>
Value justified(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "ljust, rjust or center", arguments, {"width", "fillchar"}, 1, 2);
  const std::string fill = args.has(1) ? args.text(1) : " ";
  if (n_code_points(fill) != 1) runtime.fail("the fill character must be exactly one character long");
  const auto size = static_cast<int64_t>(n_code_points(self.text()));
  const int64_t missing = std::max<int64_t>(args.integer(0, 0), size) - size;
  runtime.expect_text(static_cast<uint64_t>(missing));
  // str.center puts the odd blank to the left when the width is odd.
  const int64_t left = kAlign == '<'   ? 0
                       : kAlign == '>' ? missing
                                       : missing / 2 + (missing & (missing + size) & 1);
  std::string text;
  for (int64_t i = 0; i < left; ++i) text += fill;
  text += self.text();
  for (int64_t i = left; i < missing; ++i) text += fill;
  return like(runtime, self, std::move(text));
}

Value zfill(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "zfill", arguments, {"width"}, 1, 1);
  const std::string& text = self.text();
  const auto size = static_cast<int64_t>(n_code_points(text));
  const int64_t missing = std::max<int64_t>(args.integer(0, 0), size) - size;
  runtime.expect_text(static_cast<uint64_t>(missing));
  const size_t sign = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  return like(runtime, self,
              text.substr(0, sign) + std::string(static_cast<size_t>(missing), '0') + text.substr(sign));
}

Value expandtabs(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "expandtabs", arguments, {"tabsize"});
  const int64_t tab = std::clamp<int64_t>(args.integer(0, 8), 0, 1000);
  std::string out;
  int64_t column = 0;
  const std::string& text = self.text();
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    const char32_t code = decode(text, &i);
    if (code == '\t') {
      const int64_t n = tab == 0 ? 0 : tab - column % tab;
      runtime.expect_text(static_cast<uint64_t>(n));
      out.append(static_cast<size_t>(n), ' ');
      column += n;
    } else {
      out.append(text, begin, i - begin);
      column = code == '\n' || code == '\r' ? 0 : column + 1;
    }
    runtime.check_live(out.size());
  }
  return like(runtime, self, std::move(out));
}

bool is_digit_character(char32_t code) {
  return is_decimal(code) || code == 0xB2 || code == 0xB3 || code == 0xB9 || code == 0x2070 ||
         (code >= 0x2074 && code <= 0x2079) || (code >= 0x2080 && code <= 0x2089) ||
         (code >= 0x2460 && code <= 0x2468);
}
bool is_alphanumeric(char32_t code) { return is_alpha(code) || is_digit_character(code); }
bool is_printable_character(char32_t code) { return is_printable(code); }

// True when every character passes; an empty string gives `kOfEmpty`.
template <bool (*kTest)(char32_t), bool kOfEmpty = false>
Value all_characters(Runtime& runtime, const Value& self, const Arguments& arguments) {
  require_no_arguments(runtime, "the string method", arguments);
  const std::string& text = self.text();
  runtime.charge_bytes(text.size());
  for (size_t i = 0; i < text.size();) {
    if (!kTest(decode(text, &i))) return Value::boolean(false);
  }
  return Value::boolean(kOfEmpty || !text.empty());
}

bool is_ascii_character(char32_t code) { return code < 0x80; }

template <bool kUpper>
Value in_case(Runtime& runtime, const Value& self, const Arguments& arguments) {
  require_no_arguments(runtime, kUpper ? "isupper" : "islower", arguments);
  runtime.charge_bytes(self.text().size());
  return Value::boolean(is_in_case(self.text(), kUpper));
}

Value istitle(Runtime& runtime, const Value& self, const Arguments& arguments) {
  require_no_arguments(runtime, "istitle", arguments);
  const std::string& text = self.text();
  runtime.charge_bytes(text.size());
  bool any = false, inside_word = false;
  for (size_t i = 0; i < text.size();) {
    const char32_t code = decode(text, &i);
    if (is_lower(code) ? !inside_word : is_cased(code) && inside_word) return Value::boolean(false);
    inside_word = is_cased(code);
    any |= inside_word;
  }
  return Value::boolean(any);
}

Value isidentifier(Runtime& runtime, const Value& self, const Arguments& arguments) {
  require_no_arguments(runtime, "isidentifier", arguments);
  const std::string& text = self.text();
  runtime.charge_bytes(text.size());
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return Value::boolean(false);
  return all_characters<is_name_part>(runtime, self, arguments);
}

Value format_map(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "format_map", arguments, {"mapping"}, 1, 1);
  if (!args[0].is(Kind::kDict)) runtime.fail("format_map() takes a mapping");
  Arguments named;
  for (const auto& [key, value] : args[0].dict().items) {
    if (key.is_string()) named.keywords.emplace_back(key.text(), value);
  }
  return format_braces(runtime, self, named);
}

Value unsupported_method(Runtime& runtime, const Value&, const Arguments&) {
  runtime.fail(
      StatusCode::kUnsupported,
      "the string methods encode, translate, maketrans and casefold are not supported in chat templates");
}

}  // namespace

NativeFunction find_string_method(std::string_view name) {
  static constexpr std::pair<std::string_view, NativeFunction> kMethods[] = {
      {"strip", stripped<Strip::kBoth>},
      {"lstrip", stripped<Strip::kLeft>},
      {"rstrip", stripped<Strip::kRight>},
      {"split", split<false>},
      {"rsplit", split<true>},
      {"startswith", affixed<false>},
      {"endswith", affixed<true>},
      {"replace", replace},
      {"format", format_braces},
      {"format_map", format_map},
      {"join", join},
      {"upper", transformed<upper>},
      {"lower", transformed<lower>},
      {"title", transformed<title>},
      {"capitalize", transformed<capitalize>},
      {"swapcase", transformed<swapcase>},
      {"find", found_at<Search::kFind>},
      {"rfind", found_at<Search::kRfind>},
      {"index", found_at<Search::kIndex>},
      {"rindex", found_at<Search::kRindex>},
      {"count", count},
      {"splitlines", splitlines},
      {"partition", partition<false>},
      {"rpartition", partition<true>},
      {"removeprefix", without_affix<false>},
      {"removesuffix", without_affix<true>},
      {"ljust", justified<'<'>},
      {"rjust", justified<'>'>},
      {"center", justified<'^'>},
      {"zfill", zfill},
      {"expandtabs", expandtabs},
      {"isalpha", all_characters<is_alpha>},
      {"isalnum", all_characters<is_alphanumeric>},
      {"isdigit", all_characters<is_digit_character>},
      {"isnumeric", all_characters<is_digit_character>},
      {"isdecimal", all_characters<is_decimal>},
      {"isspace", all_characters<is_space>},
      {"isascii", all_characters<is_ascii_character, true>},
      {"isprintable", all_characters<is_printable_character, true>},
      {"isupper", in_case<true>},
      {"islower", in_case<false>},
      {"istitle", istitle},
      {"isidentifier", isidentifier},
      {"encode", unsupported_method},
      {"translate", unsupported_method},
      {"maketrans", unsupported_method},
      {"casefold", unsupported_method},
  };
  for (const auto& [method, function] : kMethods) {
    if (method == name) return function;
  }
  return nullptr;
}

std::string replace_text(Runtime& runtime, std::string_view text, std::string_view old,
                         std::string_view fresh, int64_t max_count) {
  runtime.charge_bytes(text.size());
  std::string out;
  size_t at = 0;
  const auto put = [&](std::string_view piece) {
    runtime.charge_copy(piece.size());
    out += piece;
    runtime.check_live(out.size());
  };
  for (int64_t n = 0; max_count < 0 || n < max_count; ++n) {
    if (old.empty()) {  // before every character and at the end
      put(fresh);
      if (at == text.size()) return out;
      const size_t begin = at;
      decode(text, &at);
      put(text.substr(begin, at - begin));
      continue;
    }
    const size_t found = text.find(old, at);
    if (found == std::string_view::npos) break;
    put(text.substr(at, found - at));
    put(fresh);
    at = found + old.size();
  }
  put(text.substr(at));
  return out;
}

bool is_in_case(std::string_view text, bool upper_case) {
  bool any = false;
  for (size_t i = 0; i < text.size();) {
    const char32_t code = decode(text, &i);
    if (!is_cased(code)) continue;
    if (upper_case ? !is_upper(code) : !is_lower(code)) return false;
    any = true;
  }
  return any;
}

}  // namespace octavo::text::jinja
