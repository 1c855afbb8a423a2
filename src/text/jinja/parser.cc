// Statements of the template language: jinja2/parser.py as transformers configures it, with the tags of its
// `loopcontrols` and `generation` extensions. Tags that load other templates (include, import, extends) are
// refused: there are none.
#include "text/jinja/parser.h"

#include <algorithm>

#include "text/jinja/error.h"
#include "text/jinja/parser_state.h"

namespace octavo::text::jinja {

Tree parse(std::string_view source) { return Parser(source).parse_template(); }

Tree Parser::parse_template() {
  Tree tree;
  tree.known = {intern("loop"), intern("caller"), intern("kwargs"), intern("varargs")};
  tree.body = parse_body({}, {}, 1);
  if (!unknown_.empty()) throw unknown_.front();
  tree.names = std::move(names_);
  return tree;
}

const Token& Parser::next() {
  const Token& token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::skip_op(std::string_view op) {
  if (!is_op(op)) return false;
  next();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!is_name(name)) return false;
  next();
  return true;
}

void Parser::fail_expected(std::string_view what) const {
  fail_syntax(current().line, "expected " + std::string(what) + ", found " + describe(current()));
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) fail_expected("'" + std::string(op) + "'");
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_expected("'" + std::string(name) + "'");
}

void Parser::expect(TokenKind kind, std::string_view what) {
  if (current().kind != kind) fail_expected(what);
  next();
}

const Token& Parser::expect_identifier() {
  if (current().kind != TokenKind::kName) fail_expected("a name");
  return next();
}

int Parser::intern(const std::string& name) {
  const auto [entry, is_new] = name_ids_.try_emplace(name, static_cast<int>(names_.size()));
  if (is_new) names_.push_back(name);
  return entry->second;
}

// Statements up to (not including) the first of `end_tags`, whose name is then the current token; at top
// level
// (`end_tags` empty) up to the end of the template.
Body Parser::parse_body(const std::vector<std::string_view>& end_tags, std::string_view opened_by,
                        int opened_line) {
  if (block_depth_ >= kMaxBlockDepth) {
    fail_syntax(current().line, "blocks nest deeper than " + std::to_string(kMaxBlockDepth));
  }
  const Restore<int> deeper(&block_depth_, block_depth_ + 1);
  Body body;
  while (true) {
    const Token& token = current();
    if (token.kind == TokenKind::kEnd) {
      if (end_tags.empty()) return body;
      fail_syntax(token.line, "the template ends inside '" + std::string(opened_by) + "' of line " +
                                  std::to_string(opened_line) + ", expected '" +
                                  std::string(end_tags.back()) + "'");
    }
    if (token.kind == TokenKind::kData) {
      body.push_back({token.line, TextNode{token.text}});
      next();
    } else if (token.kind == TokenKind::kVariableBegin) {
      next();
      Stmt print{token.line, PrintNode{}};
      std::get<PrintNode>(print.node).values.push_back(parse_tuple(true, {}, false));
      expect(TokenKind::kVariableEnd, "'}}'");
      body.push_back(std::move(print));
    } else {
      expect(TokenKind::kBlockBegin, "a tag");
      for (const std::string_view tag : end_tags) {
        if (is_name(tag)) return body;
      }
      body.push_back(parse_statement());
      expect(TokenKind::kBlockEnd, "'%}'");
    }
  }
}

// The rest of an opening tag ("%}", or ":%}"), then its body.
Body Parser::parse_block_body(std::string_view tag, const std::vector<std::string_view>& end_tags, int line) {
  skip_op(":");
  expect(TokenKind::kBlockEnd, "'%}'");
  return parse_body(end_tags, tag, line);
}

Stmt Parser::parse_statement() {
  const Token& tag = current();
  if (tag.kind != TokenKind::kName) fail_expected("a tag name");
  using Method = Stmt (Parser::*)(int line);
  static constexpr std::pair<std::string_view, Method> kTags[] = {
      {"for", &Parser::parse_for},           {"if", &Parser::parse_if},
      {"set", &Parser::parse_set},           {"macro", &Parser::parse_macro},
      {"call", &Parser::parse_call_block},   {"filter", &Parser::parse_filter_block},
      {"with", &Parser::parse_with},         {"print", &Parser::parse_print},
      {"block", &Parser::parse_named_block}, {"generation", &Parser::parse_generation},
  };
  const int line = tag.line;
  for (const auto& [name, method] : kTags) {
    if (tag.text == name) {
      next();
      return (this->*method)(line);
    }
  }
  if (tag.text == "break" || tag.text == "continue") {
    next();
    return parse_loop_control(line, tag.text == "break");
  }
  static constexpr std::string_view kRefused[] = {"include", "import", "from", "extends", "autoescape"};
  if (std::find(std::begin(kRefused), std::end(kRefused), tag.text) != std::end(kRefused)) {
    throw Error{StatusCode::kUnsupported, line,
                "the tag '" + tag.text + "' is not supported in chat templates"};
  }
  fail_syntax(line, "unknown tag '" + tag.text + "'");
}

