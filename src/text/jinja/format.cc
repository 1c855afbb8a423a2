// printf-style and brace formatting of strings, as Python defines both ("Format Specification
// Mini-Language"), for strings, integers and floats. Widths and precisions are limited so that no format
// makes a string of its own size. Called by operators.cc (%), string_methods.cc (.format) and the filters
// `format` and `filesizeformat`.
#include "text/jinja/format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "text/jinja/attributes.h"
#include "text/jinja/operators.h"
#include "text/jinja/representation.h"
#include "text/jinja/unicode.h"

namespace octavo::text::jinja {
namespace {

constexpr int kMaxWidth = 10'000;
constexpr int kMaxPrecision = 400;

struct Spec {
  std::string fill = " ";
  char align = 0;  // < > = ^, 0 for the type's own
  char sign = '-';
  bool alternate = false, grouped = false;
  char group = ',';
  int width = 0;
  int precision = -1;
  char type = 0;
};

int read_number(Runtime& runtime, std::string_view text, size_t* i, int limit) {
  int value = 0;
  while (*i < text.size() && text[*i] >= '0' && text[*i] <= '9') {
    value = value * 10 + (text[(*i)++] - '0');
    if (value > limit)
      runtime.fail("a width or precision in a format is larger than " + std::to_string(limit));
  }
  return value;
}

Spec parse_spec(Runtime& runtime, std::string_view text) {
  static constexpr std::string_view kAligns = "<>=^";
  Spec spec;
  size_t i = 0;
  if (!text.empty()) {
    size_t after_fill = 0;
    decode(text, &after_fill);
    if (after_fill < text.size() && kAligns.find(text[after_fill]) != std::string_view::npos) {
      spec.fill = std::string(text.substr(0, after_fill));
      spec.align = text[after_fill];
      i = after_fill + 1;
    } else if (kAligns.find(text[0]) != std::string_view::npos) {
      spec.align = text[i++];
    }
  }
  if (i < text.size() && (text[i] == '+' || text[i] == '-' || text[i] == ' ')) spec.sign = text[i++];
  if (i < text.size() && text[i] == '#') {
    spec.alternate = true;
    ++i;
  }
  if (i < text.size() && text[i] == '0') {
    if (spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
    ++i;
  }
  spec.width = read_number(runtime, text, &i, kMaxWidth);
  if (i < text.size() && (text[i] == ',' || text[i] == '_')) {
    spec.grouped = true;
    spec.group = text[i++];
  }
  if (i < text.size() && text[i] == '.') {
    const size_t digits = ++i;
    spec.precision = read_number(runtime, text, &i, kMaxPrecision);
    if (i == digits) runtime.fail("a format lacks its precision");
  }
  if (i < text.size()) spec.type = text[i++];
  if (i != text.size()) runtime.fail("invalid format specifier " + repr(text));
  return spec;
}

std::string pad(const Spec& spec, char default_align, const std::string& sign, const std::string& body) {
  const auto size = static_cast<int>(n_code_points(sign) + n_code_points(body));
  if (size >= spec.width) return sign + body;
  const int n_fill = spec.width - size;
  const auto fill = [&](int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += spec.fill;
    return out;
  };
  switch (spec.align == 0 ? default_align : spec.align) {
    case '<':
      return sign + body + fill(n_fill);
    case '=':
      return sign + fill(n_fill) + body;
    case '^':
      return fill(n_fill / 2) + sign + body + fill(n_fill - n_fill / 2);
    default:
      return fill(n_fill) + sign + body;
  }
}

std::string group_digits(const std::string& digits, char separator, size_t every) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string sign_text(bool negative, char style) {
  if (negative) return "-";
  return style == '-' ? "" : std::string(1, style);
}

std::string digits_in_base(uint64_t magnitude, unsigned base, bool upper_case) {
  const char* symbols = upper_case ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string digits;
  do {
    digits.insert(digits.begin(), symbols[magnitude % base]);
    magnitude /= base;
  } while (magnitude > 0);
  return digits;
}

uint64_t magnitude_of(int64_t value) {
  return value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
}

std::string format_integer(Runtime& runtime, int64_t value, const Spec& spec) {
  std::string prefix, digits;
  size_t every = 4;
  switch (spec.type) {
    case 'x':
    case 'X':
      digits = digits_in_base(magnitude_of(value), 16, spec.type == 'X');
      prefix = spec.alternate ? (spec.type == 'X' ? "0X" : "0x") : "";
      break;
    case 'o':
      digits = digits_in_base(magnitude_of(value), 8, false);
      prefix = spec.alternate ? "0o" : "";
      break;
    case 'b':
      digits = digits_in_base(magnitude_of(value), 2, false);
      prefix = spec.alternate ? "0b" : "";
      break;
    case 'c':
      if (value < 0 || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
        runtime.fail("a %c or {:c} argument is no Unicode character");
      }
      append_utf8(&digits, static_cast<char32_t>(value));
      return pad(spec, '<', "", digits);
    default:
      digits = digits_in_base(magnitude_of(value), 10, false);
      every = 3;
  }
  if (spec.precision > static_cast<int>(digits.size())) {
    digits.insert(0, static_cast<size_t>(spec.precision) - digits.size(), '0');
  }
  if (spec.grouped) digits = group_digits(digits, spec.group, every);
  return pad(spec, '>', sign_text(value < 0, spec.sign) + prefix, digits);
}

std::string format_real(double value, const Spec& spec) {
  std::string body;
  const double magnitude = std::fabs(value);
  const bool percent = spec.type == '%';
  if (spec.type == 0 && spec.precision < 0) {
    body = real_repr(magnitude);
  } else if (std::isnan(value) || std::isinf(value)) {
    body = std::isnan(value) ? "nan" : "inf";
  } else {
    const char type = percent ? 'f' : spec.type == 0 || spec.type == 'n' ? 'g' : spec.type;
    const std::string pattern = std::string("%") + (spec.alternate ? "#" : "") + ".*" + type;
    std::array<char, 1024> buffer;  // the largest double has 309 digits before the point
    const int size =
        std::snprintf(buffer.data(), buffer.size(), pattern.c_str(), spec.precision < 0 ? 6 : spec.precision,
                      percent ? magnitude * 100 : magnitude);
    body.assign(buffer.data(), static_cast<size_t>(size));
    if (spec.type == 0 && body.find_first_of(".e") == std::string::npos) body += ".0";
  }
  if (spec.type == 'F' || spec.type == 'E' || spec.type == 'G') body = upper(body);
  if (percent) body += '%';
  if (spec.grouped) {
    const size_t end = std::min(body.find_first_not_of("0123456789"), body.size());
    body = group_digits(body.substr(0, end), spec.group, 3) + body.substr(end);
  }
  return pad(spec, '>', sign_text(std::signbit(value), spec.sign), body);
}

std::string format_text(std::string text, const Spec& spec) {
  if (spec.precision >= 0) text.resize(byte_offset(text, static_cast<size_t>(spec.precision)));
  return pad(spec, '<', "", text);
}

bool is_real_type(char type) { return std::string_view("eEfFgG%").find(type) != std::string_view::npos; }

// One %-conversion at *i, past the '%'.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& pattern, const Value& argument)
      : runtime_(runtime), pattern_(pattern), argument_(argument) {}

  std::string run() {
    const std::string& text = pattern_.text();
    std::string out;
    for (size_t i = 0; i < text.size();) {
      if (text[i] != '%') {
        out += text[i++];
        continue;
      }
      ++i;
      const std::string formatted = convert(text, &i);
      runtime_.charge_bytes(formatted.size());
      out += formatted;
      runtime_.check_live(out.size());
    }
    // An argument with items, other than a tuple or string, may go unused: it could have been a mapping.
    const bool could_be_mapping = argument_.is_undefined() || argument_.is(Kind::kDict) ||
                                  argument_.is(Kind::kList) || argument_.is(Kind::kRange);
    const size_t n_arguments = argument_.is(Kind::kTuple) ? argument_.sequence().items.size() : 1;
    if (n_used_ < n_arguments && !could_be_mapping) {
      runtime_.fail("not all arguments converted during string formatting");
    }
    return out;
  }

 private:
  Value next_argument() {
    if (argument_.is(Kind::kTuple)) {
      if (n_used_ < argument_.sequence().items.size()) return argument_.sequence().items[n_used_++];
    } else if (n_used_ == 0) {
      ++n_used_;
      return argument_;
    }
    runtime_.fail("not enough arguments for format string");
  }

  int star_or_number(std::string_view text, size_t* i, int limit) {
    if (*i < text.size() && text[*i] == '*') {
      ++*i;
      const int64_t value = require_int(runtime_, next_argument(), "a width in a format");
      if (value < 0 || value > limit) runtime_.fail("a width in a format is out of range");
      return static_cast<int>(value);
    }
    return read_number(runtime_, text, i, limit);
  }

  std::string convert(std::string_view text, size_t* i) {
    Spec spec;
    Value keyed;
    bool has_key = false;
    if (*i < text.size() && text[*i] == '(') {
      const size_t close = text.find(')', *i);
      if (close == std::string_view::npos || !argument_.is(Kind::kDict))
        runtime_.fail("format requires a mapping");
      const Value key = runtime_.string(std::string(text.substr(*i + 1, close - *i - 1)));
      const Value* found = find(runtime_, argument_.dict(), key);
      if (found == nullptr) runtime_.fail("a format names the missing key " + repr(key.text()));
      keyed = *found;
      has_key = true;
      *i = close + 1;
    }
    for (; *i < text.size(); ++*i) {
      const char flag = text[*i];
      if (flag == '-')
        spec.align = '<';
      else if (flag == '+')
        spec.sign = '+';
      else if (flag == ' ')
        spec.sign = spec.sign == '+' ? '+' : ' ';
      else if (flag == '#')
        spec.alternate = true;
      else if (flag == '0')
        spec.fill = "0";
      else
        break;
    }
    spec.width = star_or_number(text, i, kMaxWidth);
    if (*i < text.size() && text[*i] == '.') {
      ++*i;
      spec.precision = star_or_number(text, i, kMaxPrecision);
    }
    if (*i >= text.size()) runtime_.fail("incomplete format");
    spec.type = text[(*i)++];
    if (spec.type == '%') return "%";
    if (spec.fill == "0" && spec.align == 0 && spec.type != 's' && spec.type != 'r') spec.align = '=';
    if (spec.align == '<' || spec.align == 0) spec.fill = " ";
    return convert_value(has_key ? keyed : next_argument(), spec);
  }

  std::string text_of(const Value& value, char type) {
    std::string text = type == 's' ? to_text(runtime_, value) : to_repr(runtime_, value);
    if (!pattern_.is_markup() || (type == 's' && value.is_markup())) return text;
    return escape_html(runtime_, text);
  }

  std::string convert_value(const Value& value, Spec spec) {
    if (spec.align == 0) spec.align = '>';
    switch (spec.type) {
      case 's':
      case 'r':
        return format_text(text_of(value, spec.type), spec);
      case 'd':
      case 'i':
      case 'u':
        require_defined(runtime_, value);
        if (value.is(Kind::kFloat) && std::fabs(value.as_double()) < 9.2e18) {
          return format_integer(runtime_, static_cast<int64_t>(value.as_double()), spec);
        }
        if (!value.is_integral())
          runtime_.fail(std::string("%d format: a real number is required, not ") + type_name(value));
        return format_integer(runtime_, value.as_int(), spec);
      case 'x':
      case 'X':
      case 'o':
        return format_integer(runtime_, require_int(runtime_, value, "the argument of %x or %o"), spec);
      case 'c':
        if (value.is_string() && n_code_points(value.text()) == 1) return format_text(value.text(), spec);
        return format_integer(runtime_, require_int(runtime_, value, "the argument of %c"), spec);
      default:
        break;
    }
    if (spec.type == '%' || !is_real_type(spec.type)) {
      runtime_.fail(std::string("unsupported format character '") + spec.type + "'");
    }
    require_defined(runtime_, value);
    if (!value.is_number()) runtime_.fail(std::string("must be real number, not ") + type_name(value));
    return format_real(value.as_double(), spec);
  }

  Runtime& runtime_;
  const Value& pattern_;
  const Value& argument_;
  size_t n_used_ = 0;
};

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Arguments& arguments, bool markup)
      : runtime_(runtime), arguments_(arguments), markup_(markup) {}

