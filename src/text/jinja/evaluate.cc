// Expressions of a template: the other half of interpreter.cc. Each evaluation costs a step and a level of
// depth, so no expression runs away. Operators, attributes and filters do the work.
#include <algorithm>

#include "text/jinja/attributes.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/representation.h"

namespace octavo::text::jinja {

Value Interpreter::evaluate(const Expr& expr, Scope* scope) {
  const Level level(*this);
  charge(1);
  set_line(expr.line);
  switch (expr.kind) {
    case ExprKind::kConstant:
      return expr.constant;
    case ExprKind::kName:
      return lookup(expr.name_id, scope);
    case ExprKind::kList:
    case ExprKind::kTuple:
    case ExprKind::kDict:
      return evaluate_items(expr, scope);
    case ExprKind::kUnary:
    case ExprKind::kBinary:
    case ExprKind::kNot:
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return evaluate_operator(expr, scope);
    case ExprKind::kCompare:
      return evaluate_compare(expr, scope);
    case ExprKind::kConcat:
      return evaluate_concat(expr, scope);
    case ExprKind::kConditional:
      return evaluate_conditional(expr, scope);
    case ExprKind::kGetattr: {
      const Value object = evaluate(*expr.children[0], scope);
      set_line(expr.line);
      return get_attribute(*this, object, expr.text);
    }
    case ExprKind::kGetitem: {
      const Value object = evaluate(*expr.children[0], scope);
      const Value key = evaluate(*expr.children[1], scope);
      set_line(expr.line);
      return get_item(*this, object, key);
    }
    case ExprKind::kSlice:
      return evaluate_slice(expr, scope);
    case ExprKind::kCall:
      return evaluate_call(expr, scope, nullptr);
    case ExprKind::kFilter:
      return evaluate_filter(expr, scope, nullptr);
    case ExprKind::kTest:
      return evaluate_test(expr, scope);
  }
  return Value();
}

Value Interpreter::evaluate_items(const Expr& expr, Scope* scope) {
  if (expr.kind != ExprKind::kDict) {
    std::vector<Value> items;
    items.reserve(expr.children.size());
    for (const ExprPtr& child : expr.children) items.push_back(evaluate(*child, scope));
    return expr.kind == ExprKind::kList ? list(std::move(items)) : tuple(std::move(items));
  }
  std::vector<std::pair<Value, Value>> items;
  items.reserve(expr.children.size() / 2);
  for (size_t i = 0; i < expr.children.size(); i += 2) {
    Value key = evaluate(*expr.children[i], scope);
    items.emplace_back(std::move(key), evaluate(*expr.children[i + 1], scope));
  }
  return make_dict(*this, std::move(items));
}

Value Interpreter::evaluate_operator(const Expr& expr, Scope* scope) {
  const Value left = evaluate(*expr.children[0], scope);
  switch (expr.kind) {
    case ExprKind::kNot:
      return Value::boolean(!truth(*this, left));
    case ExprKind::kAnd:
      return truth(*this, left) ? evaluate(*expr.children[1], scope) : left;
    case ExprKind::kOr:
      return truth(*this, left) ? left : evaluate(*expr.children[1], scope);
    case ExprKind::kUnary:
      set_line(expr.line);
      return expr.text == "-" ? negate(*this, left) : affirm(*this, left);
    default:
      break;
  }
  const Value right = evaluate(*expr.children[1], scope);
  set_line(expr.line);
  return binary(*this, expr.text, left, right);
}

// a < b < c: each operand once, up to the first comparison that fails.
Value Interpreter::evaluate_compare(const Expr& expr, Scope* scope) {
  Value left = evaluate(*expr.children[0], scope);
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = evaluate(*expr.children[i + 1], scope);
    set_line(expr.line);
    if (!compare(*this, expr.operators[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_concat(const Expr& expr, Scope* scope) {
  std::string text;
  for (const ExprPtr& child : expr.children) {
    text += to_text(*this, evaluate(*child, scope));
    check_live(text.size());
  }
  return string(std::move(text));
}

Value Interpreter::evaluate_conditional(const Expr& expr, Scope* scope) {
  if (truth(*this, evaluate(*expr.children[0], scope))) return evaluate(*expr.children[1], scope);
  if (expr.children[2] != nullptr) return evaluate(*expr.children[2], scope);
  return undefined("the inline if-expression evaluated to false and no else section was defined");
}

Value Interpreter::evaluate_slice(const Expr& expr, Scope* scope) {
  const Value object = evaluate(*expr.children[0], scope);
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (expr.children[i + 1] != nullptr) bounds[i] = evaluate(*expr.children[i + 1], scope);
  }
  set_line(expr.line);
  return get_slice(*this, object, bounds[0], bounds[1], bounds[2]);
}

Arguments Interpreter::evaluate_arguments(const CallSite& call, Scope* scope) {
  Arguments arguments;
  arguments.positional.reserve(call.positional.size());
  for (const ExprPtr& argument : call.positional) arguments.positional.push_back(evaluate(*argument, scope));
  for (const auto& [name, argument] : call.keywords)
    arguments.keywords.emplace_back(name, evaluate(*argument, scope));
  if (call.star != nullptr) {
    for (Value& item : to_vector(*this, evaluate(*call.star, scope)))
      arguments.positional.push_back(std::move(item));
  }
  if (call.double_star != nullptr) {
    const Value mapping = evaluate(*call.double_star, scope);
    require_defined(*this, mapping);
    if (!mapping.is(Kind::kDict)) fail("the argument after ** must be a mapping");
    for (const auto& [key, value] : mapping.dict().items) {
      if (!key.is_string()) fail("keywords must be strings");
      if (arguments.keyword(key.text()) != nullptr)
        fail("multiple values for keyword argument '" + key.text() + "'");
      arguments.keywords.emplace_back(key.text(), value);
    }
  }
  return arguments;
}

Value Interpreter::evaluate_call(const Expr& expr, Scope* scope, const Value* caller) {
  const Expr& callee = *expr.children[0];
  if (callee.kind == ExprKind::kGetattr &&
      caller == nullptr) {  // a method: no need to make a bound one first
    const Value object = evaluate(*callee.children[0], scope);
    set_line(callee.line);
    const NativeFunction method = find_method(object, callee.text);
    const Value target = method == nullptr ? get_attribute(*this, object, callee.text) : Value();
    const Arguments arguments = evaluate_arguments(expr.call, scope);
    set_line(expr.line);
    return method == nullptr ? call(target, arguments) : method(*this, object, arguments);
  }
  const Value target = evaluate(callee, scope);
  Arguments arguments = evaluate_arguments(expr.call, scope);
  if (caller != nullptr) arguments.keywords.emplace_back("caller", *caller);
  set_line(expr.line);
  return call(target, arguments);
}

Value Interpreter::evaluate_filter(const Expr& expr, Scope* scope, const Value* block_text) {
  Value input;
  if (expr.children[0] == nullptr) {
    input = *block_text;
  } else if (block_text != nullptr) {  // the chain of a filter block
    const Level level(*this);
    input = evaluate_filter(*expr.children[0], scope, block_text);
  } else {
    input = evaluate(*expr.children[0], scope);
  }
  const Arguments arguments = evaluate_arguments(expr.call, scope);
  set_line(expr.line);
  if (expr.filter == nullptr) fail(StatusCode::kUnsupported, "no filter named '" + expr.text + "'");
  return expr.filter(*this, input, arguments);
}

Value Interpreter::evaluate_test(const Expr& expr, Scope* scope) {
  const Value subject = evaluate(*expr.children[0], scope);
  const Arguments arguments = evaluate_arguments(expr.call, scope);
  set_line(expr.line);
  if (expr.test == nullptr) fail(StatusCode::kUnsupported, "no test named '" + expr.text + "'");
  return Value::boolean(expr.test(*this, subject, arguments));
}

}  // namespace octavo::text::jinja
