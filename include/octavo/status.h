#pragma once
// Errors that come from input: a code that says what a caller can do, and a sentence that names the object,
// what was expected and what was found. No exception crosses a module; a broken invariant is CHECK's business
// (base/check.h).
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace octavo {

enum class StatusCode {
  kOk = 0,
  kInvalidArgument,    // the caller asked for something that makes no sense: change the call
  kNotFound,           // a file, tensor or name is missing
  kUnsupported,        // valid, but Octavo cannot do it yet
  kCorrupt,            // a file or message breaks its format
  kResourceExhausted,  // memory, disk space, context or a limit ran out
  kIo,                 // the operating system refused (errno's text is in the message)
  kCancelled,
  kInternal,
};

// Lower-case name of a code, as shown to people: "invalid argument", "not found", …
const char* status_code_name(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with "context: " in front; ok stays ok.
  Status with_context(std::string_view context) const {
    return ok() ? *this : Status(code_, std::string(context) + ": " + message_);
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status invalid_argument(std::string message) {
  return {StatusCode::kInvalidArgument, std::move(message)};
}
inline Status not_found(std::string message) { return {StatusCode::kNotFound, std::move(message)}; }
inline Status unsupported(std::string message) { return {StatusCode::kUnsupported, std::move(message)}; }
inline Status corrupt(std::string message) { return {StatusCode::kCorrupt, std::move(message)}; }
inline Status resource_exhausted(std::string message) {
  return {StatusCode::kResourceExhausted, std::move(message)};
}
inline Status io_error(std::string message) { return {StatusCode::kIo, std::move(message)}; }
inline Status cancelled(std::string message) { return {StatusCode::kCancelled, std::move(message)}; }
inline Status internal_error(std::string message) { return {StatusCode::kInternal, std::move(message)}; }

// A value or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit on purpose
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit on purpose
    if (status_.ok()) status_ = internal_error("Result built from an ok Status");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return std::move(*value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

#define OCTAVO_CONCAT_INNER(a, b) a##b
#define OCTAVO_CONCAT(a, b) OCTAVO_CONCAT_INNER(a, b)

// Returns from the enclosing function when the expression's Status is an error.
#define OCTAVO_RETURN_IF_ERROR(expression)                                                        \
  do {                                                                                            \
    if (::octavo::Status octavo_status = (expression); !octavo_status.ok()) return octavo_status; \
  } while (false)

// OCTAVO_ASSIGN_OR_RETURN(auto x, f()): x = *f(), or returns f's Status from the enclosing function.
#define OCTAVO_ASSIGN_OR_RETURN(declaration, expression) \
  OCTAVO_ASSIGN_OR_RETURN_INNER(OCTAVO_CONCAT(octavo_result_, __LINE__), declaration, expression)
#define OCTAVO_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                          \
  if (!result.ok()) return result.status();                            \
  declaration = std::move(result).value()

}  // namespace octavo