  // `depth`: fields may stand inside the spec of a field, not deeper.
  std::string run(std::string_view text, int depth) {
    std::string out;
    for (size_t i = 0; i < text.size();) {
      const char c = text[i++];
      if (c != '{' && c != '}') {
        out += c;
      } else if (i < text.size() && text[i] == c) {
        out += c;
        ++i;
      } else if (c == '}') {
        runtime_.fail("single '}' encountered in format string");
      } else {
        const size_t end = field_end(text, i);
        const std::string formatted = field(text.substr(i, end - i), depth);
        runtime_.charge_bytes(formatted.size());
        out += formatted;
        runtime_.check_live(out.size());
        i = end + 1;
      }
    }
    return out;
  }

 private:
  size_t field_end(std::string_view text, size_t i) {
    int open = 1;
    for (; i < text.size(); ++i) {
      if (text[i] == '{') ++open;
      if (text[i] == '}' && --open == 0) return i;
    }
    runtime_.fail("expected '}' before end of format string");
  }

  std::string field(std::string_view text, int depth) {
    if (depth > 1) runtime_.fail("max string recursion exceeded in a format");
    const size_t name_end = std::min(text.find_first_of("!:"), text.size());
    Value value = lookup(text.substr(0, name_end));
    std::string_view rest = text.substr(name_end);
    if (!rest.empty() && rest[0] == '!') {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':'))
        runtime_.fail("invalid conversion in a format");
      if (rest[1] == 's') {
        value = runtime_.string(to_text(runtime_, value));
      } else if (rest[1] == 'r') {
        value = runtime_.string(to_repr(runtime_, value));
      } else {
        runtime_.fail(std::string("conversion '!") + rest[1] + "' in a format is not supported");
      }
      rest.remove_prefix(2);
    }
    const std::string spec = rest.empty() ? std::string() : run(rest.substr(1), depth + 1);
    std::string formatted = format_value(runtime_, value, spec);
    return markup_ && !value.is_markup() ? escape_html(runtime_, formatted) : formatted;
  }

  // "0", "name", "name.attribute[key]" or "" for the next positional argument.
  Value lookup(std::string_view path) {
    const size_t first_end = std::min(path.find_first_of(".["), path.size());
    Value value = argument(path.substr(0, first_end));
    for (size_t i = first_end; i < path.size();) {
      if (path[i] == '.') {
        const size_t end = std::min(path.find_first_of(".[", i + 1), path.size());
        value = get_attribute(runtime_, value, path.substr(i + 1, end - i - 1));
        i = end;
      } else {
        const size_t end = path.find(']', i);
        if (path[i] != '[' || end == std::string_view::npos)
          runtime_.fail("malformed field in a format string");
        const std::string_view key = path.substr(i + 1, end - i - 1);
        const bool is_index =
            !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string_view::npos;
        value = get_item(runtime_, value,
                         is_index ? Value::integer(std::atoi(std::string(key).c_str()))
                                  : runtime_.string(std::string(key)));
        i = end + 1;
      }
    }
    return value;
  }

  Value argument(std::string_view name) {
    size_t index = next_;
    if (name.empty()) {
      ++next_;
    } else if (name.size() < 10 && name.find_first_not_of("0123456789") == std::string_view::npos) {
      index = static_cast<size_t>(std::atoi(std::string(name).c_str()));
    } else {
      const Value* found = arguments_.keyword(name);
      if (found == nullptr) runtime_.fail("a format names the missing argument " + repr(name));
      return *found;
    }
    if (index >= arguments_.positional.size()) runtime_.fail("a format names more arguments than there are");
    return arguments_.positional[index];
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  bool markup_;
  size_t next_ = 0;
};

}  // namespace

