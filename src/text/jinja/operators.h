#pragma once
// Python's operators on values. All may raise (runtime.h), with Python's wording of the TypeError.
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"

namespace octavo::text::jinja {

bool truth(Runtime& runtime, const Value& value);
bool equals(Runtime& runtime, const Value& a, const Value& b);
// a < b; raises for types without an order.
bool less(Runtime& runtime, const Value& a, const Value& b);
// One of == != < <= > >= in, not in.
bool compare(Runtime& runtime, std::string_view op, const Value& a, const Value& b);
bool contains(Runtime& runtime, const Value& container, const Value& item);

// One of + - * / // % **.
Value binary(Runtime& runtime, std::string_view op, const Value& a, const Value& b);
Value negate(Runtime& runtime, const Value& value);
// +value: the number itself.
Value affirm(Runtime& runtime, const Value& value);

// Raises "… is undefined" for an undefined value.
void require_defined(Runtime& runtime, const Value& value);
// The number of an int or bool argument; raises naming `what`.
int64_t require_int(Runtime& runtime, const Value& value, std::string_view what);

bool is_iterable(const Value& value);
bool has_length(const Value& value);
int64_t length(Runtime& runtime, const Value& value);
// What `for` pulls from; an iterator is itself.
Iterator& iterate(Runtime& runtime, const Value& value);
std::vector<Value> to_vector(Runtime& runtime, const Value& value);
// Item `index` of a list, tuple, range or string; index in [0, length).
Value item_at(Runtime& runtime, const Value& value, int64_t index);

const Value* find(Runtime& runtime, const Dict& dict, const Value& key);
// Later values of a key replace earlier ones, in the place of the first. Keys must be hashable.
Value make_dict(Runtime& runtime, std::vector<std::pair<Value, Value>> items);

// Stable, ascending by `keys` (descending when `reverse`); returns the order of the indices.
std::vector<size_t> sorted_order(Runtime& runtime, const std::vector<Value>& keys, bool reverse);

}  // namespace octavo::text::jinja
