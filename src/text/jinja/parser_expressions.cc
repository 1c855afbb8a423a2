// Expressions of the template language, by recursive descent in Jinja's order of precedence:
// conditional, or, and, not, comparison, + -, ~, * / // %, **, unary, postfix, filters and tests.
// Called by the statements of parser.cc.
#include <algorithm>

#include "text/jinja/error.h"
#include "text/jinja/filters.h"
#include "text/jinja/parser.h"
#include "text/jinja/parser_state.h"
#include "text/jinja/tests.h"

namespace octavo::text::jinja {

ExprPtr Parser::make(ExprKind kind, int line) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

ExprPtr Parser::finish(ExprPtr node) const {
  int depth = 0;
  const auto include = [&](const ExprPtr& child) {
    if (child != nullptr) depth = std::max(depth, child->depth);
  };
  for (const ExprPtr& child : node->children) include(child);
  for (const ExprPtr& argument : node->call.positional) include(argument);
  for (const auto& [name, argument] : node->call.keywords) include(argument);
  include(node->call.star);
  include(node->call.double_star);
  node->depth = depth + 1;
  if (node->depth > kMaxExpressionDepth) {
    fail_syntax(node->line, "an expression nests deeper than " + std::to_string(kMaxExpressionDepth));
  }
  return node;
}

void Parser::note_unknown(int line, const char* what, const std::string& name) {
  if (!soft_)
    unknown_.push_back({StatusCode::kUnsupported, line, "no " + std::string(what) + " named '" + name + "'"});
}

ExprPtr Parser::make_name(const Token& token) {
  ExprPtr node = make(ExprKind::kName, token.line);
  node->name_id = intern(token.text);
  for (MacroNode* macro : macros_) {
    macro->uses_caller |= token.text == "caller";
    macro->uses_kwargs |= token.text == "kwargs";
    macro->uses_varargs |= token.text == "varargs";
  }
  return node;
}

ExprPtr Parser::parse_expression(bool with_conditional) {
  if (expression_depth_ >= kMaxExpressionDepth) {
    fail_syntax(current().line, "an expression nests deeper than " + std::to_string(kMaxExpressionDepth));
  }
  const Restore<int> deeper(&expression_depth_, expression_depth_ + 1);
  return with_conditional ? parse_conditional() : parse_or();
}

bool Parser::is_tuple_end(std::string_view end_name) const {
  const TokenKind kind = current().kind;
  return kind == TokenKind::kVariableEnd || kind == TokenKind::kBlockEnd || is_op(")") ||
         (!end_name.empty() && is_name(end_name));
}

// One expression, or a tuple when commas follow. `end_name` ends a tuple beside the usual ends.
ExprPtr Parser::parse_tuple(bool with_conditional, std::string_view end_name, bool parenthesized) {
  const int line = current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_op(",");
    if (is_tuple_end(end_name)) break;
    items.push_back(parse_expression(with_conditional));
    if (!is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items.front());
    if (!parenthesized) fail_expected("an expression");
  }
  ExprPtr tuple = make(ExprKind::kTuple, line);
  tuple->children = std::move(items);
  return finish(std::move(tuple));
}

ExprPtr Parser::parse_conditional() {
  const int line = current().line;
  // In a conditional, unknown filters and tests are errors only when they run; that it is one shows after its
  // value.
  const size_t n_unknown = unknown_.size();
  ExprPtr value = parse_or();
  while (is_name("if")) {
    next();
    ExprPtr node = make(ExprKind::kConditional, line);
    node->children.push_back(parse_or());
    node->children.push_back(std::move(value));
    node->children.push_back(skip_name("else") ? parse_expression() : nullptr);
    value = finish(std::move(node));
    unknown_.resize(n_unknown, Error{});
  }
  return value;
}

