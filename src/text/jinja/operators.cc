// Operators of the template language with Python's semantics: bool is an int, / divides truly, // and % round
// down, sequences compare item by item, an undefined operand raises. Integers have 64 bits; what does not fit
// is an error. Called by interpreter.cc, filters and methods.
#include "text/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja/format.h"
#include "text/jinja/representation.h"
#include "text/jinja/unicode.h"

namespace octavo::text::jinja {
namespace {

[[noreturn]] void fail_operands(Runtime& runtime, std::string_view op, const Value& a, const Value& b) {
  runtime.fail("unsupported operand types for " + std::string(op) + ": '" + type_name(a) + "' and '" +
               type_name(b) + "'");
}

[[noreturn]] void fail_overflow(Runtime& runtime) { runtime.fail("an integer result does not fit 64 bits"); }

bool sequences_equal(Runtime& runtime, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equals(runtime, a[i], b[i])) return false;
  }
  return true;
}

bool dicts_equal(Runtime& runtime, const Dict& a, const Dict& b) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    const Value* other = find(runtime, b, key);
    if (other == nullptr || !equals(runtime, value, *other)) return false;
  }
  return true;
}

void require_hashable(Runtime& runtime, const Value& key) {
  const Runtime::Level level(runtime);
  runtime.charge(1);
  if (key.is(Kind::kTuple)) {
    for (const Value& item : key.sequence().items) require_hashable(runtime, item);
  } else if (key.is(Kind::kList) || key.is(Kind::kDict)) {
    runtime.fail(std::string("unhashable type: '") + type_name(key) + "'");
  }
}

Value add(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) {
    const bool markup = a.is_markup() || b.is_markup();
    const std::string left = markup && !a.is_markup() ? escape_html(runtime, a.text()) : std::string();
    const std::string right = markup && !b.is_markup() ? escape_html(runtime, b.text()) : std::string();
    const std::string& head = markup && !a.is_markup() ? left : a.text();
    const std::string& tail = markup && !b.is_markup() ? right : b.text();
    runtime.expect_text(head.size() + tail.size());
    return runtime.string(head + tail, markup);
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    runtime.reserve(a.sequence().items.size() + b.sequence().items.size());
    std::vector<Value> items = a.sequence().items;
    items.insert(items.end(), b.sequence().items.begin(), b.sequence().items.end());
    return a.is(Kind::kList) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
  }
  fail_operands(runtime, "+", a, b);
}

Value repeat(Runtime& runtime, const Value& value, int64_t times) {
  const uint64_t n = times > 0 ? static_cast<uint64_t>(times) : 0;
  const uint64_t unit = value.is_string() ? value.text().size() : value.sequence().items.size();
  uint64_t total = 0;
  if (__builtin_mul_overflow(n, unit, &total)) total = std::numeric_limits<uint64_t>::max() / 64;
  if (value.is_string()) {
    runtime.expect_text(total);
    std::string text;
    text.reserve(total);
    for (uint64_t i = 0; i < n && unit > 0; ++i) text += value.text();
    return runtime.string(std::move(text), value.is_markup());
  }
  runtime.reserve(total);
  std::vector<Value> items;
  for (uint64_t i = 0; i < n && unit > 0; ++i) {
    items.insert(items.end(), value.sequence().items.begin(), value.sequence().items.end());
  }
  return value.is(Kind::kList) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
}

Value integer_power(Runtime& runtime, int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (int64_t left = exponent; left > 0; left >>= 1) {
    if ((left & 1) != 0 && __builtin_mul_overflow(result, base, &result)) fail_overflow(runtime);
    if (left > 1 && __builtin_mul_overflow(base, base, &base)) fail_overflow(runtime);
  }
  return Value::integer(result);
}

Value integer_arithmetic(Runtime& runtime, std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == "**" && b >= 0) {
    return integer_power(runtime, a, b);
  } else if (op == "**") {
    if (a == 0) runtime.fail("0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(a), static_cast<double>(b)));
  } else {
    if (b == 0) runtime.fail("division by zero");
    if (op == "/") return Value::real(static_cast<double>(a) / static_cast<double>(b));
    if (b == -1) {  // the one divisor whose quotient may not fit
      if (op == "%") return Value::integer(0);
      overflow = __builtin_sub_overflow(int64_t{0}, a, &result);
    } else {
      const bool rounds_up = a % b != 0 && (a < 0) != (b < 0);
      result = op == "%" ? a % b + (rounds_up ? b : 0) : a / b - (rounds_up ? 1 : 0);
    }
  }
  if (overflow) fail_overflow(runtime);
  return Value::integer(result);
}