Stmt Parser::parse_for(int line) {
  ForNode loop;
  {
    const Restore<int> inside(&loop_depth_, loop_depth_ + 1);  // where `loop` is no name to assign to
    loop.target = parse_target(false);
  }
  expect_name("in");
  loop.iterable = parse_tuple(false, "recursive", false);
  {
    const Restore<bool> strict(&soft_, false);
    if (skip_name("if")) loop.condition = parse_expression();
    loop.recursive = skip_name("recursive");
    const Restore<int> deeper(&loop_depth_, loop_depth_ + 1);
    loop.body = parse_block_body("for", {"else", "endfor"}, line);
  }
  if (skip_name("else")) {
    const Restore<bool> strict(&soft_, false);
    loop.otherwise = parse_block_body("for", {"endfor"}, line);
  }
  expect_name("endfor");
  return {line, std::move(loop)};
}

Stmt Parser::parse_if(int line) {
  const Restore<bool> soft(&soft_, true);
  IfNode node;
  do {
    ExprPtr condition = parse_tuple(false, {}, false);
    Body body = parse_block_body("if", {"elif", "else", "endif"}, line);
    node.branches.emplace_back(std::move(condition), std::move(body));
  } while (skip_name("elif"));
  if (skip_name("else")) node.otherwise = parse_block_body("if", {"endif"}, line);
  expect_name("endif");
  return {line, std::move(node)};
}

Stmt Parser::parse_set(int line) {
  Target target = parse_target(true);
  if (skip_op("=")) return {line, SetNode{std::move(target), parse_tuple(true, {}, false)}};
  const Restore<bool> strict(&soft_, false);
  SetBlockNode node;
  node.target = std::move(target);
  node.filter = parse_filter_chain(nullptr, false);
  node.body = parse_block_body("set", {"endset"}, line);
  expect_name("endset");
  return {line, std::move(node)};
}

void Parser::parse_signature(MacroNode* macro) {
  expect_op("(");
  while (!is_op(")")) {
    if (!macro->parameters.empty()) expect_op(",");
    Parameter parameter;
    const int line = current().line;
    const Target target = parse_name_target();
    parameter.name_id = target.name_id;
    parameter.name = names_[static_cast<size_t>(target.name_id)];
    for (const Parameter& other : macro->parameters) {
      if (other.name == parameter.name) fail_syntax(line, "duplicate parameter '" + parameter.name + "'");
    }
    if (skip_op("=")) {
      parameter.default_value = parse_expression();
    } else if (!macro->parameters.empty() && macro->parameters.back().default_value != nullptr) {
      fail_syntax(line, "parameter '" + parameter.name + "' without a default follows one with a default");
    }
    macro->has_caller_parameter |= parameter.name == "caller";
    macro->parameters.push_back(std::move(parameter));
  }
  expect_op(")");
}

void Parser::parse_macro_body(MacroNode* macro, std::string_view tag, std::string_view end_tag, int line) {
  const Restore<bool> strict(&soft_, false);
  const Restore<int> outside_loop(&loop_depth_, 0);
  macros_.push_back(macro);
  macro->body = parse_block_body(tag, {end_tag}, line);
  macros_.pop_back();
  expect_name(end_tag);
  if (macro->uses_caller && macro->has_caller_parameter) {
    for (const Parameter& parameter : macro->parameters) {
      if (parameter.name == "caller" && parameter.default_value == nullptr) {
        fail_syntax(line, "the macro parameter 'caller' must have a default");
      }
    }
  }
}

Stmt Parser::parse_macro(int line) {
  auto macro = std::make_unique<MacroNode>();
  macro->name_id = parse_name_target().name_id;
  macro->name = names_[static_cast<size_t>(macro->name_id)];
  {
    const Restore<bool> strict(&soft_, false);
    parse_signature(macro.get());
  }
  parse_macro_body(macro.get(), "macro", "endmacro", line);
  return {line, std::move(macro)};
}

