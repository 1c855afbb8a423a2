// Binding of call arguments to parameter names. Called at the head of every filter, test, method and
// function.
#include "text/jinja/argument_reader.h"

#include <algorithm>

#include "text/jinja/operators.h"

namespace octavo::text::jinja {

ArgumentReader::ArgumentReader(Runtime& runtime, std::string_view function, const Arguments& arguments,
                               std::initializer_list<std::string_view> names, size_t n_required,
                               size_t n_positional_only)
    : runtime_(runtime), function_(function), names_(names), values_(names.size(), nullptr) {
  const std::string called = std::string(function) + "()";
  if (arguments.positional.size() > names_.size()) {
    runtime.fail(called + " takes at most " + std::to_string(names_.size()) + " arguments, " +
                 std::to_string(arguments.positional.size()) + " given");
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.keywords) {
    const auto index = static_cast<size_t>(std::find(names_.begin(), names_.end(), name) - names_.begin());
    if (index >= names_.size() || index < n_positional_only) {
      runtime.fail(called + " got an unexpected keyword argument '" + name + "'");
    }
    if (values_[index] != nullptr) runtime.fail(called + " got multiple values for argument '" + name + "'");
    values_[index] = &value;
  }
  for (size_t i = 0; i < n_required; ++i) {
    if (values_[i] == nullptr)
      runtime.fail(called + " is missing the argument '" + std::string(names_[i]) + "'");
  }
}

bool ArgumentReader::flag(size_t index, bool fallback) const {
  return has(index) ? truth(runtime_, *values_[index]) : fallback;
}

int64_t ArgumentReader::integer(size_t index, int64_t fallback) const {
  if (!has(index)) return fallback;
  return require_int(runtime_, *values_[index],
                     "argument '" + std::string(names_[index]) + "' of " + std::string(function_) + "()");
}

const std::string& ArgumentReader::text(size_t index) const {
  const Value& value = *values_[index];
  require_defined(runtime_, value);
  if (!value.is_string()) {
    runtime_.fail("argument '" + std::string(names_[index]) + "' of " + std::string(function_) +
                  "() must be a string, not '" + type_name(value) + "'");
  }
  return value.text();
}

void require_no_arguments(Runtime& runtime, std::string_view function, const Arguments& arguments) {
  ArgumentReader(runtime, function, arguments, {});
}

}  // namespace octavo::text::jinja