template <class Operand, class Operators>
ExprPtr Parser::parse_left_chain(Operand operand, const Operators& operators) {
  ExprPtr left = (this->*operand)();
  while (true) {
    const auto* op =
        std::find_if(std::begin(operators), std::end(operators), [&](auto name) { return is_op(name); });
    if (op == std::end(operators)) return left;
    ExprPtr node = make(ExprKind::kBinary, next().line);
    node->text = *op;
    node->children.push_back(std::move(left));
    node->children.push_back((this->*operand)());
    left = finish(std::move(node));
  }
}

ExprPtr Parser::parse_or() {
  ExprPtr left = parse_and();
  while (is_name("or")) {
    ExprPtr node = make(ExprKind::kOr, next().line);
    node->children.push_back(std::move(left));
    node->children.push_back(parse_and());
    left = finish(std::move(node));
  }
  return left;
}

ExprPtr Parser::parse_and() {
  ExprPtr left = parse_not();
  while (is_name("and")) {
    ExprPtr node = make(ExprKind::kAnd, next().line);
    node->children.push_back(std::move(left));
    node->children.push_back(parse_not());
    left = finish(std::move(node));
  }
  return left;
}

ExprPtr Parser::parse_not() {
  size_t n_nots = 0;
  const int line = current().line;
  while (skip_name("not")) ++n_nots;
  ExprPtr node = parse_compare();
  for (; n_nots > 0; --n_nots) {
    ExprPtr negation = make(ExprKind::kNot, line);
    negation->children.push_back(std::move(node));
    node = finish(std::move(negation));
  }
  return node;
}

ExprPtr Parser::parse_compare() {
  static constexpr std::string_view kOperators[] = {"==", "!=", "<", "<=", ">", ">="};
  const int line = current().line;
  ExprPtr first = parse_sum();
  ExprPtr node;
  while (true) {
    std::string op;
    if (current().kind == TokenKind::kOperator &&
        std::find(std::begin(kOperators), std::end(kOperators), current().text) != std::end(kOperators)) {
      op = next().text;
    } else if (skip_name("in")) {
      op = "in";
    } else if (is_name("not") && look().kind == TokenKind::kName && look().text == "in") {
      next();
      next();
      op = "not in";
    } else {
      break;
    }
    if (node == nullptr) {
      node = make(ExprKind::kCompare, line);
      node->children.push_back(std::move(first));
    }
    node->operators.push_back(std::move(op));
    node->children.push_back(parse_sum());
  }
  return node == nullptr ? std::move(first) : finish(std::move(node));
}

ExprPtr Parser::parse_sum() {
  static constexpr std::string_view kOperators[] = {"+", "-"};
  return parse_left_chain(&Parser::parse_concat, kOperators);
}

ExprPtr Parser::parse_concat() {
  ExprPtr first = parse_product();
  if (!is_op("~")) return first;
  ExprPtr node = make(ExprKind::kConcat, current().line);
  node->children.push_back(std::move(first));
  while (skip_op("~")) node->children.push_back(parse_product());
  return finish(std::move(node));
}

ExprPtr Parser::parse_product() {
  static constexpr std::string_view kOperators[] = {"*", "/", "//", "%"};
  return parse_left_chain(&Parser::parse_power, kOperators);
}

ExprPtr Parser::parse_power() {
  ExprPtr left = parse_unary(true);
  while (is_op("**")) {
    ExprPtr node = make(ExprKind::kBinary, next().line);
    node->text = "**";
    node->children.push_back(std::move(left));
    node->children.push_back(parse_unary(true));
    left = finish(std::move(node));
  }
  return left;
}

