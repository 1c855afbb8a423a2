// Attribute and item access, and the methods of dict, list, tuple and the loop variable. Jinja's rule:
// `.name` prefers the attribute and `[key]` the item, so message.items is dict's method even when there is a
// key "items". Methods that would change a container are not found: transformers renders in the immutable
// sandbox. Called by interpreter.cc.
#include "text/jinja/attributes.h"

#include <algorithm>

#include "text/jinja/argument_reader.h"
#include "text/jinja/ast.h"
#include "text/jinja/operators.h"
#include "text/jinja/representation.h"
#include "text/jinja/unicode.h"

namespace octavo::text::jinja {
namespace {

Value dict_get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "get", arguments, {"key", "default"}, 1, 2);
  if (const Value* found = find(runtime, self.dict(), args[0])) return *found;
  return args.has(1) ? args[1] : Value();
}

template <DictView::Part kPart>
Value dict_view(Runtime& runtime, const Value& self, const Arguments& arguments) {
  require_no_arguments(runtime, "items, keys or values", arguments);
  return runtime.view(self.dict(), kPart);
}

Value copy_container(Runtime& runtime, const Value& self, const Arguments& arguments) {
  require_no_arguments(runtime, "copy", arguments);
  return self;  // containers never change
}

Value dict_fromkeys(Runtime& runtime, const Value&, const Arguments& arguments) {
  const ArgumentReader args(runtime, "fromkeys", arguments, {"iterable", "value"}, 1, 2);
  std::vector<std::pair<Value, Value>> items;
  for (const Value& key : to_vector(runtime, args[0]))
    items.emplace_back(key, args.has(1) ? args[1] : Value());
  return make_dict(runtime, std::move(items));
}

Value sequence_count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "count", arguments, {"value"}, 1, 1);
  int64_t n = 0;
  for (const Value& item : self.sequence().items) n += equals(runtime, item, args[0]) ? 1 : 0;
  return Value::integer(n);
}

Value sequence_index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(runtime, "index", arguments, {"value"}, 1, 1);
  const std::vector<Value>& items = self.sequence().items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equals(runtime, items[i], args[0])) return Value::integer(static_cast<int64_t>(i));
  }
  runtime.fail(to_repr(runtime, args[0]) + " is not in " + type_name(self));
}

Value loop_cycle(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.keywords.empty()) runtime.fail("cycle() takes no keyword arguments");
  if (arguments.positional.empty()) runtime.fail("no items for cycling given");
  return arguments.positional[static_cast<size_t>(self.loop().index0) % arguments.positional.size()];
}

Value loop_changed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.keywords.empty()) runtime.fail("changed() takes no keyword arguments");
  Loop& loop = self.loop();
  bool same = loop.has_changed_value && loop.changed_value.size() == arguments.positional.size();
  for (size_t i = 0; same && i < arguments.positional.size(); ++i) {
    same = equals(runtime, loop.changed_value[i], arguments.positional[i]);
  }
  loop.changed_value = arguments.positional;
  loop.has_changed_value = true;
  return Value::boolean(!same);
}

bool loop_attribute(Runtime& runtime, const Value& self, std::string_view name, Value* out) {
  Loop& loop = self.loop();
  if (name == "index") return *out = Value::integer(loop.index0 + 1), true;
  if (name == "index0") return *out = Value::integer(loop.index0), true;
  if (name == "first") return *out = Value::boolean(loop.index0 == 0), true;
  if (name == "depth") return *out = Value::integer(loop.depth0 + 1), true;
  if (name == "depth0") return *out = Value::integer(loop.depth0), true;
  if (name == "length") return *out = Value::integer(length(runtime, self)), true;
  if (name == "revindex") return *out = Value::integer(length(runtime, self) - loop.index0), true;
  if (name == "revindex0") return *out = Value::integer(length(runtime, self) - loop.index0 - 1), true;
  Value ahead;
  if (name == "last") return *out = Value::boolean(!loop.peek(&ahead)), true;
  if (name == "nextitem") {
    *out = loop.peek(&ahead) ? ahead : runtime.undefined("there is no next item");
    return true;
  }
  if (name == "previtem") {
    *out = loop.index0 == 0 ? runtime.undefined("there is no previous item") : loop.before;
    return true;
  }
  return false;
}

