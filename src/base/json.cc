// JSON trees: strict parser, access by key, text. Every JSON file, HTTP body and (through yaml.cc) recipe
// becomes one. The grammar is Boost.JSON's SAX parser; the tree, duplicate keys, exact numbers and limits are
// ours. Its own numbers are only close (it multiplies powers of ten), so each non-integer is read again from
// its text with from_chars. Duplicate keys are found by sorting (hash, position) pairs once an object ends:
// no choice of keys makes it slow.
#include "base/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/file.h"
#include "base/text_format.h"

namespace octavo::base {

namespace {

// Builds the tree from the parser's events.
class TreeBuilder {
 public:
  static constexpr size_t max_object_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_array_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_key_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_string_size = std::numeric_limits<size_t>::max();
  using Error = boost::json::error_code;
  using Text = boost::json::string_view;

  explicit TreeBuilder(size_t max_nodes) : max_nodes_(max_nodes) {}

  Json take_root() { return std::move(root_); }
  const Status& status() const { return status_; }

  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error& error) { return open(true, error); }
  bool on_array_begin(Error& error) { return open(false, error); }

  bool on_object_end(size_t, Error& error) {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (const std::string* key = duplicate_key(frame.members)) {
      return fail(corrupt("duplicate key " + quoted(*key) + " in the object that ends here"), error);
    }
    return place(Json(std::move(frame.members)), error);
  }

  bool on_array_end(size_t, Error& error) {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    return place(Json(std::move(frame.elements)), error);
  }

  bool on_key_part(Text text, size_t, Error&) { return append(text); }
  bool on_key(Text text, size_t, Error&) {
    append(text);
    frames_.back().members.emplace_back(std::exchange(text_, {}), Json());
    return true;
  }
  bool on_string_part(Text text, size_t, Error&) { return append(text); }
  bool on_string(Text text, size_t, Error& error) {
    append(text);
    return count(error) && place(Json(std::exchange(text_, {})), error);
  }

  // The whole text is given at once, so a number always comes in one piece.
  bool on_number_part(Text, Error&) { return true; }
  bool on_int64(int64_t value, Text text, Error& error) {
    const bool minus_zero = value == 0 && text.size() > 1;  // "-0" is no integer: it keeps its sign
    return count(error) && place(minus_zero ? Json(-0.0) : Json(value), error);
  }
  bool on_uint64(uint64_t value, Text, Error& error) { return count(error) && place(Json(value), error); }
  bool on_double(double approximate, Text text, Error& error) {
    double value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec == std::errc::result_out_of_range || !std::isfinite(value)) {
      const bool underflow = std::fabs(approximate) < 1;
      if (!underflow) {
        const std::string_view shown(text.data(), text.size());
        return fail(corrupt("number " + quoted(shown) + " does not fit a double"), error);
      }
      value = std::copysign(0.0, approximate);
    }
    return count(error) && place(Json(value), error);
  }
  bool on_bool(bool value, Error& error) { return count(error) && place(Json(value), error); }
  bool on_null(Error& error) { return count(error) && place(Json(), error); }
  bool on_comment_part(Text, Error&) { return true; }
  bool on_comment(Text, Error&) { return true; }

 private:
  struct Frame {
    bool is_object = false;
    JsonObject members;
    JsonArray elements;
  };

  bool fail(Status status, Error& error) {
    status_ = std::move(status);
    error = boost::json::error::exception;
    return false;
  }

  bool append(Text text) {
    text_.append(text.data(), text.size());
    return true;
  }

  bool count(Error& error) {
    if (++n_nodes_ <= max_nodes_) return true;
    return fail(resource_exhausted("more than " + std::to_string(max_nodes_) + " values"), error);
  }

  bool open(bool is_object, Error& error) {
    frames_.emplace_back().is_object = is_object;
    return count(error);
  }

  bool place(Json value, Error&) {
    if (frames_.empty()) {
      root_ = std::move(value);
    } else if (frames_.back().is_object) {
      frames_.back().members.back().second = std::move(value);
    } else {
      frames_.back().elements.push_back(std::move(value));
    }
    return true;
  }