Stmt Parser::parse_call_block(int line) {
  CallBlockNode node;
  node.caller = std::make_unique<MacroNode>();
  if (is_op("(")) parse_signature(node.caller.get());
  node.call = parse_expression();
  if (node.call->kind != ExprKind::kCall) fail_syntax(line, "a call block must call something");
  parse_macro_body(node.caller.get(), "call", "endcall", line);
  return {line, std::move(node)};
}

Stmt Parser::parse_filter_block(int line) {
  const Restore<bool> strict(&soft_, false);
  FilterBlockNode node;
  node.filter = parse_filter_chain(nullptr, true);
  node.body = parse_block_body("filter", {"endfilter"}, line);
  expect_name("endfilter");
  return {line, std::move(node)};
}

Stmt Parser::parse_with(int line) {
  WithNode node;
  while (current().kind != TokenKind::kBlockEnd) {
    if (!node.variables.empty()) expect_op(",");
    Target target = parse_target(false);
    expect_op("=");
    ExprPtr value = parse_expression();
    node.variables.emplace_back(std::move(target), std::move(value));
  }
  const Restore<bool> strict(&soft_, false);
  node.body = parse_block_body("with", {"endwith"}, line);
  expect_name("endwith");
  return {line, std::move(node)};
}

Stmt Parser::parse_print(int line) {
  PrintNode node;
  while (current().kind != TokenKind::kBlockEnd) {
    if (!node.values.empty()) expect_op(",");
    node.values.push_back(parse_expression());
  }
  return {line, std::move(node)};
}

Stmt Parser::parse_named_block(int line) {
  const Restore<bool> strict(&soft_, false);
  const Restore<int> outside_loop(&loop_depth_, 0);
  const std::string name = expect_identifier().text;
  skip_name("scoped");
  skip_name("required");
  ScopeNode node;
  node.body = parse_block_body("block", {"endblock"}, line);
  expect_name("endblock");
  skip_name(name);
  return {line, std::move(node)};
}

Stmt Parser::parse_generation(int line) {
  const Restore<bool> strict(&soft_, false);
  const Restore<int> outside_loop(&loop_depth_, 0);
  ScopeNode node;
  node.body = parse_block_body("generation", {"endgeneration"}, line);
  expect_name("endgeneration");
  return {line, std::move(node)};
}

Stmt Parser::parse_loop_control(int line, bool is_break) {
  if (loop_depth_ == 0) fail_syntax(line, is_break ? "'break' outside a loop" : "'continue' outside a loop");
  if (is_break) return {line, BreakNode{}};
  return {line, ContinueNode{}};
}

Target Parser::parse_name_target() {
  Target target;
  target.line = current().line;
  if (loop_depth_ > 0 && is_name("loop"))
    fail_syntax(target.line, "cannot assign to the special variable 'loop'");
  target.name_id = intern(expect_identifier().text);
  return target;
}

Target Parser::parse_single_target(bool with_namespace) {
  static constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None"};
  if (skip_op("(")) {
    if (expression_depth_ >= kMaxExpressionDepth) fail_syntax(current().line, "too many nested parentheses");
    const Restore<int> deeper(&expression_depth_, expression_depth_ + 1);
    Target target = parse_target(with_namespace);
    expect_op(")");
    return target;
  }
  if (current().kind != TokenKind::kName ||
      std::find(std::begin(kReserved), std::end(kReserved), current().text) != std::end(kReserved)) {
    fail_syntax(current().line, "cannot assign to " + describe(current()));
  }
  Target target = parse_name_target();
  if (with_namespace && skip_op(".")) target.attribute = expect_identifier().text;
  return target;
}

// One target, or several with commas between them.
Target Parser::parse_target(bool with_namespace) {
  Target first = parse_single_target(with_namespace);
  if (!is_op(",")) return first;
  Target tuple;
  tuple.line = first.line;
  tuple.is_tuple = true;
  tuple.items.push_back(std::move(first));
  while (skip_op(",")) {
    if (is_name("in") || is_op("=") || is_op(")") || current().kind == TokenKind::kBlockEnd) break;
    tuple.items.push_back(parse_single_target(with_namespace));
  }
  return tuple;
}

}  // namespace octavo::text::jinja
