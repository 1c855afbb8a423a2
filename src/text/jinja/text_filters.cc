// Filters that make text or numbers: jinja2/filters.py, with transformers' own tojson (plain json.dumps,
// nothing escaped for HTML). Called by interpreter.cc and |map.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "text/jinja/argument_reader.h"
#include "text/jinja/attributes.h"
#include "text/jinja/filters.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/representation.h"
#include "text/jinja/unicode.h"

namespace octavo::text::jinja {
namespace {

// The value as a string; markup stays markup.
Value soft_text(Runtime& runtime, const Value& value) {
  return value.is_string() ? value : runtime.string(to_text(runtime, value));
}

template <std::string (*kTransform)(std::string_view)>
Value transformed(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "the filter", arguments);
  const Value text = soft_text(runtime, input);
  runtime.charge_bytes(text.text().size());
  runtime.expect_text(4 * text.text().size());  // as code points
  return runtime.string(kTransform(text.text()), text.is_markup());
}

bool starts_word(char32_t code) {
  return code == '-' || code == '(' || code == '{' || code == '[' || code == '<' || is_space(code);
}

// Jinja's title: words begin after blanks and - ( { [ <.
std::string title_words(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    const bool separator = starts_word(decode(text, &end));
    const size_t first_end = end;
    while (end < text.size()) {
      size_t next = end;
      if (starts_word(decode(text, &next)) != separator) break;
      end = next;
    }
    out += upper(text.substr(at, first_end - at)) + lower(text.substr(first_end, end - first_end));
    at = end;
  }
  return out;
}

// Joined anew from its words, the title of a markup string is a plain one.
Value title(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "title", arguments);
  const std::string text = to_text(runtime, input);
  runtime.charge_bytes(text.size());
  runtime.expect_text(4 * text.size());  // as code points
  return runtime.string(title_words(text));
}

Value trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "trim", arguments, {"chars"});
  const Value text = soft_text(runtime, input);
  runtime.charge_bytes(text.text().size());
  const bool by_space = !args.has(0) || args[0].is_none();
  return runtime.string(std::string(by_space ? strip(text.text(), Strip::kBoth)
                                             : strip(text.text(), Strip::kBoth, args.text(0))),
                        text.is_markup());
}

Value replace(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "replace", arguments, {"old", "new", "count"}, 2);
  const int64_t count = args.has(2) && !args[2].is_none() ? args.integer(2, -1) : -1;
  return runtime.string(replace_text(runtime, to_text(runtime, input), to_text(runtime, args[0]),
                                     to_text(runtime, args[1]), count));
}

Value indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "indent", arguments, {"width", "first", "blank"});
  require_defined(runtime, input);
  if (!input.is_string())
    runtime.fail(std::string("indent() takes a string, not '") + type_name(input) + "'");
  std::string indention = "    ";
  if (args.has(0) && args[0].is_string()) {
    indention = args[0].text();
  } else {
    const int64_t width = std::max<int64_t>(args.integer(0, 4), 0);
    runtime.expect_text(static_cast<uint64_t>(width));
    indention = std::string(static_cast<size_t>(width), ' ');
  }
  const bool blank = args.flag(2, false);
  runtime.expect_text(input.text().size());
  const std::vector<std::string> lines = split_lines(input.text() + "\n", false);
  std::string out = args.flag(1, false) ? indention : std::string();
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indention;
    out += lines[i];
    runtime.charge_bytes(indention.size() + lines[i].size());
    runtime.check_live(out.size());
  }
  return runtime.string(std::move(out), input.is_markup());
}

