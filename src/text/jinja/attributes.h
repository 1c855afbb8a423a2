#pragma once
// object.name and object[key] as Jinja's immutable sandbox resolves them.
#include <string_view>

#include "text/jinja/runtime.h"

namespace octavo::text::jinja {

// object.name: the attribute, else the item of that name, else undefined. Raises when the object is
// undefined.
Value get_attribute(Runtime& runtime, const Value& object, std::string_view name);
// object[key]: the item, else (key a string) the attribute, else undefined.
Value get_item(Runtime& runtime, const Value& object, const Value& key);
// object[start:stop:step]; None stands for an absent bound.
Value get_slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                const Value& step);
// The attribute alone, no item: what the filter |attr finds. False when there is none.
bool find_attribute(Runtime& runtime, const Value& object, std::string_view name, Value* out);

// The method `name` of an object of this type, null when it has none or the sandbox forbids it (append, pop,
// …).
NativeFunction find_method(const Value& object, std::string_view name);

// The table of str's methods (string_methods.cc).
NativeFunction find_string_method(std::string_view name);
// str.replace; max_count < 0 replaces all.
std::string replace_text(Runtime& runtime, std::string_view text, std::string_view old,
                         std::string_view fresh, int64_t max_count);
// str.isupper, str.islower.
bool is_in_case(std::string_view text, bool upper_case);

}  // namespace octavo::text::jinja
