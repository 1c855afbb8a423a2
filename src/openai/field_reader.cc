// Strict reading of request objects. Called by chat_completion.cc, completion.cc, sampling_fields.cc and
// batch_line.cc.
#include "openai/field_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text_format.h"

namespace octavo::openai {

using base::Json;

Status wrong_type(std::string_view name, std::string_view expected, const Json& found) {
  return invalid_argument(std::string(name) + ": expected " + std::string(expected) + ", found " +
                          found.type_name());
}

namespace {

template <class T>
Result<T> read_integer(std::string_view name, const Json& value) {
  if (!value.is_int()) return wrong_type(name, "an integer", value);
  if (std::in_range<T>(value.as_int())) return static_cast<T>(value.as_int());
  return invalid_argument(
      std::string(name) + ": expected an integer from " + std::to_string(std::numeric_limits<T>::min()) +
      " to " + std::to_string(std::numeric_limits<T>::max()) + ", found " + std::to_string(value.as_int()));
}

Result<float> read_float(std::string_view name, const Json& value) {
  if (!value.is_number()) return wrong_type(name, "a number", value);
  const auto number = static_cast<float>(value.as_double());
  if (std::isfinite(number)) return number;
  return invalid_argument(std::string(name) + ": expected a number within float's range, found " +
                          value.dump());
}

std::string element(std::string_view name, size_t i) {
  return std::string(name) + "[" + std::to_string(i) + "]";
}

}  // namespace

Result<int32_t> read_token_id(std::string_view name, const Json& value) {
  if (!value.is_int()) return wrong_type(name, "a token id", value);
  if (value.as_int() >= 0 && std::in_range<int32_t>(value.as_int()))
    return static_cast<int32_t>(value.as_int());
  return invalid_argument(std::string(name) + ": expected a token id, found " +
                          std::to_string(value.as_int()));
}

Result<std::vector<int32_t>> read_token_ids(std::string_view name, const Json& value) {
  if (!value.is_array()) return wrong_type(name, "an array of token ids", value);
  std::vector<int32_t> ids;
  ids.reserve(value.as_array().size());
  for (const Json& id : value.as_array()) {
    OCTAVO_ASSIGN_OR_RETURN(const int32_t read, read_token_id(element(name, ids.size()), id));
    ids.push_back(read);
  }
  return ids;
}

Result<std::vector<std::string>> read_texts(std::string_view name, const Json& value) {
  if (value.is_string()) return std::vector{value.as_string()};
  if (!value.is_array()) return wrong_type(name, "a string or an array of strings", value);
  std::vector<std::string> texts;
  for (const Json& text : value.as_array()) {
    if (!text.is_string()) return wrong_type(element(name, texts.size()), "a string", text);
    texts.push_back(text.as_string());
  }
  return texts;
}

const Json* FieldReader::find(std::string_view name) {
  known_.emplace_back(name);
  const Json* value = status_.ok() ? object_.find(name) : nullptr;
  return value == nullptr || value->is_null() ? nullptr : value;
}

void FieldReader::read_with(std::string_view name, const std::function<Status(const Json&)>& parse) {
  if (const Json* value = find(name)) fail(parse(*value));
}

void FieldReader::read(std::string_view name, bool& into) {
  const Json* value = find(name);
  if (value == nullptr) return;
  if (!value->is_bool()) return fail(wrong_type(name, "a boolean", *value));
  into = value->as_bool();
}

void FieldReader::read(std::string_view name, std::string& into) {
  const Json* value = find(name);
  if (value == nullptr) return;
  if (!value->is_string()) return fail(wrong_type(name, "a string", *value));
  into = value->as_string();
}

void FieldReader::read(std::string_view name, std::optional<float>& into) {
  const Json* value = find(name);
  if (value == nullptr) return;
  const auto number = read_float(name, *value);
  if (!number.ok()) return fail(number.status());
  into = *number;
}

void FieldReader::read(std::string_view name, std::optional<int32_t>& into) {
  const Json* value = find(name);
  if (value == nullptr) return;
  const auto number = read_integer<int32_t>(name, *value);
  if (!number.ok()) return fail(number.status());
  into = *number;
}

void FieldReader::read(std::string_view name, std::optional<int64_t>& into) {
  const Json* value = find(name);
  if (value == nullptr) return;
  const auto number = read_integer<int64_t>(name, *value);
  if (!number.ok()) return fail(number.status());
  into = *number;
}

void FieldReader::read(std::string_view name, float& into) {
  std::optional<float> value = into;
  read(name, value);
  into = *value;
}
void FieldReader::read(std::string_view name, int32_t& into) {
  std::optional<int32_t> value = into;
  read(name, value);
  into = *value;
}
void FieldReader::read(std::string_view name, int64_t& into) {
  std::optional<int64_t> value = into;
  read(name, value);
  into = *value;
}

void FieldReader::ignore(std::initializer_list<std::string_view> names) {
  known_.insert(known_.end(), names.begin(), names.end());
}

void FieldReader::refuse(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const Json* value = find(name);
    if (value == nullptr || (value->is_bool() && !value->as_bool())) continue;
    fail(unsupported(std::string(name) + ": Octavo does not support this field; leave it out"));
  }
}

void FieldReader::fail(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

Status FieldReader::finish() const {
  OCTAVO_RETURN_IF_ERROR(status_);
  for (const auto& [name, value] : object_.as_object()) {
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    const std::string near = base::nearest(name, known_);
    return invalid_argument("unknown field " + base::quoted(name) +
                            (near.empty() ? std::string() : "; did you mean '" + near + "'?"));
  }
  return {};
}

}  // namespace octavo::openai
