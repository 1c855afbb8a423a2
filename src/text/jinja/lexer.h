#pragma once
// Template source to tokens, with Jinja's whitespace control as transformers sets it: trim_blocks (the
// newline after a block tag goes), lstrip_blocks (blanks before a block tag that stands first on its line
// go), one newline at the very end goes.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace octavo::text::jinja {

enum class TokenKind {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;  // data, name, decoded string, or the operator itself
  int64_t integer = 0;
  double real = 0;
};

// Ends with a kEnd token. Throws Error.
std::vector<Token> tokenize(std::string_view source);

// A token as an error message shows it.
std::string describe(const Token& token);

}  // namespace octavo::text::jinja