Value truncate(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "truncate", arguments, {"length", "killwords", "end", "leeway"});
  require_defined(runtime, input);
  if (!input.is_string())
    runtime.fail(std::string("truncate() takes a string, not '") + type_name(input) + "'");
  const int64_t limit = args.integer(0, 255);
  const std::string end = args.has(2) ? args.text(2) : "...";
  const int64_t leeway = args.has(3) && !args[3].is_none() ? args.integer(3, 5) : 5;
  const auto end_length = static_cast<int64_t>(n_code_points(end));
  if (limit < end_length) runtime.fail("truncate() needs a length of at least its end's");
  if (leeway < 0) runtime.fail("truncate() needs a leeway of at least 0");
  const int64_t size = length(runtime, input);
  if (size <= leeway || size - leeway <= limit) return input;
  std::string kept =
      input.text().substr(0, byte_offset(input.text(), static_cast<size_t>(limit - end_length)));
  if (!args.flag(1, false)) {
    const size_t space = kept.rfind(' ');
    if (space != std::string::npos) kept.resize(space);
  }
  return runtime.string(kept + end, input.is_markup());
}

Value center(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "center", arguments, {"width"});
  Arguments width;
  width.positional.push_back(Value::integer(args.integer(0, 80)));
  return find_string_method("center")(runtime, soft_text(runtime, input), width);
}

Value wordcount(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "wordcount", arguments);
  const std::string text = to_text(runtime, input);
  int64_t n = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    const bool part = is_name_part(decode(text, &i));
    n += part && !inside ? 1 : 0;
    inside = part;
  }
  return Value::integer(n);
}

Value as_string(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "string", arguments);
  return soft_text(runtime, input);
}

Value safe(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "safe", arguments);
  return runtime.string(to_text(runtime, input), true);
}

Value escaped(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "escape", arguments);
  return escape(runtime, input);
}

Value force_escaped(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "forceescape", arguments);
  return runtime.string(escape_html(runtime, to_text(runtime, input)), true);
}

Value format(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.keywords.empty()) {
    runtime.fail("format() cannot take positional and keyword arguments at the same time");
  }
  if (arguments.keywords.empty()) {
    return format_percent(runtime, soft_text(runtime, input), runtime.tuple(arguments.positional));
  }
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [name, value] : arguments.keywords) items.emplace_back(runtime.string(name), value);
  return format_percent(runtime, soft_text(runtime, input), runtime.dict(std::move(items)));
}

std::string percent_encode(Runtime& runtime, const Value& value, bool for_query) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  const std::string text = to_text(runtime, value);
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte < 0x80 && is_name_part(byte)) || c == '.' || c == '-' || c == '~';
    if (plain || (c == '/' && !for_query)) {
      out += c;
    } else if (c == ' ' && for_query) {
      out += '+';
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  runtime.expect_text(out.size());
  return out;
}

Value urlencode(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "urlencode", arguments);
  if (input.is_string() || !is_iterable(input)) return runtime.string(percent_encode(runtime, input, false));
  const Value pairs = input.is(Kind::kDict) ? runtime.view(input.dict(), DictView::Part::kItems) : input;
  std::string out;
  for (const Value& pair : to_vector(runtime, pairs)) {
    const std::vector<Value> parts = to_vector(runtime, pair);
    if (parts.size() != 2) runtime.fail("urlencode() takes pairs of key and value");
    out += (out.empty() ? "" : "&") + percent_encode(runtime, parts[0], true) + "=" +
           percent_encode(runtime, parts[1], true);
    runtime.check_live(out.size());
  }
  return runtime.string(std::move(out));
}

Value xmlattr(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "xmlattr", arguments, {"autospace"});
  require_defined(runtime, input);
  if (!input.is(Kind::kDict))
    runtime.fail(std::string("xmlattr() takes a mapping, not '") + type_name(input) + "'");
  std::string out;
  for (const auto& [key, value] : input.dict().items) {
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_string() || key.text().find_first_of(" \t\n\r\f\v/>=") != std::string::npos) {
      runtime.fail("invalid character in attribute name " + to_repr(runtime, key));
    }
    if (!out.empty()) out += ' ';
    out += escape(runtime, key).text() + "=\"" + escape(runtime, value).text() + "\"";
    runtime.check_live(out.size());
  }
  return runtime.string((args.flag(0, true) && !out.empty() ? " " : "") + out);
}

