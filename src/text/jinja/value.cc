// Values of the template language: construction, typed access, and the small mutable objects (namespace,
// scope, loop). Operations with Python's semantics on them are in operators.cc, attributes.cc and
// representation.cc.
#include "text/jinja/value.h"

namespace octavo::text::jinja {

Value Value::undefined(const UndefinedReason* reason) {
  Value value;
  value.kind_ = Kind::kUndefined;
  value.object_ = const_cast<UndefinedReason*>(reason);
  return value;
}

Value Value::boolean(bool boolean) {
  Value value;
  value.kind_ = Kind::kBool;
  value.scalar_.integer = boolean ? 1 : 0;
  return value;
}

Value Value::integer(int64_t integer) {
  Value value;
  value.kind_ = Kind::kInt;
  value.scalar_.integer = integer;
  return value;
}

Value Value::real(double real) {
  Value value;
  value.kind_ = Kind::kFloat;
  value.scalar_.real = real;
  return value;
}

Value Value::string(std::shared_ptr<const Text> text, bool markup) {
  Value value;
  value.kind_ = Kind::kString;
  value.markup_ = markup;
  value.text_ = std::move(text);
  return value;
}

Value Value::object(Kind kind, Object* object) {
  Value value;
  value.kind_ = kind;
  value.object_ = object;
  return value;
}

const Sequence& Value::sequence() const { return static_cast<const Sequence&>(*object_); }
const Dict& Value::dict() const { return static_cast<const Dict&>(*object_); }
const DictView& Value::view() const { return static_cast<const DictView&>(*object_); }
const Range& Value::range() const { return static_cast<const Range&>(*object_); }
Iterator& Value::iterator() const { return static_cast<Iterator&>(*object_); }
Namespace& Value::name_space() const { return static_cast<Namespace&>(*object_); }
const Macro& Value::macro() const { return static_cast<const Macro&>(*object_); }
const Function& Value::function() const { return static_cast<const Function&>(*object_); }
Loop& Value::loop() const { return static_cast<Loop&>(*object_); }
const UndefinedReason* Value::undefined_reason() const {
  return static_cast<const UndefinedReason*>(object_);
}

std::string UndefinedReason::message() const {
  return owner.empty() ? name : "'" + std::string(owner) + "' has no attribute '" + name + "'";
}

const Value* Arguments::keyword(std::string_view name) const {
  for (const auto& [key, value] : keywords) {
    if (key == name) return &value;
  }
  return nullptr;
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [key, old] : attributes) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  attributes.emplace_back(std::string(name), std::move(value));
}

const Value* Scope::find(int name_id) const {
  for (const auto& [id, value] : variables) {
    if (id == name_id) return &value;
  }
  return nullptr;
}

void Scope::set(int name_id, Value value) {
  for (auto& [id, old] : variables) {
    if (id == name_id) {
      old = std::move(value);
      return;
    }
  }
  variables.emplace_back(name_id, std::move(value));
}

bool Loop::peek(Value* out) {
  if (!has_ahead && !at_end) {
    has_ahead = source->next(&ahead);
    at_end = !has_ahead;
  }
  if (has_ahead) *out = ahead;
  return has_ahead;
}

bool Loop::advance(Value* out) {
  if (!peek(out)) return false;
  has_ahead = false;
  ++index0;
  before = std::move(current);
  current = *out;
  return true;
}

const char* type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.is_markup() ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kDictView:
      switch (value.view().part) {
        case DictView::Part::kKeys:
          return "dict_keys";
        case DictView::Part::kValues:
          return "dict_values";
        case DictView::Part::kItems:
          return "dict_items";
      }
      return "dict_items";
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kMacro:
      return "Macro";
    case Kind::kFunction:
      return "function";
    case Kind::kLoop:
      return "LoopContext";
  }
  return "object";
}

}  // namespace octavo::text::jinja
