// `value is name(arguments)`: jinja2/tests.py. Called by interpreter.cc and the filters select, reject and
// their kin.
#include "text/jinja/tests.h"

#include <algorithm>

#include "text/jinja/argument_reader.h"
#include "text/jinja/attributes.h"
#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/representation.h"

namespace octavo::text::jinja {
namespace {

template <bool (*kPredicate)(const Value&)>
bool simple(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  require_no_arguments(runtime, "the test", arguments);
  return kPredicate(subject);
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.is(Kind::kBool); }
bool is_true(const Value& v) { return v.is(Kind::kBool) && v.as_bool(); }
bool is_false(const Value& v) { return v.is(Kind::kBool) && !v.as_bool(); }
bool is_integer(const Value& v) { return v.is(Kind::kInt); }
bool is_float(const Value& v) { return v.is(Kind::kFloat); }
bool is_number(const Value& v) { return v.is_number(); }
bool is_string(const Value& v) { return v.is_string(); }
bool is_mapping(const Value& v) { return v.is(Kind::kDict); }
bool is_sequence(const Value& v) { return has_length(v) && !v.is(Kind::kDictView) && !v.is(Kind::kLoop); }
bool is_escaped(const Value& v) { return v.is_string() && v.is_markup(); }
bool is_callable(const Value& v) {
  return v.is(Kind::kMacro) || v.is(Kind::kFunction) || v.is(Kind::kLoop) || v.is_undefined();
}

template <bool kUpper>
bool is_cased_text(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  require_no_arguments(runtime, kUpper ? "upper" : "lower", arguments);
  return is_in_case(to_text(runtime, subject), kUpper);
}

bool remainder_is(Runtime& runtime, const Value& subject, const Value& divisor, int64_t expected) {
  const Value remainder = binary(runtime, "%", subject, divisor);
  return equals(runtime, remainder, Value::integer(expected));
}

bool is_odd(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  require_no_arguments(runtime, "odd", arguments);
  return remainder_is(runtime, subject, Value::integer(2), 1);
}

bool is_even(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  require_no_arguments(runtime, "even", arguments);
  return remainder_is(runtime, subject, Value::integer(2), 0);
}

bool is_divisible(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const ArgumentReader args(runtime, "divisibleby", arguments, {"num"}, 1);
  return remainder_is(runtime, subject, args[0], 0);
}

bool names_filter(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  require_no_arguments(runtime, "filter", arguments);
  return subject.is_string() && find_filter(subject.text()) != nullptr;
}

bool names_test(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  require_no_arguments(runtime, "test", arguments);
  return subject.is_string() && find_test(subject.text()) != nullptr;
}

bool is_same(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const ArgumentReader args(runtime, "sameas", arguments, {"other"}, 1);
  const Value& other = args[0];
  if (subject.kind() != other.kind()) return false;
  if (subject.is_string() || subject.is_number() || subject.is_none()) return equals(runtime, subject, other);
  return subject.identity() == other.identity();
}

bool is_iterable_test(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  require_no_arguments(runtime, "iterable", arguments);
  return is_iterable(subject);
}

bool is_in(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const ArgumentReader args(runtime, "in", arguments, {"seq"}, 1);
  return contains(runtime, args[0], subject);
}

enum class Relation { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

template <Relation kRelation>
bool is_related(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  static constexpr std::string_view kOperators[] = {"==", "!=", "<", "<=", ">", ">="};
  const ArgumentReader args(runtime, "the comparison", arguments, {"other"}, 1, 1);
  return compare(runtime, kOperators[static_cast<size_t>(kRelation)], subject, args[0]);
}

}  // namespace

TestFunction find_test(std::string_view name) {
  static constexpr std::pair<std::string_view, TestFunction> kTests[] = {
      {"defined", simple<is_defined>},
      {"undefined", simple<is_undefined>},
      {"none", simple<is_none>},
      {"boolean", simple<is_boolean>},
      {"true", simple<is_true>},
      {"false", simple<is_false>},
      {"integer", simple<is_integer>},
      {"float", simple<is_float>},
      {"number", simple<is_number>},
      {"string", simple<is_string>},
      {"mapping", simple<is_mapping>},
      {"sequence", simple<is_sequence>},
      {"iterable", is_iterable_test},
      {"callable", simple<is_callable>},
      {"escaped", simple<is_escaped>},
      {"lower", is_cased_text<false>},
      {"upper", is_cased_text<true>},
      {"odd", is_odd},
      {"even", is_even},
      {"divisibleby", is_divisible},
      {"filter", names_filter},
      {"test", names_test},
      {"sameas", is_same},
      {"in", is_in},
      {"==", is_related<Relation::kEqual>},
      {"eq", is_related<Relation::kEqual>},
      {"equalto", is_related<Relation::kEqual>},
      {"!=", is_related<Relation::kNotEqual>},
      {"ne", is_related<Relation::kNotEqual>},
      {"<", is_related<Relation::kLess>},
      {"lt", is_related<Relation::kLess>},
      {"lessthan", is_related<Relation::kLess>},
      {"<=", is_related<Relation::kLessEqual>},
      {"le", is_related<Relation::kLessEqual>},
      {">", is_related<Relation::kGreater>},
      {"gt", is_related<Relation::kGreater>},
      {"greaterthan", is_related<Relation::kGreater>},
      {">=", is_related<Relation::kGreaterEqual>},
      {"ge", is_related<Relation::kGreaterEqual>},
  };
  for (const auto& [test, function] : kTests) {
    if (test == name) return function;
  }
  return nullptr;
}

}  // namespace octavo::text::jinja
