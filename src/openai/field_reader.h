#pragma once
// Reads the members of a request's JSON object, strictly: every message begins with the field's name, and a
// member that nobody asked for is an error.
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::openai {

// "name: expected an integer, found string".
Status wrong_type(std::string_view name, std::string_view expected, const base::Json& found);
Result<int32_t> read_token_id(std::string_view name, const base::Json& value);
// A whole array of token ids; elements are named "name[3]".
Result<std::vector<int32_t>> read_token_ids(std::string_view name, const base::Json& value);
// One text, or an array of texts.
Result<std::vector<std::string>> read_texts(std::string_view name, const base::Json& value);

// The first error stays and makes every later call a no-op; finish() gives it. null is the same as absent.
class FieldReader {
 public:
  // object: must be an object, and outlive the reader.
  explicit FieldReader(const base::Json& object) : object_(object) {}

  // The member, or nullptr when it is absent or null. Asking makes the name known.
  const base::Json* find(std::string_view name);

  // Leave `into` as it is when the member is absent.
  void read(std::string_view name, bool& into);
  void read(std::string_view name, float& into);
  void read(std::string_view name, std::optional<float>& into);
  void read(std::string_view name, int32_t& into);
  void read(std::string_view name, std::optional<int32_t>& into);
  void read(std::string_view name, int64_t& into);
  void read(std::string_view name, std::optional<int64_t>& into);
  void read(std::string_view name, std::string& into);
  // Whatever `parse` makes of the member, where there is one.
  void read_with(std::string_view name, const std::function<Status(const base::Json&)>& parse);

  // Fields without effect here; their values are not looked at.
  void ignore(std::initializer_list<std::string_view> names);
  // Fields whose effect Octavo does not have: null and false are taken for absent, all else is refused.
  void refuse(std::initializer_list<std::string_view> names);

  void fail(Status status);
  bool ok() const { return status_.ok(); }
  // The first error, or the name of a member that no call above knows.
  Status finish() const;

 private:
  const base::Json& object_;
  std::vector<std::string> known_;
  Status status_;
};

}  // namespace octavo::openai