ExprPtr Parser::parse_unary(bool with_filter) {
  if (expression_depth_ >= kMaxExpressionDepth) fail_syntax(current().line, "too many signs in a row");
  const Restore<int> deeper(&expression_depth_, expression_depth_ + 1);
  ExprPtr node;
  if (is_op("-") || is_op("+")) {
    const Token& sign = next();
    node = make(ExprKind::kUnary, sign.line);
    node->text = sign.text;
    node->children.push_back(parse_unary(false));
    node = finish(std::move(node));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filter ? parse_filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr Parser::parse_primary() {
  const Token& token = current();
  ExprPtr node = make(ExprKind::kConstant, token.line);
  switch (token.kind) {
    case TokenKind::kName:
      next();
      if (token.text == "true" || token.text == "True") {
        node->constant = Value::boolean(true);
      } else if (token.text == "false" || token.text == "False") {
        node->constant = Value::boolean(false);
      } else if (token.text != "none" && token.text != "None") {
        return make_name(token);
      }
      return node;
    case TokenKind::kString: {
      std::string text;
      while (current().kind == TokenKind::kString) text += next().text;
      node->constant = Value::string(std::make_shared<const Text>(std::move(text), nullptr));
      return node;
    }
    case TokenKind::kInteger:
      node->constant = Value::integer(next().integer);
      return node;
    case TokenKind::kFloat:
      node->constant = Value::real(next().real);
      return node;
    default:
      break;
  }
  if (skip_op("(")) {
    ExprPtr inner = parse_tuple(true, {}, true);
    expect_op(")");
    return inner;
  }
  if (is_op("[")) return parse_list();
  if (is_op("{")) return parse_dict();
  fail_expected("an expression");
}

ExprPtr Parser::parse_list() {
  ExprPtr list = make(ExprKind::kList, next().line);
  while (!is_op("]")) {
    if (!list->children.empty()) {
      expect_op(",");
      if (is_op("]")) break;
    }
    list->children.push_back(parse_expression());
  }
  expect_op("]");
  return finish(std::move(list));
}

ExprPtr Parser::parse_dict() {
  ExprPtr dict = make(ExprKind::kDict, next().line);
  while (!is_op("}")) {
    if (!dict->children.empty()) {
      expect_op(",");
      if (is_op("}")) break;
    }
    dict->children.push_back(parse_expression());
    expect_op(":");
    dict->children.push_back(parse_expression());
  }
  expect_op("}");
  return finish(std::move(dict));
}

ExprPtr Parser::parse_postfix(ExprPtr node) {
  while (true) {
    if (is_op(".") || is_op("[")) {
      node = parse_subscript(std::move(node));
    } else if (is_op("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_filters_and_tests(ExprPtr node) {
  while (true) {
    if (is_op("|")) {
      node = parse_filter_chain(std::move(node), false);
    } else if (is_name("is")) {
      node = parse_test(std::move(node));
    } else if (is_op("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_subscript(ExprPtr object) {
  const int line = current().line;
  if (skip_op(".")) {
    const Token& token = next();
    if (token.kind == TokenKind::kName) {
      ExprPtr node = make(ExprKind::kGetattr, line);
      node->text = token.text;
      node->children.push_back(std::move(object));
      return finish(std::move(node));
    }
    if (token.kind != TokenKind::kInteger) {
      fail_syntax(token.line, "expected a name or number after '.', found " + describe(token));
    }
    ExprPtr node = make(ExprKind::kGetitem, line);
    node->children.push_back(std::move(object));
    node->children.push_back(make(ExprKind::kConstant, line));
    node->children.back()->constant = Value::integer(token.integer);
    return finish(std::move(node));
  }
  expect_op("[");
  ExprPtr node = parse_subscript_key(std::move(object), line);
  expect_op("]");
  return node;
}

// What stands between brackets: a key, a slice, or a tuple of keys.
ExprPtr Parser::parse_subscript_key(ExprPtr object, int line) {
  const auto ends = [&] { return is_op("]") || is_op(",") || is_op(":"); };
  ExprPtr first = is_op(":") || is_op("]") ? nullptr : parse_expression();
  if (is_op(":")) {
    ExprPtr slice = make(ExprKind::kSlice, line);
    slice->children.push_back(std::move(object));
    slice->children.push_back(std::move(first));
    next();
    slice->children.push_back(ends() ? nullptr : parse_expression());
    slice->children.push_back(skip_op(":") && !ends() ? parse_expression() : nullptr);
    return finish(std::move(slice));
  }
  if (first == nullptr || is_op(",")) {
    ExprPtr tuple = make(ExprKind::kTuple, line);
    if (first != nullptr) tuple->children.push_back(std::move(first));
    while (skip_op(",")) tuple->children.push_back(parse_expression());
    first = finish(std::move(tuple));
  }
  ExprPtr node = make(ExprKind::kGetitem, line);
  node->children.push_back(std::move(object));
  node->children.push_back(std::move(first));
  return finish(std::move(node));
}

CallSite Parser::parse_call_site() {
  CallSite call;
  const int line = current().line;
  const auto require = [&](bool fine) {
    if (!fine) fail_syntax(line, "invalid order of arguments in a call");
  };
  expect_op("(");
  bool needs_comma = false;
  while (!is_op(")")) {
    if (needs_comma) {
      expect_op(",");
      if (is_op(")")) break;
    }
    if (skip_op("*")) {
      require(call.star == nullptr && call.double_star == nullptr);
      call.star = parse_expression();
    } else if (skip_op("**")) {
      require(call.double_star == nullptr);
      call.double_star = parse_expression();
    } else if (current().kind == TokenKind::kName && look().kind == TokenKind::kOperator &&
               look().text == "=") {
      require(call.double_star == nullptr);
      const std::string& name = next().text;
      next();
      for (const auto& [other, value] : call.keywords) {
        if (other == name) fail_syntax(line, "keyword argument '" + name + "' given twice");
      }
      call.keywords.emplace_back(name, parse_expression());
    } else {
      require(call.star == nullptr && call.double_star == nullptr && call.keywords.empty());
      call.positional.push_back(parse_expression());
    }
    needs_comma = true;
  }
  expect_op(")");
  return call;
}

ExprPtr Parser::parse_call(ExprPtr callee) {
  ExprPtr node = make(ExprKind::kCall, current().line);
  node->children.push_back(std::move(callee));
  node->call = parse_call_site();
  return finish(std::move(node));
}

ExprPtr Parser::parse_filter_chain(ExprPtr input, bool starts_inline) {
  while (starts_inline || is_op("|")) {
    if (!starts_inline) next();
    starts_inline = false;
    const Token& token = expect_identifier();
    ExprPtr node = make(ExprKind::kFilter, token.line);
    node->text = token.text;
    while (skip_op(".")) node->text += '.' + expect_identifier().text;
    node->filter = find_filter(node->text);
    if (node->filter == nullptr) note_unknown(node->line, "filter", node->text);
    node->children.push_back(std::move(input));
    if (is_op("(")) node->call = parse_call_site();
    input = finish(std::move(node));
  }
  return input;
}

ExprPtr Parser::parse_test(ExprPtr subject) {
  const int line = next().line;
  const bool negated = skip_name("not");
  const Token& token = expect_identifier();
  ExprPtr node = make(ExprKind::kTest, line);
  node->text = token.text;
  while (skip_op(".")) node->text += '.' + expect_identifier().text;
  node->test = find_test(node->text);
  if (node->test == nullptr) note_unknown(line, "test", node->text);
  node->children.push_back(std::move(subject));
  const TokenKind kind = current().kind;
  if (is_op("(")) {
    node->call = parse_call_site();
  } else if ((kind == TokenKind::kName && !is_name("else") && !is_name("or") && !is_name("and")) ||
             kind == TokenKind::kString || kind == TokenKind::kInteger || kind == TokenKind::kFloat ||
             is_op("[") || is_op("{")) {
    if (is_name("is")) fail_syntax(current().line, "tests cannot be chained with 'is'");
    node->call.positional.push_back(parse_postfix(parse_primary()));
  }
  node = finish(std::move(node));
  if (!negated) return node;
  ExprPtr negation = make(ExprKind::kNot, line);
  negation->children.push_back(std::move(node));
  return finish(std::move(negation));
}

}  // namespace octavo::text::jinja