bool macro_attribute(Runtime& runtime, const MacroNode& macro, std::string_view name, Value* out) {
  if (name == "name") {
    *out = macro.name.empty() ? Value() : runtime.string(macro.name);
  } else if (name == "arguments") {
    std::vector<Value> names;
    for (const Parameter& parameter : macro.parameters) names.push_back(runtime.string(parameter.name));
    *out = runtime.tuple(std::move(names));
  } else if (name == "caller") {
    *out = Value::boolean(macro.uses_caller);
  } else {
    return false;
  }
  return true;
}

bool is_mutating(Kind kind, std::string_view name) {
  static constexpr std::string_view kOfDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  static constexpr std::string_view kOfList[] = {"append", "clear",  "extend",  "insert",
                                                 "pop",    "remove", "reverse", "sort"};
  const auto holds = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  return (kind == Kind::kDict && holds(kOfDict)) || (kind == Kind::kList && holds(kOfList));
}

// "'dict object' has no attribute …": the owner as Jinja writes it.
std::string_view owner_name(const Value& object) {
  switch (object.kind()) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "bool object";
    case Kind::kInt:
      return "int object";
    case Kind::kFloat:
      return "float object";
    case Kind::kString:
      return "str object";
    case Kind::kList:
      return "list object";
    case Kind::kTuple:
      return "tuple object";
    case Kind::kDict:
      return "dict object";
    case Kind::kNamespace:
      return "namespace object";
    case Kind::kMacro:
      return "macro object";
    default:
      return "object";
  }
}

bool find_item(Runtime& runtime, const Value& object, const Value& key, Value* out) {
  switch (object.kind()) {
    case Kind::kDict: {
      if (key.is(Kind::kList) || key.is(Kind::kDict)) return false;
      const Value* found = find(runtime, object.dict(), key);
      if (found != nullptr) *out = *found;
      return found != nullptr;
    }
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange: {
      if (!key.is_integral()) return false;
      const int64_t size = length(runtime, object);
      const int64_t index = key.as_int() < 0 ? key.as_int() + size : key.as_int();
      if (index < 0 || index >= size) return false;
      *out = item_at(runtime, object, index);
      return true;
    }
    default:
      return false;
  }
}

// A slice bound as Python clamps it, for a sequence of `size` items walked by `step`.
int64_t clamp_bound(Runtime& runtime, const Value& bound, int64_t size, int64_t step, bool is_start) {
  const int64_t lowest = step < 0 ? -1 : 0, highest = step < 0 ? size - 1 : size;
  if (bound.is_none()) return (step > 0) == is_start ? lowest : highest;
  const int64_t value = require_int(runtime, bound, "a slice index");
  const int64_t from_start = value < 0 ? (value < -size ? -1 : value + size) : value;
  return std::clamp(from_start, lowest, highest);
}

Value slice_text(Runtime& runtime, const Value& object, int64_t first, int64_t stride, uint64_t n) {
  const std::string& text = object.text();
  runtime.charge_bytes(text.size());
  if (n == 0) return runtime.string("", object.is_markup());
  if (stride == 1) {
    const size_t begin = byte_offset(text, static_cast<size_t>(first));
    const size_t size = byte_offset(std::string_view(text).substr(begin), n);
    return runtime.string(text.substr(begin, size), object.is_markup());
  }
  const std::u32string codes = to_code_points(text);
  std::u32string picked;
  for (uint64_t i = 0; i < n; ++i)
    picked += codes[static_cast<size_t>(first + static_cast<int64_t>(i) * stride)];
  return runtime.string(to_utf8(picked), object.is_markup());
}

}  // namespace

NativeFunction find_method(const Value& object, std::string_view name) {
  static constexpr std::pair<std::string_view, NativeFunction> kOfDict[] = {
      {"get", dict_get},
      {"items", dict_view<DictView::Part::kItems>},
      {"keys", dict_view<DictView::Part::kKeys>},
      {"values", dict_view<DictView::Part::kValues>},
      {"copy", copy_container},
      {"fromkeys", dict_fromkeys},
  };
  static constexpr std::pair<std::string_view, NativeFunction> kOfList[] = {
      {"count", sequence_count}, {"index", sequence_index}, {"copy", copy_container}};
  static constexpr std::pair<std::string_view, NativeFunction> kOfTuple[] = {{"count", sequence_count},
                                                                             {"index", sequence_index}};
  static constexpr std::pair<std::string_view, NativeFunction> kOfLoop[] = {{"cycle", loop_cycle},
                                                                            {"changed", loop_changed}};
  const auto in = [&](const auto& table) -> NativeFunction {
    for (const auto& [method, function] : table) {
      if (method == name) return function;
    }
    return nullptr;
  };
  switch (object.kind()) {
    case Kind::kString:
      return find_string_method(name);
    case Kind::kDict:
      return in(kOfDict);
    case Kind::kList:
      return in(kOfList);
    case Kind::kTuple:
      return in(kOfTuple);
    case Kind::kLoop:
      return in(kOfLoop);
    default:
      return nullptr;
  }
}