  static const std::string* duplicate_key(const JsonObject& members) {
    constexpr size_t kFewMembers = 16;  // below it comparing all pairs is faster than hashing
    if (members.size() <= kFewMembers) {
      for (size_t i = 1; i < members.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
          if (members[i].first == members[j].first) return &members[i].first;
        }
      }
      return nullptr;
    }
    std::vector<std::pair<size_t, size_t>> order;  // hash, position
    order.reserve(members.size());
    for (size_t i = 0; i < members.size(); ++i) {
      order.emplace_back(std::hash<std::string>{}(members[i].first), i);
    }
    std::sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
      if (a.first != b.first) return a.first < b.first;
      return members[a.second].first < members[b.second].first;
    });
    for (size_t i = 1; i < order.size(); ++i) {
      const std::string& key = members[order[i].second].first;
      if (order[i].first == order[i - 1].first && key == members[order[i - 1].second].first) return &key;
    }
    return nullptr;
  }

  size_t max_nodes_;
  size_t n_nodes_ = 0;
  std::vector<Frame> frames_;
  std::string text_;  // of the key or string under way
  Json root_;
  Status status_;
};

// "line 3, column 17": both from 1, columns in code points.
std::string position(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto column =
      1 + std::count_if(before.begin() + static_cast<std::ptrdiff_t>(line_start), before.end(),
                        [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

Status syntax_error(std::string_view text, size_t offset, const TreeBuilder::Error& error,
                    const JsonLimits& limits) {
  using Code = boost::json::error;
  const std::string where = position(text, offset);
  if (error == Code::too_deep) {
    return resource_exhausted(where + ": nested deeper than " + std::to_string(limits.max_depth) + " levels");
  }
  const size_t valid = valid_utf8_prefix(text);
  if (valid < text.size()) return corrupt(position(text, valid) + ": not valid UTF-8");
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    return corrupt("starts with a byte order mark; JSON is UTF-8 without one");
  }
  if (error == Code::incomplete) return corrupt(where + ": the text ends inside a value");
  if (error == Code::extra_data) return corrupt(where + ": more text after the end of the value");
  if (error == Code::exponent_overflow) return corrupt(where + ": number does not fit a double");
  if (error == Code::illegal_leading_surrogate || error == Code::illegal_trailing_surrogate) {
    return corrupt(where + ": \\u escape of half a surrogate pair");
  }
  return corrupt(where + ": not JSON at " + quoted(text.substr(offset, 24)));
}

void dump_string(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const size_t n_valid = valid_utf8_prefix(text);
    for (const char c : text.substr(0, n_valid)) {
      switch (c) {
        case '"':
          out += "\\\"";
          break;
        case '\\':
          out += "\\\\";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        case '\b':
          out += "\\b";
          break;
        case '\f':
          out += "\\f";
          break;
        default:
          if (static_cast<unsigned char>(c) < 0x20) {
            constexpr char kHex[] = "0123456789abcdef";
            out += "\\u00";
            out += kHex[c >> 4];
            out += kHex[c & 15];
          } else {
            out += c;
          }
      }
    }
    text.remove_prefix(n_valid);
    if (!text.empty()) {  // a byte that is no UTF-8: the text must stay readable as JSON
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
    }
  }
  out += '"';
}

void dump_double(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";  // stays a double when read back
}

void new_line(int indent, int depth, std::string& out) {
  if (indent < 0) return;
  out += '\n';
  out.append(static_cast<size_t>(indent) * static_cast<size_t>(depth), ' ');
}

void dump_value(const Json& value, int indent, int depth, std::string& out) {
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as_bool() ? "true" : "false";
  } else if (value.is_int()) {
    out += std::to_string(value.as_int());
  } else if (value.is_double()) {
    dump_double(value.as_double(), out);
  } else if (value.is_string()) {
    dump_string(value.as_string(), out);
  } else if (value.is_array()) {
    const char* separator = "";
    out += '[';
    for (const Json& element : value.as_array()) {
      out += separator;
      separator = ",";
      new_line(indent, depth + 1, out);
      dump_value(element, indent, depth + 1, out);
    }
    if (!value.as_array().empty()) new_line(indent, depth, out);
    out += ']';
  } else {
    const char* separator = "";
    out += '{';
    for (const auto& [key, member] : value.as_object()) {
      out += separator;
      separator = ",";
      new_line(indent, depth + 1, out);
      dump_string(key, out);
      out += indent < 0 ? ":" : ": ";
      dump_value(member, indent, depth + 1, out);
    }
    if (!value.as_object().empty()) new_line(indent, depth, out);
    out += '}';
  }
}

Status wrong_type(std::string_view key, const char* expected, const Json& found) {
  return invalid_argument("key " + quoted(key) + ": expected " + expected + ", found " + found.type_name());
}

// The member, or nullptr when it is absent or null.
const Json* find_set(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

Status missing(std::string_view key, const char* expected) {
  return invalid_argument("key " + quoted(key) + ": expected " + expected + ", found nothing");
}

}  // namespace

