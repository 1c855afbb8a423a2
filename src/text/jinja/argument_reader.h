#pragma once
// The arguments of a filter, test, function or method by name, checked as Python checks a call.
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"

namespace octavo::text::jinja {

class ArgumentReader {
 public:
  // `names` in positional order; the first `n_required` must be given; the first `n_positional_only` have no
  // name for the caller. Raises for a missing, surplus or unknown argument.
  ArgumentReader(Runtime& runtime, std::string_view function, const Arguments& arguments,
                 std::initializer_list<std::string_view> names, size_t n_required = 0,
                 size_t n_positional_only = 0);

  // nullptr when the argument was not given.
  const Value* get(size_t index) const { return values_[index]; }
  bool has(size_t index) const { return values_[index] != nullptr; }
  const Value& operator[](size_t index) const { return *values_[index]; }  // a required one
  bool flag(size_t index, bool fallback) const;
  int64_t integer(size_t index, int64_t fallback) const;
  // Raises unless the argument is a string; the reference lives as long as the arguments.
  const std::string& text(size_t index) const;

 private:
  Runtime& runtime_;
  std::string_view function_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

// Functions and methods without arguments.
void require_no_arguments(Runtime& runtime, std::string_view function, const Arguments& arguments);

}  // namespace octavo::text::jinja