bool find_attribute(Runtime& runtime, const Value& object, std::string_view name, Value* out) {
  require_defined(runtime, object);
  const bool is_internal =
      name.size() > 4 && name.substr(0, 2) == "__" && name.substr(name.size() - 2) == "__";
  if (is_internal || is_mutating(object.kind(), name)) {
    *out = runtime.undefined("access to attribute '" + std::string(name) + "' of '" + type_name(object) +
                             "' object is unsafe");
    return true;
  }
  if (object.is(Kind::kNamespace)) {
    const Value* found = object.name_space().find(name);
    if (found != nullptr) *out = *found;
    return found != nullptr;
  }
  if (object.is(Kind::kLoop) && loop_attribute(runtime, object, name, out)) return true;
  if (object.is(Kind::kMacro)) return macro_attribute(runtime, *object.macro().node, name, out);
  if (object.is(Kind::kTuple) && object.sequence().is_group && (name == "grouper" || name == "list")) {
    *out = object.sequence().items[name == "list" ? 1 : 0];
    return true;
  }
  const NativeFunction method = find_method(object, name);
  if (method == nullptr) return false;
  *out = runtime.function("method", method, object);
  return true;
}

Value get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  Value found;
  if (find_attribute(runtime, object, name, &found)) return found;
  if (object.is(Kind::kDict)) {
    runtime.charge(1 + object.dict().items.size() / 16);
    for (const auto& [key, value] : object.dict().items) {
      if (key.is_string() && key.text() == name) return value;
    }
  }
  return runtime.undefined(owner_name(object), std::string(name));
}

Value get_item(Runtime& runtime, const Value& object, const Value& key) {
  require_defined(runtime, object);
  Value found;
  if (find_item(runtime, object, key, &found)) return found;
  if (key.is_string()) {
    if (find_attribute(runtime, object, key.text(), &found)) return found;
    return runtime.undefined(owner_name(object), key.text());
  }
  return runtime.undefined(std::string(owner_name(object)) + " has no element " +
                           (key.is_integral() ? std::to_string(key.as_int()) : std::string(type_name(key))));
}

Value get_slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                const Value& step) {
  require_defined(runtime, object);
  if (!object.is_string() && !object.is_sequence() && !object.is(Kind::kRange)) {
    runtime.fail(std::string("'") + type_name(object) + "' object cannot be sliced");
  }
  const int64_t stride = step.is_none() ? 1 : require_int(runtime, step, "a slice step");
  if (stride == 0) runtime.fail("slice step cannot be zero");
  const int64_t size = length(runtime, object);
  const int64_t first = clamp_bound(runtime, start, size, stride, true);
  const int64_t last = clamp_bound(runtime, stop, size, stride, false);
  const int64_t span = stride > 0 ? last - first : first - last;
  // |stride| as unsigned: the smallest int64 has no positive counterpart.
  const uint64_t pace =
      stride > 0 ? static_cast<uint64_t>(stride) : uint64_t{0} - static_cast<uint64_t>(stride);
  const uint64_t n = span <= 0 ? 0 : (static_cast<uint64_t>(span) - 1) / pace + 1;
  if (object.is_string()) return slice_text(runtime, object, first, stride, n);
  runtime.reserve(n);
  std::vector<Value> items;
  items.reserve(n);
  for (uint64_t i = 0; i < n; ++i)
    items.push_back(item_at(runtime, object, first + static_cast<int64_t>(i) * stride));
  return object.is(Kind::kTuple) ? runtime.tuple(std::move(items)) : runtime.list(std::move(items));
}

}  // namespace octavo::text::jinja
