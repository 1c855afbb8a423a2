#pragma once
// Renders a syntax tree. One interpreter per render; the tree is only read.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace octavo::text::jinja {

class Interpreter final : public Runtime {
 public:
  Interpreter(const Tree& tree, const Limits& limits, CivilTime now);

  // False when the template never mentions the name: there is no need to make its value.
  bool mentions(std::string_view name) const { return find_name(name) >= 0; }
  void set_variable(std::string_view name, Value value);
  // The rendered text. Throws Error. To be called once.
  std::string render();

  Value call(const Value& callee, const Arguments& arguments) override;

 private:
  enum class Flow { kNext, kBreak, kContinue };

  int find_name(std::string_view name) const;

  // Statements; a null scope is the template's top level.
  Flow execute(const Body& body, Scope* scope);
  Flow run(const TextNode& node, Scope* scope);
  Flow run(const PrintNode& node, Scope* scope);
  Flow run(const IfNode& node, Scope* scope);
  Flow run(const ForNode& node, Scope* scope);
  Flow run(const SetNode& node, Scope* scope);
  Flow run(const SetBlockNode& node, Scope* scope);
  Flow run(const std::unique_ptr<MacroNode>& node, Scope* scope);
  Flow run(const CallBlockNode& node, Scope* scope);
  Flow run(const FilterBlockNode& node, Scope* scope);
  Flow run(const WithNode& node, Scope* scope);
  Flow run(const ScopeNode& node, Scope* scope);
  Flow run(const BreakNode&, Scope*) { return Flow::kBreak; }
  Flow run(const ContinueNode&, Scope*) { return Flow::kContinue; }
  Flow run_loop(const ForNode& node, const Value& iterable, Scope* scope, int64_t depth0);
  Iterator& filtered(const ForNode& node, Iterator& source, Scope* scope);
  void emit(std::string_view text);
  // The text that a body writes; *flow is how it ended.
  std::string capture(const Body& body, Scope* scope, Flow* flow);
  Scope* inner_scope(Scope* parent);
  Value make_macro(const MacroNode& node, Scope* scope);
  std::string call_macro(const Macro& macro, const Arguments& arguments);
  void bind_parameters(const Macro& macro, const Arguments& arguments, Scope* scope);

  // Variables.
  Value lookup(int name_id, Scope* scope);
  void set(int name_id, Value value, Scope* scope);
  void assign(const Target& target, const Value& value, Scope* scope);

  // Expressions.
  Value evaluate(const Expr& expr, Scope* scope);
  Value evaluate_items(const Expr& expr, Scope* scope);
  Value evaluate_operator(const Expr& expr, Scope* scope);
  Value evaluate_compare(const Expr& expr, Scope* scope);
  Value evaluate_concat(const Expr& expr, Scope* scope);
  Value evaluate_conditional(const Expr& expr, Scope* scope);
  Value evaluate_slice(const Expr& expr, Scope* scope);
  Value evaluate_call(const Expr& expr, Scope* scope, const Value* caller);
  // `block_text`: what the innermost filter of a filter block works on.
  Value evaluate_filter(const Expr& expr, Scope* scope, const Value* block_text);
  Value evaluate_test(const Expr& expr, Scope* scope);
  Arguments evaluate_arguments(const CallSite& call, Scope* scope);

  const Tree& tree_;
  std::vector<std::optional<Value>> globals_;  // top level variables, by name id
  std::string output_;
  std::string* out_ = &output_;
};

}  // namespace octavo::text::jinja
