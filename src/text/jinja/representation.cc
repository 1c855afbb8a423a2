// str(), repr() and json.dumps() of values. Output sizes are checked while they grow: a list that holds
// itself twice, thirty times over, is short to write and a billion items to print. Called wherever a template
// prints.
#include "text/jinja/representation.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja/ast.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace octavo::text::jinja {
namespace {

class Writer {
 public:
  explicit Writer(Runtime& runtime) : runtime_(runtime) {}

  void put(std::string_view text) {
    runtime_.charge_bytes(text.size());
    out_ += text;
    if (out_.size() > runtime_.limits().max_live_bytes / 2) {
      runtime_.fail(StatusCode::kResourceExhausted, "a value is too large to print");
    }
  }

  void put_repr(const Value& value) {
    const Runtime::Level level(runtime_);
    switch (value.kind()) {
      case Kind::kUndefined:
        return put("Undefined");
      case Kind::kString:
        runtime_.charge_bytes(value.text().size());
        return put(value.is_markup() ? "Markup(" + repr(value.text()) + ")" : repr(value.text()));
      case Kind::kList:
        return put_items("[", value.sequence(), "]");
      case Kind::kTuple:
        return put_items("(", value.sequence(), value.sequence().items.size() == 1 ? ",)" : ")");
      case Kind::kDict:
        return put_dict(value.dict());
      case Kind::kDictView:
        return put_view(value);
      case Kind::kNamespace:
        return put_namespace(value.name_space());
      default:
        return put(scalar(value));
    }
  }

  std::string take() { return std::move(out_); }

 private:
  std::string scalar(const Value& value) {
    switch (value.kind()) {
      case Kind::kNone:
        return "None";
      case Kind::kBool:
        return value.as_bool() ? "True" : "False";
      case Kind::kInt:
        return std::to_string(value.as_int());
      case Kind::kFloat:
        return real_repr(value.as_double());
      case Kind::kRange: {
        const Range& range = value.range();
        return "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop) +
               (range.step == 1 ? ")" : ", " + std::to_string(range.step) + ")");
      }
      case Kind::kMacro: {
        const std::string& name = value.macro().node->name;
        return "<Macro " + (name.empty() ? std::string("anonymous") : repr(name)) + ">";
      }
      case Kind::kFunction:
        return "<function " + std::string(value.function().name) + ">";
      case Kind::kLoop:
        return "<LoopContext " + std::to_string(value.loop().index0 + 1) + "/" +
               std::to_string(length(runtime_, value)) + ">";
      default:
        return std::string("<") + type_name(value) + " object>";
    }
  }

  void put_items(std::string_view open, const Sequence& sequence, std::string_view close) {
    put(open);
    for (size_t i = 0; i < sequence.items.size(); ++i) {
      if (i > 0) put(", ");
      put_repr(sequence.items[i]);
    }
    put(close);
  }

  void put_dict(const Dict& dict) {
    put("{");
    for (size_t i = 0; i < dict.items.size(); ++i) {
      if (i > 0) put(", ");
      put_repr(dict.items[i].first);
      put(": ");
      put_repr(dict.items[i].second);
    }
    put("}");
  }

  void put_view(const Value& value) {
    Sequence items;
    items.items = to_vector(runtime_, value);
    put(type_name(value));
    put_items("([", items, "])");
  }

  void put_namespace(const Namespace& name_space) {
    put("<Namespace {");
    for (size_t i = 0; i < name_space.attributes.size(); ++i) {
      if (i > 0) put(", ");
      put(repr(name_space.attributes[i].first));
      put(": ");
      put_repr(name_space.attributes[i].second);
    }
    put("}>");
  }