std::string format_value(Runtime& runtime, const Value& value, std::string_view spec_text) {
  if (spec_text.empty()) return to_text(runtime, value);
  const Spec spec = parse_spec(runtime, spec_text);
  if (value.is_string()) {
    if (spec.type != 0 && spec.type != 's') {
      runtime.fail(std::string("unknown format code '") + spec.type + "' for object of type 'str'");
    }
    if (spec.align == '=' && spec.fill != "0")
      runtime.fail("'=' alignment not allowed in string format specifier");
    Spec text_spec = spec;
    if (spec.align == '=') text_spec.align = '<';
    return format_text(to_text(runtime, value), text_spec);
  }
  if (value.is_integral() && !is_real_type(spec.type)) {
    if (spec.type != 0 && std::string_view("bcdnoxX").find(spec.type) == std::string_view::npos) {
      runtime.fail(std::string("unknown format code '") + spec.type + "' for object of type 'int'");
    }
    if (spec.precision >= 0) runtime.fail("precision not allowed in integer format specifier");
    return format_integer(runtime, value.as_int(), spec);
  }
  if (value.is_number()) {
    if (spec.type != 0 && spec.type != 'n' && !is_real_type(spec.type)) {
      runtime.fail(std::string("unknown format code '") + spec.type + "' for object of type 'float'");
    }
    return format_real(value.as_double(), spec);
  }
  runtime.fail(std::string("unsupported format string passed to ") + type_name(value) + ".__format__");
}

Value format_percent(Runtime& runtime, const Value& pattern, const Value& argument) {
  return runtime.string(PercentFormatter(runtime, pattern, argument).run(), pattern.is_markup());
}

Value format_braces(Runtime& runtime, const Value& pattern, const Arguments& arguments) {
  return runtime.string(BraceFormatter(runtime, arguments, pattern.is_markup()).run(pattern.text(), 0),
                        pattern.is_markup());
}

}  // namespace octavo::text::jinja