Json::Json(uint64_t value) {
  if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    value_ = static_cast<int64_t>(value);
  } else {
    value_ = static_cast<double>(value);
  }
}

const char* Json::type_name() const {
  constexpr const char* kNames[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
  return kNames[value_.index()];
}

bool Json::as_bool() const {
  OCTAVO_CHECK(is_bool());
  return *std::get_if<bool>(&value_);
}

int64_t Json::as_int() const {
  OCTAVO_CHECK(is_int());
  return *std::get_if<int64_t>(&value_);
}

double Json::as_double() const {
  OCTAVO_CHECK(is_number());
  return is_int() ? static_cast<double>(as_int()) : *std::get_if<double>(&value_);
}

const std::string& Json::as_string() const {
  OCTAVO_CHECK(is_string());
  return *std::get_if<std::string>(&value_);
}

const JsonArray& Json::as_array() const {
  OCTAVO_CHECK(is_array());
  return *std::get_if<JsonArray>(&value_);
}

JsonArray& Json::as_array() {
  OCTAVO_CHECK(is_array());
  return *std::get_if<JsonArray>(&value_);
}

const JsonObject& Json::as_object() const {
  OCTAVO_CHECK(is_object());
  return *std::get_if<JsonObject>(&value_);
}

JsonObject& Json::as_object() {
  OCTAVO_CHECK(is_object());
  return *std::get_if<JsonObject>(&value_);
}

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& [name, value] : as_object()) {
    if (name == key) return &value;
  }
  return nullptr;
}

Json* Json::find(std::string_view key) { return const_cast<Json*>(std::as_const(*this).find(key)); }

void Json::set(std::string_view key, Json value) {
  if (is_null()) value_ = JsonObject();
  if (Json* old = find(key)) {
    *old = std::move(value);
  } else {
    as_object().emplace_back(std::string(key), std::move(value));
  }
}

void Json::push_back(Json value) {
  if (is_null()) value_ = JsonArray();
  as_array().push_back(std::move(value));
}

std::string Json::dump(int indent) const {
  std::string out;
  dump_value(*this, indent, 0, out);
  return out;
}

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return resource_exhausted("text of " + format_bytes(text.size()) + " is longer than the limit of " +
                              format_bytes(limits.max_bytes));
  }
  boost::json::parse_options options;
  options.max_depth = limits.max_depth;
  boost::json::basic_parser<TreeBuilder> parser(options, limits.max_nodes);
  boost::json::error_code error;
  const size_t n_read = parser.write_some(false, text.data(), text.size(), error);
  if (!parser.handler().status().ok()) {
    return parser.handler().status().with_context(position(text, n_read));
  }
  if (!error && n_read < text.size()) error = boost::json::error::extra_data;
  if (error) return syntax_error(text, n_read, error, limits);
  return parser.handler().take_root();
}

Result<Json> read_json_file(const std::string& path, const JsonLimits& limits) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string text, read_file(path, limits.max_bytes));
  Result<Json> tree = parse_json(text, limits);
  if (!tree.ok()) return tree.status().with_context(path);
  return tree;
}

Result<int64_t> get_int(const Json& object, std::string_view key) {
  const Json* value = find_set(object, key);
  if (value == nullptr) return missing(key, "an integer");
  if (!value->is_int()) return wrong_type(key, "an integer", *value);
  return value->as_int();
}

Result<int64_t> get_int(const Json& object, std::string_view key, int64_t fallback) {
  return find_set(object, key) == nullptr ? Result<int64_t>(fallback) : get_int(object, key);
}

Result<double> get_double(const Json& object, std::string_view key) {
  const Json* value = find_set(object, key);
  if (value == nullptr) return missing(key, "a number");
  if (!value->is_number()) return wrong_type(key, "a number", *value);
  return value->as_double();
}

Result<double> get_double(const Json& object, std::string_view key, double fallback) {
  return find_set(object, key) == nullptr ? Result<double>(fallback) : get_double(object, key);
}

Result<bool> get_bool(const Json& object, std::string_view key, bool fallback) {
  const Json* value = find_set(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) return wrong_type(key, "a boolean", *value);
  return value->as_bool();
}

Result<std::string> get_string(const Json& object, std::string_view key) {
  const Json* value = find_set(object, key);
  if (value == nullptr) return missing(key, "a string");
  if (!value->is_string()) return wrong_type(key, "a string", *value);
  return value->as_string();
}

Result<std::string> get_string(const Json& object, std::string_view key, std::string_view fallback) {
  if (find_set(object, key) == nullptr) return std::string(fallback);
  return get_string(object, key);
}

}  // namespace octavo::base