Value tojson(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "tojson", arguments,
                            {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = args.flag(0, false);
  style.sort_keys = args.flag(3, false);
  style.has_indent = args.has(1) && !args[1].is_none();
  if (style.has_indent) {
    style.item_separator = ",";
    if (args[1].is_string()) {
      style.indent = args[1].text();
    } else {
      const int64_t width = std::max<int64_t>(args.integer(1, 0), 0);
      runtime.expect_text(static_cast<uint64_t>(width));
      style.indent = std::string(static_cast<size_t>(width), ' ');
    }
  }
  if (args.has(2) && !args[2].is_none()) {
    const std::vector<Value> separators = to_vector(runtime, args[2]);
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      runtime.fail("tojson() takes separators as a pair of strings");
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  return runtime.string(to_json(runtime, input, style));
}

// A number's text without blanks around it and underscores between digits; empty when it is none.
std::string number_text(std::string_view text) {
  const std::string_view trimmed = strip(text, Strip::kBoth);
  std::string digits;
  for (size_t i = 0; i < trimmed.size(); ++i) {
    const auto is_alnum = [&](size_t at) {
      return at < trimmed.size() && std::isalnum(static_cast<unsigned char>(trimmed[at])) != 0;
    };
    if (trimmed[i] != '_') {
      digits += trimmed[i];
    } else if (i == 0 || !is_alnum(i - 1) || !is_alnum(i + 1)) {
      return {};
    }
  }
  return digits;
}

bool parse_integer(std::string_view text, int64_t base, int64_t* out) {
  std::string digits = number_text(text);
  bool negative = false;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    negative = digits[0] == '-';
    digits.erase(0, 1);
  }
  const std::string prefix = lower(digits.substr(0, 2));
  const int64_t prefixed = prefix == "0x" ? 16 : prefix == "0o" ? 8 : prefix == "0b" ? 2 : 0;
  if (prefixed != 0 && (base == prefixed || base == 0)) {
    digits.erase(0, 2);
    base = prefixed;
  }
  if (base == 0) base = 10;
  if (digits.empty() || base < 2 || base > 36) return false;
  int64_t value = 0;
  for (const char c : digits) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 10
                      : c >= 'A' && c <= 'Z' ? c - 'A' + 10
                                             : 99;
    if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
        __builtin_sub_overflow(value, static_cast<int64_t>(digit), &value)) {
      return false;  // counted below zero, where the range is wider
    }
  }
  if (!negative && __builtin_sub_overflow(int64_t{0}, value, &value)) return false;
  *out = value;
  return true;
}

bool parse_real(std::string_view text, double* out) {
  const std::string digits = number_text(text);
  const std::string name = lower(digits);
  const std::string_view unsigned_name =
      std::string_view(name).substr(name.empty() || (name[0] != '-' && name[0] != '+') ? 0 : 1);
  const bool named = unsigned_name == "inf" || unsigned_name == "infinity" || unsigned_name == "nan";
  if (digits.empty() || (!named && digits.find_first_not_of("0123456789+-.eE") != std::string::npos))
    return false;
  char* end = nullptr;
  *out = std::strtod(digits.c_str(), &end);
  return end == digits.c_str() + digits.size();
}

bool to_real(Runtime& runtime, const Value& value, double* out) {
  require_defined(runtime, value);
  if (value.is_number()) return *out = value.as_double(), true;
  return value.is_string() && parse_real(value.text(), out);
}

Value as_int(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "int", arguments, {"default", "base"});
  require_defined(runtime, input);
  const Value fallback = args.has(0) ? args[0] : Value::integer(0);
  if (input.is_integral()) return Value::integer(input.as_int());
  int64_t integer = 0;
  if (input.is_string() && parse_integer(input.text(), args.integer(1, 10), &integer))
    return Value::integer(integer);
  double real = 0;
  if (!to_real(runtime, input, &real) || std::isnan(real)) return fallback;
  if (std::isinf(real) && input.is_string()) return fallback;
  if (std::fabs(real) >= 9223372036854775808.0)
    runtime.fail("a number is too large for an integer of 64 bits");
  return Value::integer(static_cast<int64_t>(real));
}

Value as_float(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "float", arguments, {"default"});
  double real = 0;
  if (to_real(runtime, input, &real)) return Value::real(real);
  return args.has(0) ? args[0] : Value::real(0);
}

