// Statements of a template, run one after the other: scopes as Jinja has them (loops, macros, with and
// captured blocks open one, `if` does not; `set` writes to the innermost), output with its limit, macros and
// recursive loops. Expressions are in evaluate.cc. Called by chat_template.cc.
#include "text/jinja/interpreter.h"

#include <algorithm>

#include "text/jinja/functions.h"
#include "text/jinja/operators.h"
#include "text/jinja/representation.h"

namespace octavo::text::jinja {

Interpreter::Interpreter(const Tree& tree, const Limits& limits, CivilTime now)
    : Runtime(limits, now), tree_(tree), globals_(tree.names.size()) {
  for (const auto& [name, native] : global_functions()) {
    if (mentions(name)) set_variable(name, function(name, native, Value()));
  }
}

int Interpreter::find_name(std::string_view name) const {
  const auto found = std::find(tree_.names.begin(), tree_.names.end(), name);
  return found == tree_.names.end() ? -1 : static_cast<int>(found - tree_.names.begin());
}

void Interpreter::set_variable(std::string_view name, Value value) {
  const int id = find_name(name);
  if (id >= 0) globals_[static_cast<size_t>(id)] = std::move(value);
}

std::string Interpreter::render() {
  execute(tree_.body, nullptr);
  return std::move(output_);
}

void Interpreter::emit(std::string_view text) {
  charge_copy(text.size());
  if (out_->size() + text.size() > limits().max_output_bytes) {
    fail(StatusCode::kResourceExhausted,
         "the template writes more than " + std::to_string(limits().max_output_bytes) + " bytes");
  }
  *out_ += text;
}

std::string Interpreter::capture(const Body& body, Scope* scope, Flow* flow) {
  std::string captured;
  std::string* const outer = std::exchange(out_, &captured);
  *flow = execute(body, scope);
  out_ = outer;
  return captured;
}

Scope* Interpreter::inner_scope(Scope* parent) {
  auto* scope = make<Scope>();
  scope->parent = parent;
  return scope;
}

Value Interpreter::lookup(int name_id, Scope* scope) {
  for (; scope != nullptr; scope = scope->parent) {
    if (const Value* found = scope->find(name_id)) return *found;
  }
  const std::optional<Value>& global = globals_[static_cast<size_t>(name_id)];
  if (global.has_value()) return *global;
  return undefined("'" + tree_.names[static_cast<size_t>(name_id)] + "' is undefined");
}

void Interpreter::set(int name_id, Value value, Scope* scope) {
  if (scope != nullptr) {
    scope->set(name_id, std::move(value));
  } else {
    globals_[static_cast<size_t>(name_id)] = std::move(value);
  }
}

void Interpreter::assign(const Target& target, const Value& value, Scope* scope) {
  if (target.is_tuple) {
    const std::vector<Value> items = to_vector(*this, value);
    if (items.size() != target.items.size()) {
      fail("cannot unpack " + std::to_string(items.size()) + " values into " +
           std::to_string(target.items.size()) + " names");
    }
    for (size_t i = 0; i < items.size(); ++i) assign(target.items[i], items[i], scope);
  } else if (target.attribute.empty()) {
    set(target.name_id, value, scope);
  } else {
    const Value holder = lookup(target.name_id, scope);
    if (!holder.is(Kind::kNamespace)) fail("cannot assign attribute on non-namespace object");
    if (target.attribute.starts_with('_'))
      fail("a namespace cannot hold the underscored name '" + target.attribute + "'");
    holder.name_space().set(target.attribute, value);
  }
}

Interpreter::Flow Interpreter::execute(const Body& body, Scope* scope) {
  const Level level(*this);
  for (const Stmt& statement : body) {
    set_line(statement.line);
    charge(1);
    const Flow flow = std::visit([&](const auto& node) { return run(node, scope); }, statement.node);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const TextNode& node, Scope*) {
  emit(node.text);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const PrintNode& node, Scope* scope) {
  for (const ExprPtr& expression : node.values) {
    const Value value = evaluate(*expression, scope);
    if (value.is_string()) {
      emit(value.text());
    } else {
      emit(to_text(*this, value));
    }
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const IfNode& node, Scope* scope) {
  for (const auto& [condition, body] : node.branches) {
    if (truth(*this, evaluate(*condition, scope))) return execute(body, scope);
  }
  return execute(node.otherwise, scope);
}

Interpreter::Flow Interpreter::run(const ForNode& node, Scope* scope) {
  return run_loop(node, evaluate(*node.iterable, scope), scope, 0);
}

// The items that pass `for … if condition`, tested when they are asked for.
Iterator& Interpreter::filtered(const ForNode& node, Iterator& source, Scope* scope) {
  Scope* test_scope = inner_scope(scope);
  return iterator([this, &node, &source, test_scope](Value* out) {
           while (source.next(out)) {
             assign(node.target, *out, test_scope);
             if (truth(*this, evaluate(*node.condition, test_scope))) return true;
           }
           return false;
         })
      .iterator();
}

Interpreter::Flow Interpreter::run_loop(const ForNode& node, const Value& iterable, Scope* scope,
                                        int64_t depth0) {
  auto* loop = make<Loop>();
  loop->source = &iterate(*this, iterable);
  if (node.condition != nullptr) {
    loop->source = &filtered(node, *loop->source, scope);
  } else if (has_length(iterable)) {
    loop->length = length(*this, iterable);
  }
  loop->depth0 = depth0;
  loop->recursive_node = node.recursive ? &node : nullptr;
  loop->scope = scope;
  Scope* body_scope = inner_scope(scope);
  // As in Jinja's generated code, an iteration left by `continue` or `break` does not count as one for
  // `else`.
  bool any_completed = false;
  for (Value item; loop->advance(&item);) {
    charge(1);
    if (body_scope->captured) body_scope = inner_scope(scope);
    body_scope->variables.clear();
    body_scope->set(tree_.known.loop, Value::object(Kind::kLoop, loop));
    assign(node.target, item, body_scope);
    const Flow flow = execute(node.body, body_scope);
    if (flow == Flow::kBreak) break;
    any_completed |= flow == Flow::kNext;
  }
  if (any_completed || node.otherwise.empty()) return Flow::kNext;
  return execute(node.otherwise, inner_scope(scope));
}

Interpreter::Flow Interpreter::run(const SetNode& node, Scope* scope) {
  const Value value = evaluate(*node.value, scope);
  set_line(node.target.line);
  assign(node.target, value, scope);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const SetBlockNode& node, Scope* scope) {
  Scope* inner = inner_scope(scope);
  Flow flow = Flow::kNext;
  std::string captured = capture(node.body, inner, &flow);
  if (flow != Flow::kNext) return flow;
  Value value = string(std::move(captured));
  if (node.filter != nullptr) value = evaluate_filter(*node.filter, inner, &value);
  assign(node.target, value, scope);
  return Flow::kNext;
}

Value Interpreter::make_macro(const MacroNode& node, Scope* scope) {
  auto* macro = make<Macro>();
  macro->node = &node;
  macro->scope = scope;
  for (Scope* held = scope; held != nullptr && !held->captured; held = held->parent) held->captured = true;
  return Value::object(Kind::kMacro, macro);
}

Interpreter::Flow Interpreter::run(const std::unique_ptr<MacroNode>& node, Scope* scope) {
  set(node->name_id, make_macro(*node, scope), scope);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const CallBlockNode& node, Scope* scope) {
  const Value caller = make_macro(*node.caller, scope);
  emit(to_text(*this, evaluate_call(*node.call, scope, &caller)));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const FilterBlockNode& node, Scope* scope) {
  Scope* inner = inner_scope(scope);
  Flow flow = Flow::kNext;
  std::string captured = capture(node.body, inner, &flow);
  if (flow != Flow::kNext) return flow;
  const Value text = string(std::move(captured));
  emit(to_text(*this, evaluate_filter(*node.filter, inner, &text)));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const WithNode& node, Scope* scope) {
  Scope* inner = inner_scope(scope);
  for (const auto& [target, value] : node.variables) assign(target, evaluate(*value, scope), inner);
  return execute(node.body, inner);
}

Interpreter::Flow Interpreter::run(const ScopeNode& node, Scope* scope) {
  return execute(node.body, inner_scope(scope));
}

void Interpreter::bind_parameters(const Macro& macro, const Arguments& arguments, Scope* scope) {
  const MacroNode& node = *macro.node;
  const size_t n_given = std::min(arguments.positional.size(), node.parameters.size());
  for (size_t i = 0; i < n_given; ++i) scope->set(node.parameters[i].name_id, arguments.positional[i]);
  std::vector<const Parameter*> missing;
  std::vector<std::string_view> consumed;
  for (size_t i = n_given; i < node.parameters.size(); ++i) {
    const Parameter& parameter = node.parameters[i];
    const Value* given = arguments.keyword(parameter.name);
    if (given == nullptr) {
      missing.push_back(&parameter);
      scope->set(parameter.name_id, undefined("parameter '" + parameter.name + "' was not provided"));
    } else {
      consumed.push_back(parameter.name);
      scope->set(parameter.name_id, *given);
    }
  }
  if (node.uses_caller && !node.has_caller_parameter) {
    const Value* caller = arguments.keyword("caller");
    consumed.push_back("caller");
    const bool given = caller != nullptr && !caller->is_none();
    scope->set(tree_.known.caller, given ? *caller : undefined("No caller defined"));
  }
  std::vector<std::pair<Value, Value>> surplus;
  for (const auto& [name, value] : arguments.keywords) {
    if (std::find(consumed.begin(), consumed.end(), name) != consumed.end()) continue;
    if (!node.uses_kwargs) fail("macro '" + node.name + "' takes no keyword argument '" + name + "'");
    surplus.emplace_back(string(name), value);
  }
  if (arguments.positional.size() > n_given && !node.uses_varargs) {
    fail("macro '" + node.name + "' takes not more than " + std::to_string(node.parameters.size()) +
         " argument(s)");
  }
  const auto is_parameter = [&](std::string_view name) {
    return std::any_of(node.parameters.begin(), node.parameters.end(),
                       [&](const Parameter& parameter) { return parameter.name == name; });
  };
  if (node.uses_kwargs && !is_parameter("kwargs")) scope->set(tree_.known.kwargs, dict(std::move(surplus)));
  if (node.uses_varargs && !is_parameter("varargs")) {
    scope->set(tree_.known.varargs,
               tuple({arguments.positional.begin() + static_cast<std::ptrdiff_t>(n_given),
                      arguments.positional.end()}));
  }
  for (const Parameter* parameter : missing) {
    if (parameter->default_value != nullptr) {
      scope->set(parameter->name_id, evaluate(*parameter->default_value, scope));
    }
  }
}

std::string Interpreter::call_macro(const Macro& macro, const Arguments& arguments) {
  Scope* scope = inner_scope(macro.scope);
  bind_parameters(macro, arguments, scope);
  Flow flow = Flow::kNext;
  return capture(macro.node->body, scope, &flow);
}

Value Interpreter::call(const Value& callee, const Arguments& arguments) {
  const Level level(*this);
  charge(1);
  switch (callee.kind()) {
    case Kind::kFunction:
      return callee.function().call(*this, callee.function().self, arguments);
    case Kind::kMacro:
      return string(call_macro(callee.macro(), arguments));
    case Kind::kLoop: {
      const Loop& loop = callee.loop();
      if (loop.recursive_node == nullptr) fail("the loop must be marked 'recursive' to be called");
      if (arguments.positional.size() != 1 || !arguments.keywords.empty()) fail("loop() takes one argument");
      std::string captured;
      std::string* const outer = std::exchange(out_, &captured);
      run_loop(*loop.recursive_node, arguments.positional[0], loop.scope, loop.depth0 + 1);
      out_ = outer;
      return string(std::move(captured));
    }
    default:
      break;
  }
  require_defined(*this, callee);
  fail(std::string("'") + type_name(callee) + "' object is not callable");
}

}  // namespace octavo::text::jinja
