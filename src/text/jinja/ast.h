#pragma once
// The syntax tree of a template. Expressions are uniform nodes, their operands in `children` in the order the
// kind's comment says; statements are one struct per tag. Immutable after parsing; many renders may read one
// tree at once.
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/value.h"

namespace octavo::text::jinja {

enum class ExprKind {
  kConstant,     // constant
  kName,         // name_id
  kList,         // items
  kTuple,        // items
  kDict,         // key, value, key, value, …
  kUnary,        // op; operand
  kBinary,       // op; left, right
  kNot,          // operand
  kAnd,          // left, right
  kOr,           // left, right
  kCompare,      // operators; first, then one operand per operator
  kConcat,       // operands of ~
  kConditional,  // condition, then, else or null
  kGetattr,      // text; object
  kGetitem,      // object, key
  kSlice,        // object, start or null, stop or null, step or null
  kCall,         // callee; arguments
  kFilter,       // text; input or null in a filter block; arguments
  kTest,         // text; subject; arguments
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallSite {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> keywords;
  ExprPtr star, double_star;  // *args, **kwargs
};

using FilterFunction = Value (*)(Runtime&, const Value& input, const Arguments&);
using TestFunction = bool (*)(Runtime&, const Value& subject, const Arguments&);

struct Expr {
  ExprKind kind = ExprKind::kConstant;
  int line = 0;
  int depth = 1;  // levels of nesting below, bounded by the parser
  int name_id = -1;
  std::string text;                    // operator, attribute, filter or test name
  std::vector<std::string> operators;  // of a comparison: "==", "in", "not in", …
  Value constant;
  std::vector<ExprPtr> children;
  CallSite call;
  FilterFunction filter = nullptr;  // null when no filter has this name: an error if it runs
  TestFunction test = nullptr;
};

// What `set`, `for` and `with` assign to: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  int line = 0;
  int name_id = -1;
  std::string attribute;  // empty for a plain name
  std::vector<Target> items;
  bool is_tuple = false;
};

struct Stmt;
using Body = std::vector<Stmt>;

struct Parameter {
  int name_id = -1;
  std::string name;
  ExprPtr default_value;  // null when the caller must give one (otherwise it is undefined)
};

struct TextNode {
  std::string text;
};
struct PrintNode {
  std::vector<ExprPtr> values;
};
struct IfNode {
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
};
struct ForNode {
  Target target;
  ExprPtr iterable, condition;  // condition may be null
  bool recursive = false;
  Body body, otherwise;
};
struct SetNode {
  Target target;
  ExprPtr value;
};
struct SetBlockNode {
  Target target;
  ExprPtr filter;  // a chain of kFilter whose innermost input is null; or null
  Body body;
};
struct MacroNode {
  std::string name;  // empty: the body of a call block
  int name_id = -1;
  std::vector<Parameter> parameters;
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
  bool has_caller_parameter = false;
  Body body;
};
struct CallBlockNode {
  std::unique_ptr<MacroNode> caller;
  ExprPtr call;
};
struct FilterBlockNode {
  ExprPtr filter;
  Body body;
};
struct WithNode {
  std::vector<std::pair<Target, ExprPtr>> variables;
  Body body;
};
struct ScopeNode {  // {% generation %}, {% block %}
  Body body;
};
struct BreakNode {};
struct ContinueNode {};

struct Stmt {
  int line = 0;
  std::variant<TextNode, PrintNode, IfNode, ForNode, SetNode, SetBlockNode, std::unique_ptr<MacroNode>,
               CallBlockNode, FilterBlockNode, WithNode, ScopeNode, BreakNode, ContinueNode>
      node;
};

// Names that a macro body and a call fill in.
struct KnownNames {
  int loop = -1, caller = -1, kwargs = -1, varargs = -1;
};

struct Tree {
  Body body;
  std::vector<std::string> names;  // by name id
  KnownNames known;
};

}  // namespace octavo::text::jinja