  Runtime& runtime_;
  std::string out_;
};

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  void put_value(const Value& value, size_t depth) {
    const Runtime::Level level(runtime_);
    switch (value.kind()) {
      case Kind::kNone:
        return put("null");
      case Kind::kBool:
        return put(value.as_bool() ? "true" : "false");
      case Kind::kInt:
        return put(std::to_string(value.as_int()));
      case Kind::kFloat:
        return put(json_real(value.as_double()));
      case Kind::kString:
        return put_string(value.text());
      case Kind::kList:
      case Kind::kTuple:
        return put_list(value.sequence().items, depth);
      case Kind::kDict:
        return put_dict(value.dict(), depth);
      default:
        runtime_.fail(std::string("Object of type ") + type_name(value) + " is not JSON serializable");
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void put(std::string_view text) {
    runtime_.charge_bytes(text.size());
    out_ += text;
    if (out_.size() > runtime_.limits().max_live_bytes / 2) {
      runtime_.fail(StatusCode::kResourceExhausted, "a value is too large for tojson");
    }
  }

  static std::string json_real(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return real_repr(value);
  }

  void break_line(size_t depth) {
    if (!style_.has_indent) return;
    runtime_.expect_text(depth * style_.indent.size());
    std::string line = "\n";
    for (size_t i = 0; i < depth; ++i) line += style_.indent;
    put(line);
  }

  void put_list(const std::vector<Value>& items, size_t depth) {
    if (items.empty()) return put("[]");
    put("[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) put(style_.item_separator);
      break_line(depth + 1);
      put_value(items[i], depth + 1);
    }
    break_line(depth);
    put("]");
  }

  void put_dict(const Dict& dict, size_t depth) {
    if (dict.items.empty()) return put("{}");
    std::vector<size_t> order(dict.items.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (style_.sort_keys) {
      std::vector<Value> keys;
      for (const auto& [key, value] : dict.items) keys.push_back(key);
      order = sorted_order(runtime_, keys, false);
    }
    put("{");
    for (size_t i = 0; i < order.size(); ++i) {
      if (i > 0) put(style_.item_separator);
      break_line(depth + 1);
      put_key(dict.items[order[i]].first);
      put(style_.key_separator);
      put_value(dict.items[order[i]].second, depth + 1);
    }
    break_line(depth);
    put("}");
  }

  void put_key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        return put_string(key.text());
      case Kind::kNone:
        return put("\"null\"");
      case Kind::kBool:
        return put(key.as_bool() ? "\"true\"" : "\"false\"");
      case Kind::kInt:
        return put("\"" + std::to_string(key.as_int()) + "\"");
      case Kind::kFloat:
        return put("\"" + json_real(key.as_double()) + "\"");
      default:
        runtime_.fail(std::string("keys must be str, int, float, bool or None, not ") + type_name(key));
    }
  }

  void put_unicode_escape(char32_t unit) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string escape = "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) escape += kHex[(unit >> shift) & 15];
    out_ += escape;
  }

  void put_string(std::string_view text) {
    put("\"");
    runtime_.charge_bytes(text.size());
    for (size_t i = 0; i < text.size();) {
      const char32_t code = decode(text, &i);
      switch (code) {
        case '"':
          out_ += "\\\"";
          continue;
        case '\\':
          out_ += "\\\\";
          continue;
        case '\n':
          out_ += "\\n";
          continue;
        case '\r':
          out_ += "\\r";
          continue;
        case '\t':
          out_ += "\\t";
          continue;
        case '\f':
          out_ += "\\f";
          continue;
        case '\b':
          out_ += "\\b";
          continue;
        default:
          break;
      }
      if (code < 0x20 || (style_.ensure_ascii && code >= 0x7F && code < 0x10000)) {
        put_unicode_escape(code);
      } else if (style_.ensure_ascii && code >= 0x10000) {
        put_unicode_escape(0xD800 + ((code - 0x10000) >> 10));
        put_unicode_escape(0xDC00 + ((code - 0x10000) & 0x3FF));
      } else {
        append_utf8(&out_, code);
      }
    }
    put("\"");
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

std::string to_text(Runtime& runtime, const Value& value) {
  if (value.is_undefined()) return {};
  if (value.is_string()) {
    runtime.charge_copy(value.text().size());
    return value.text();
  }
  return to_repr(runtime, value);
}

std::string to_repr(Runtime& runtime, const Value& value) {
  Writer writer(runtime);
  writer.put_repr(value);
  return writer.take();
}

std::string real_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 40> buffer;
  const auto written =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<size_t>(written.ptr - buffer.data()));
  const size_t e = text.find('e');
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  const std::string sign = std::signbit(value) ? "-" : "";
  int exponent = 0;
  const std::string_view exponent_text = text.substr(e + (text[e + 1] == '+' ? 2 : 1));
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    const std::string magnitude = std::to_string(std::abs(exponent));
    return sign + digits.substr(0, 1) + (digits.size() > 1 ? "." + digits.substr(1) : "") +
           (exponent < 0 ? "e-" : "e+") + (magnitude.size() < 2 ? "0" : "") + magnitude;
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto n_whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= n_whole) return sign + digits + std::string(n_whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, n_whole) + "." + digits.substr(n_whole);
}

std::string escape_html(Runtime& runtime, std::string_view text) {
  runtime.expect_text(text.size());
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Value escape(Runtime& runtime, const Value& value) {
  if (value.is_string() && value.is_markup()) return value;
  return runtime.string(escape_html(runtime, to_text(runtime, value)), true);
}

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  writer.put_value(value, 0);
  return writer.take();
}

}  // namespace octavo::text::jinja
