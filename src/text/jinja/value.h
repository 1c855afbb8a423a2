#pragma once
// Values of a template under way. Scalars and strings live in the Value; every other object is owned by the
// render's Runtime and freed with it, so that cycles (a namespace holding itself) leak nothing and deep
// nesting destroys nothing recursively. Containers never change once made: the sandbox forbids it; namespaces
// alone do.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace octavo::text::jinja {

class Runtime;
struct MacroNode;
struct ForNode;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kDictView,
  kRange,
  kIterator,
  kNamespace,
  kMacro,
  kFunction,
  kLoop,
};

// The bytes of a string, UTF-8. `live_bytes` is the render's counter, null for constants of the template.
struct Text {
  Text(std::string bytes_in, uint64_t* live_bytes_in)
      : bytes(std::move(bytes_in)), live_bytes(live_bytes_in) {
    if (live_bytes != nullptr) *live_bytes += bytes.size();
  }
  ~Text() {
    if (live_bytes != nullptr) *live_bytes -= bytes.size();
  }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

  const std::string bytes;
  uint64_t* const live_bytes;
};

struct Object {
  virtual ~Object() = default;
};

struct Sequence;
struct Dict;
struct DictView;
struct Range;
struct Iterator;
struct Namespace;
struct Macro;
struct Function;
struct Loop;
struct UndefinedReason;

class Value {
 public:
  Value() = default;  // None
  static Value undefined(const UndefinedReason* reason = nullptr);
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value real(double value);
  // `markup`: the string went through |safe or |escape; adding to it escapes the other side, as markupsafe
  // does.
  static Value string(std::shared_ptr<const Text> text, bool markup = false);
  static Value object(Kind kind, Object* object);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_integral() const {
    return kind_ == Kind::kInt || kind_ == Kind::kBool;
  }  // bool is an int, as in Python
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  bool is_markup() const { return markup_; }

  bool as_bool() const { return scalar_.integer != 0; }
  int64_t as_int() const { return scalar_.integer; }  // kInt, kBool
  double as_double() const {
    return kind_ == Kind::kFloat ? scalar_.real : static_cast<double>(scalar_.integer);
  }
  const std::string& text() const { return text_->bytes; }

  const Sequence& sequence() const;  // kList, kTuple
  const Dict& dict() const;
  const DictView& view() const;
  const Range& range() const;
  Iterator& iterator() const;
  Namespace& name_space() const;
  const Macro& macro() const;
  const Function& function() const;
  Loop& loop() const;
  const UndefinedReason* undefined_reason() const;
  const Object* identity() const { return object_; }

 private:
  Kind kind_ = Kind::kNone;
  bool markup_ = false;
  union {
    int64_t integer;
    double real;
  } scalar_ = {0};
  Object* object_ = nullptr;
  std::shared_ptr<const Text> text_;
};

// The arguments of a call. Keywords keep their order and are unique.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;

  const Value* keyword(std::string_view name) const;
};

// Why a value is undefined; told only when something needs the value.
struct UndefinedReason : Object {
  std::string_view
      owner;  // "dict object" when it lacks the attribute `name`; empty: `name` is the whole message
  std::string name;

  std::string message() const;
};

struct Sequence : Object {
  std::vector<Value> items;
  bool is_group = false;  // a pair that |groupby made: its items are also .grouper and .list
};

struct Dict : Object {
  std::vector<std::pair<Value, Value>> items;  // in insertion order, keys unique
};

struct DictView : Object {
  enum class Part { kKeys, kValues, kItems };
  const Dict* dict = nullptr;
  Part part = Part::kItems;
};

struct Range : Object {
  int64_t start = 0, stop = 0, step = 1, length = 0;
};

// A generator: pulled once, from front to back.
struct Iterator : Object {
  std::function<bool(Value* out)> next;  // false at the end
};

struct Namespace : Object {
  std::vector<std::pair<std::string, Value>> attributes;

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

// Variables by name id; a name is looked up in the scope and then in its parents.
struct Scope : Object {
  Scope* parent = nullptr;
  bool captured = false;  // a macro refers to it: not to be reused for the next iteration
  std::vector<std::pair<int, Value>> variables;

  const Value* find(int name_id) const;  // here only
  void set(int name_id, Value value);
};

struct Macro : Object {
  const MacroNode* node = nullptr;
  Scope* scope = nullptr;  // where it was defined
};

using NativeFunction = Value (*)(Runtime&, const Value& self, const Arguments&);

// A global function, or a method bound to its object.
struct Function : Object {
  std::string_view name;
  NativeFunction call = nullptr;
  Value self;
};

// The `loop` variable.
struct Loop : Object {
  Iterator* source = nullptr;
  int64_t length = -1;  // -1 until known
  int64_t index0 = -1;
  int64_t depth0 = 0;
  bool has_ahead = false, at_end = false;
  Value ahead, current, before;
  bool has_changed_value = false;
  std::vector<Value> changed_value;
  const ForNode* recursive_node = nullptr;  // null unless the loop says `recursive`
  Scope* scope = nullptr;

  bool advance(Value* out);  // the next item, false at the end
  bool peek(Value* out);
};

// Python's name of the type: "str", "dict", "NoneType".
const char* type_name(const Value& value);

}  // namespace octavo::text::jinja
