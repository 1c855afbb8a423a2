#pragma once
// JSON, strict: one tree for every JSON and YAML file. The parser refuses duplicate keys, invalid UTF-8,
// numbers that do not fit, and anything past its limits; object members keep their order. Boost.JSON's SAX
// parser is behind it (json.cc is its only includer).
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "octavo/status.h"

namespace octavo::base {

class Json;
using JsonArray = std::vector<Json>;
using JsonMember = std::pair<std::string, Json>;
using JsonObject = std::vector<JsonMember>;  // in file order, keys unique

class Json {
 public:
  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(static_cast<int64_t>(value)) {}
  Json(int64_t value) : value_(value) {}
  Json(uint64_t value);  // beyond int64 it becomes a double, as in the parser
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(JsonArray value) : value_(std::move(value)) {}
  Json(JsonObject value) : value_(std::move(value)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_int() const { return std::holds_alternative<int64_t>(value_); }
  bool is_double() const { return std::holds_alternative<double>(value_); }
  bool is_number() const { return is_int() || is_double(); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<JsonArray>(value_); }
  bool is_object() const { return std::holds_alternative<JsonObject>(value_); }
  // "null", "boolean", "integer", "number", "string", "array", "object": for error messages.
  const char* type_name() const;

  // The accessors CHECK the type; ask is_…() first. as_double() takes an integer too.
  bool as_bool() const;
  int64_t as_int() const;
  double as_double() const;
  const std::string& as_string() const;
  const JsonArray& as_array() const;
  JsonArray& as_array();
  const JsonObject& as_object() const;
  JsonObject& as_object();

  // Member of an object; nullptr when this is no object or has no such key. Linear in the number of members.
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key);
  // Replaces or appends a member; turns null into an object.
  void set(std::string_view key, Json value);
  // Appends to an array; turns null into an array.
  void push_back(Json value);

  // Text; indent < 0 gives one line without spaces, otherwise `indent` spaces a level. Doubles print the
  // shortest text that reads back equal; non-finite doubles print null. Non-ASCII is written as UTF-8.
  std::string dump(int indent = -1) const;

  bool operator==(const Json&) const = default;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, JsonArray, JsonObject> value_;
};

struct JsonLimits {
  size_t max_bytes = size_t{256} << 20;
  size_t max_depth = 64;
  size_t max_nodes = 20'000'000;
};

// Whole text to tree. Errors name line and column. Bytes after the value are an error.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});
// Reads and parses a file; errors start with the path.
Result<Json> read_json_file(const std::string& path, const JsonLimits& limits = {});

// Typed access for readers of configuration: `object` must be an object; errors say "key 'x': expected an
// integer, found string". The optional forms return `fallback` when the key is absent or null.
Result<int64_t> get_int(const Json& object, std::string_view key);
Result<int64_t> get_int(const Json& object, std::string_view key, int64_t fallback);
Result<double> get_double(const Json& object, std::string_view key);
Result<double> get_double(const Json& object, std::string_view key, double fallback);
Result<bool> get_bool(const Json& object, std::string_view key, bool fallback);
Result<std::string> get_string(const Json& object, std::string_view key);
Result<std::string> get_string(const Json& object, std::string_view key, std::string_view fallback);

}  // namespace octavo::base