double python_mod(double a, double b) {
  const double mod = std::fmod(a, b);
  if (mod == 0) return std::copysign(0.0, b);
  return (mod < 0) != (b < 0) ? mod + b : mod;
}

double python_floor_div(double a, double b) {
  double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0 && (mod < 0) != (b < 0)) div -= 1.0;
  if (div == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(div);
  return div - floor > 0.5 ? floor + 1.0 : floor;
}

Value real_arithmetic(Runtime& runtime, std::string_view op, double a, double b) {
  if (op == "+") return Value::real(a + b);
  if (op == "-") return Value::real(a - b);
  if (op == "*") return Value::real(a * b);
  if (op == "**") {
    if (a == 0 && b < 0) runtime.fail("0.0 cannot be raised to a negative power");
    if (a < 0 && std::floor(b) != b && std::isfinite(b)) runtime.fail("a power is no real number");
    const double power = std::pow(a, b);
    if (std::isinf(power) && std::isfinite(a) && std::isfinite(b))
      runtime.fail("a power is too large for a float");
    return Value::real(power);
  }
  if (b == 0) runtime.fail("float division by zero");
  if (op == "/") return Value::real(a / b);
  return Value::real(op == "%" ? python_mod(a, b) : python_floor_div(a, b));
}

bool less_sequences(Runtime& runtime, const std::vector<Value>& a, const std::vector<Value>& b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (!equals(runtime, a[i], b[i])) return less(runtime, a[i], b[i]);
  }
  return a.size() < b.size();
}

}  // namespace

void require_defined(Runtime& runtime, const Value& value) {
  if (!value.is_undefined()) return;
  runtime.fail(value.undefined_reason() == nullptr ? "a value is undefined"
                                                   : value.undefined_reason()->message());
}

int64_t require_int(Runtime& runtime, const Value& value, std::string_view what) {
  require_defined(runtime, value);
  if (!value.is_integral()) {
    runtime.fail(std::string(what) + " must be an integer, not '" + type_name(value) + "'");
  }
  return value.as_int();
}

bool truth(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_double() != 0;
    default:
      return !has_length(value) || length(runtime, value) > 0;
  }
}

bool equals(Runtime& runtime, const Value& a, const Value& b) {
  const Runtime::Level level(runtime);
  runtime.charge(1);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
    return a.as_double() == b.as_double();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      if (a.text().size() == b.text().size()) runtime.charge_bytes(a.text().size());
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return sequences_equal(runtime, a.sequence().items, b.sequence().items);
    case Kind::kDict:
      return dicts_equal(runtime, a.dict(), b.dict());
    case Kind::kRange: {
      const Range &x = a.range(), &y = b.range();
      return x.length == y.length &&
             (x.length == 0 || (x.start == y.start && (x.length == 1 || x.step == y.step)));
    }
    case Kind::kFunction:
      return a.function().call == b.function().call && equals(runtime, a.function().self, b.function().self);
    default:
      return a.identity() == b.identity();
  }
}

bool less(Runtime& runtime, const Value& a, const Value& b) {
  const Runtime::Level level(runtime);
  runtime.charge(1);
  require_defined(runtime, a);
  require_defined(runtime, b);
  if (a.is_integral() && b.is_integral()) return a.as_int() < b.as_int();
  if (a.is_number() && b.is_number()) return a.as_double() < b.as_double();
  if (a.is_string() && b.is_string()) {  // order of UTF-8 bytes is order of code points
    runtime.charge_bytes(std::min(a.text().size(), b.text().size()));
    return a.text() < b.text();
  }
  if (a.is_sequence() && a.kind() == b.kind())
    return less_sequences(runtime, a.sequence().items, b.sequence().items);
  runtime.fail(std::string("'<' not supported between instances of '") + type_name(a) + "' and '" +
               type_name(b) + "'");
}

