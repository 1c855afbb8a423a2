#pragma once
// What the two halves of the parser share: parser.cc reads statements, parser_expressions.cc expressions.
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/error.h"
#include "text/jinja/lexer.h"

namespace octavo::text::jinja {

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}
  Tree parse_template();

 private:
  // Tokens.
  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  const Token& next();
  bool is_op(std::string_view op) const {
    return current().kind == TokenKind::kOperator && current().text == op;
  }
  bool is_name(std::string_view name) const {
    return current().kind == TokenKind::kName && current().text == name;
  }
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  void expect(TokenKind kind, std::string_view what);
  const Token& expect_identifier();
  [[noreturn]] void fail_expected(std::string_view what) const;
  int intern(const std::string& name);

  // Statements (parser.cc).
  Body parse_body(const std::vector<std::string_view>& end_tags, std::string_view opened_by, int opened_line);
  Body parse_block_body(std::string_view tag, const std::vector<std::string_view>& end_tags, int line);
  Stmt parse_statement();
  Stmt parse_for(int line);
  Stmt parse_if(int line);
  Stmt parse_set(int line);
  Stmt parse_macro(int line);
  Stmt parse_call_block(int line);
  Stmt parse_filter_block(int line);
  Stmt parse_with(int line);
  Stmt parse_print(int line);
  Stmt parse_named_block(int line);
  Stmt parse_generation(int line);
  Stmt parse_loop_control(int line, bool is_break);
  void parse_signature(MacroNode* macro);
  void parse_macro_body(MacroNode* macro, std::string_view tag, std::string_view end_tag, int line);
  Target parse_target(bool with_namespace);
  Target parse_single_target(bool with_namespace);
  Target parse_name_target();

  // Expressions (parser_expressions.cc).
  ExprPtr parse_expression(bool with_conditional = true);
  ExprPtr parse_tuple(bool with_conditional, std::string_view end_name, bool parenthesized);
  ExprPtr parse_conditional();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter);
  ExprPtr parse_primary();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr node);
  ExprPtr parse_filters_and_tests(ExprPtr node);
  ExprPtr parse_subscript(ExprPtr node);
  ExprPtr parse_subscript_key(ExprPtr object, int line);
  ExprPtr parse_call(ExprPtr callee);
  ExprPtr parse_filter_chain(ExprPtr input, bool starts_inline);
  ExprPtr parse_test(ExprPtr subject);
  CallSite parse_call_site();
  bool is_tuple_end(std::string_view end_name) const;
  ExprPtr make(ExprKind kind, int line) const;
  ExprPtr make_name(const Token& token);
  void note_unknown(int line, const char* what, const std::string& name);
  ExprPtr finish(ExprPtr node) const;  // sets the depth, refuses too deep a tree
  // A left-associative chain of binary operators.
  template <class Operand, class Operators>
  ExprPtr parse_left_chain(Operand operand, const Operators& operators);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int block_depth_ = 0;
  int expression_depth_ = 0;
  int loop_depth_ = 0;
  // Inside an `if`, an unknown filter or test is an error only when it runs; elsewhere it is one at once.
  bool soft_ = false;
  std::vector<Error> unknown_;
  std::vector<MacroNode*> macros_;  // whose bodies are being read
  std::vector<std::string> names_;
  std::unordered_map<std::string, int> name_ids_;
};

// Restores a member at the end of a scope.
template <class T>
class Restore {
 public:
  Restore(T* variable, T value) : variable_(variable), old_(*variable) { *variable = value; }
  ~Restore() { *variable_ = old_; }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  T* variable_;
  T old_;
};

}  // namespace octavo::text::jinja