Value absolute(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "abs", arguments);
  require_defined(runtime, input);
  if (!input.is_number()) runtime.fail(std::string("bad operand type for abs(): '") + type_name(input) + "'");
  const bool negative = input.is_integral() ? input.as_int() < 0 : std::signbit(input.as_double());
  return negative ? negate(runtime, input) : affirm(runtime, input);
}

double round_half_even(double value, int64_t precision) {
  if (!std::isfinite(value)) return value;
  if (precision >= 0) {  // printf rounds the exact decimal value, ties to even, as Python does
    std::array<char, 1400> buffer;
    std::snprintf(buffer.data(), buffer.size(), "%.*f", static_cast<int>(std::min<int64_t>(precision, 1000)),
                  value);
    return std::strtod(buffer.data(), nullptr);
  }
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return std::isfinite(unit) ? std::nearbyint(value / unit) * unit : 0.0;
}

Value round(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "round", arguments, {"precision", "method"});
  require_defined(runtime, input);
  const bool to_integer = args.has(0) && args[0].is_none();
  const int64_t precision = to_integer ? 0 : args.integer(0, 0);
  const std::string method = args.has(1) ? args.text(1) : "common";
  if (method != "common" && method != "ceil" && method != "floor")
    runtime.fail("method must be common, ceil or floor");
  if (!input.is_number()) runtime.fail(std::string("type ") + type_name(input) + " cannot be rounded");
  if (method == "common") {
    if (input.is_integral() && precision >= 0) return affirm(runtime, input);
    const double rounded = round_half_even(input.as_double(), precision);
    if (!input.is_integral() && !to_integer) return Value::real(rounded);
    if (!(std::fabs(rounded) < 9223372036854775808.0)) runtime.fail("a rounded number does not fit 64 bits");
    return Value::integer(static_cast<int64_t>(rounded));
  }
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.as_double() * unit;
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

Value filesizeformat(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "filesizeformat", arguments, {"binary"});
  double bytes = 0;
  if (!to_real(runtime, input, &bytes)) runtime.fail("filesizeformat() takes a number");
  const bool is_binary = args.flag(0, false);
  const double base = is_binary ? 1024 : 1000;
  if (bytes == 1) return runtime.string("1 Byte");
  if (bytes < base)
    return runtime.string(std::to_string(static_cast<int64_t>(std::max(bytes, -9e18))) + " Bytes");
  static constexpr std::string_view kPrefixes = "kMGTPEZY";
  double unit = base;
  size_t prefix = 0;
  while (prefix + 1 < kPrefixes.size() && bytes >= unit * base) {
    unit *= base;
    ++prefix;
  }
  std::string symbol(1, kPrefixes[prefix]);
  if (is_binary) symbol = upper(symbol) + "i";
  return runtime.string(format_value(runtime, Value::real(bytes / unit), ".1f") + " " + symbol + "B");
}

}  // namespace

FilterFunction find_text_filter(std::string_view name) {
  static constexpr std::pair<std::string_view, FilterFunction> kFilters[] = {
      {"tojson", tojson},
      {"trim", trim},
      {"upper", transformed<upper>},
      {"lower", transformed<lower>},
      {"capitalize", transformed<capitalize>},
      {"title", title},
      {"replace", replace},
      {"string", as_string},
      {"safe", safe},
      {"e", escaped},
      {"escape", escaped},
      {"forceescape", force_escaped},
      {"indent", indent},
      {"truncate", truncate},
      {"center", center},
      {"wordcount", wordcount},
      {"format", format},
      {"urlencode", urlencode},
      {"xmlattr", xmlattr},
      {"int", as_int},
      {"float", as_float},
      {"abs", absolute},
      {"round", round},
      {"filesizeformat", filesizeformat},
  };
  for (const auto& [filter, function] : kFilters) {
    if (filter == name) return function;
  }
  return nullptr;
}

FilterFunction find_filter(std::string_view name) {
  const FilterFunction text = find_text_filter(name);
  return text != nullptr ? text : find_sequence_filter(name);
}

}  // namespace octavo::text::jinja