bool compare(Runtime& runtime, std::string_view op, const Value& a, const Value& b) {
  if (op == "==") return equals(runtime, a, b);
  if (op == "!=") return !equals(runtime, a, b);
  if (op == "in") return contains(runtime, b, a);
  if (op == "not in") return !contains(runtime, b, a);
  if (op == "<") return less(runtime, a, b);
  if (op == ">") return less(runtime, b, a);
  const bool is_nan =
      (a.is(Kind::kFloat) && std::isnan(a.as_double())) || (b.is(Kind::kFloat) && std::isnan(b.as_double()));
  const bool reversed = op == "<=" ? less(runtime, b, a) : less(runtime, a, b);
  return !reversed && !is_nan;
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) {
      runtime.fail(std::string("'in <string>' requires string as left operand, not ") + type_name(item));
    }
    runtime.charge_bytes(container.text().size());
    return container.text().find(item.text()) != std::string::npos;
  }
  if (container.is(Kind::kDict)) return find(runtime, container.dict(), item) != nullptr;
  if (container.is(Kind::kDictView) && container.view().part == DictView::Part::kKeys) {
    return find(runtime, *container.view().dict, item) != nullptr;
  }
  if (!is_iterable(container)) {
    runtime.fail(std::string("argument of type '") + type_name(container) + "' is not iterable");
  }
  Iterator& items = iterate(runtime, container);
  for (Value candidate; items.next(&candidate);) {
    if (equals(runtime, candidate, item)) return true;
  }
  return false;
}

Value binary(Runtime& runtime, std::string_view op, const Value& a, const Value& b) {
  if (op == "%" && a.is_string()) return format_percent(runtime, a, b);
  require_defined(runtime, a);
  require_defined(runtime, b);
  if (a.is_integral() && b.is_integral()) return integer_arithmetic(runtime, op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return real_arithmetic(runtime, op, a.as_double(), b.as_double());
  if (op == "+") return add(runtime, a, b);
  if (op == "*" && (a.is_string() || a.is_sequence()) && b.is_integral())
    return repeat(runtime, a, b.as_int());
  if (op == "*" && (b.is_string() || b.is_sequence()) && a.is_integral())
    return repeat(runtime, b, a.as_int());
  fail_operands(runtime, op, a, b);
}

Value negate(Runtime& runtime, const Value& value) {
  require_defined(runtime, value);
  if (value.is(Kind::kFloat)) return Value::real(-value.as_double());
  if (!value.is_integral())
    runtime.fail(std::string("bad operand type for unary -: '") + type_name(value) + "'");
  return integer_arithmetic(runtime, "-", 0, value.as_int());
}

Value affirm(Runtime& runtime, const Value& value) {
  require_defined(runtime, value);
  if (value.is(Kind::kFloat)) return value;
  if (!value.is_integral())
    runtime.fail(std::string("bad operand type for unary +: '") + type_name(value) + "'");
  return Value::integer(value.as_int());
}

const Value* find(Runtime& runtime, const Dict& dict, const Value& key) {
  runtime.charge(1 + dict.items.size() / 16);
  if (key.is_string()) {
    for (const auto& [candidate, value] : dict.items) {
      if (candidate.is_string() && candidate.text() == key.text()) return &value;
    }
    return nullptr;
  }
  require_hashable(runtime, key);
  for (const auto& [candidate, value] : dict.items) {
    if (equals(runtime, candidate, key)) return &value;
  }
  return nullptr;
}

Value make_dict(Runtime& runtime, std::vector<std::pair<Value, Value>> items) {
  Dict unique;
  for (auto& [key, value] : items) {
    require_hashable(runtime, key);
    if (const Value* old = find(runtime, unique, key)) {
      *const_cast<Value*>(old) = std::move(value);
    } else {
      unique.items.emplace_back(std::move(key), std::move(value));
    }
  }
  return runtime.dict(std::move(unique.items));
}

std::vector<size_t> sorted_order(Runtime& runtime, const std::vector<Value>& keys, bool reverse) {
  // Own merge sort: a comparison may raise, and NaN breaks the order that std::stable_sort relies on.
  std::vector<size_t> order(keys.size()), merged(keys.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (size_t width = 1; width < order.size(); width *= 2) {
    for (size_t begin = 0; begin < order.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, order.size()),
                   end = std::min(begin + 2 * width, order.size());
      size_t left = begin, right = middle;
      for (size_t to = begin; to < end; ++to) {
        const bool take_right =
            left == middle ||
            (right < end && (reverse ? less(runtime, keys[order[left]], keys[order[right]])
                                     : less(runtime, keys[order[right]], keys[order[left]])));
        merged[to] = take_right ? order[right++] : order[left++];
      }
    }
    order.swap(merged);
  }
  return order;
}

}  // namespace octavo::text::jinja
