// The lexer of Jinja 3.1 (jinja2/lexer.py) by hand: text up to the next {{, {% or {#, then tokens of Python's
// shape up to the closing tag. A closing tag counts only outside brackets, so that {{ {'a': {}} }} reads as
// meant.
#include "text/jinja/lexer.h"

#include <cerrno>
#include <cstdlib>

#include "text/jinja/error.h"
#include "text/jinja/unicode.h"

namespace octavo::text::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  return text;
}

int digit_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {
    if (!source_.empty() && source_.back() == '\n') source_.pop_back();
  }

  std::vector<Token> run() {
    while (pos_ < source_.size()) lex_text();
    emit(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  char at(size_t i) const { return i < source_.size() ? source_[i] : '\0'; }
  bool starts(size_t i, std::string_view what) const { return source_.compare(i, what.size(), what) == 0; }

  void advance_to(size_t end) {
    for (; pos_ < end; ++pos_) line_ += source_[pos_] == '\n' ? 1 : 0;
  }

  void emit(TokenKind kind, std::string text) {
    Token token;
    token.kind = kind;
    token.line = line_;
    token.text = std::move(text);
    tokens_.push_back(std::move(token));
  }

  size_t skip_spaces(size_t i) const {
    while (i < source_.size()) {
      size_t next = i;
      if (!is_space(decode(source_, &next))) break;
      i = next;
    }
    return i;
  }

  // The text before a tag whose sign is `sign` ('-', '+' or anything else), after whitespace control.
  std::string_view strip_text(std::string_view text, char sign, bool is_variable) const {
    if (sign == '-') return strip(text, Strip::kRight);
    if (sign == '+' || is_variable) return text;
    const size_t newline = text.rfind('\n');
    const size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
    if ((line_start > 0 || line_starting_) && strip(text.substr(line_start), Strip::kLeft).empty()) {
      return text.substr(0, line_start);
    }
    return text;
  }

  void emit_data(size_t begin, size_t end, char sign, bool is_variable) {
    const std::string_view text =
        strip_text(std::string_view(source_).substr(begin, end - begin), sign, is_variable);
    if (!text.empty()) emit(TokenKind::kData, std::string(text));
  }

  void finish_match(size_t end) {
    advance_to(end);
    line_starting_ = end > 0 && source_[end - 1] == '\n';
  }

  // Past the end of a block or comment tag that closes at `close` ("%}" or "#}"), the newline after it
  // included.
  size_t after_trimmed_close(size_t close, bool minus, bool plus) const {
    size_t end = close + 2;
    if (minus) return skip_spaces(end);
    if (!plus && at(end) == '\n') ++end;
    return end;
  }

  void lex_text() {
    size_t tag = source_.find('{', pos_);
    while (tag != std::string::npos && at(tag + 1) != '{' && at(tag + 1) != '%' && at(tag + 1) != '#') {
      tag = source_.find('{', tag + 1);
    }
    if (tag == std::string::npos) {
      emit(TokenKind::kData, source_.substr(pos_));
      return finish_match(source_.size());
    }
    const char type = source_[tag + 1];
    const char sign = at(tag + 2);
    const bool has_sign = sign == '-' || sign == '+';
    emit_data(pos_, tag, sign, type == '{');
    advance_to(tag);
    if (type == '%' && lex_raw(tag)) return;
    if (type != '#') emit(type == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, {});
    advance_to(tag + (has_sign ? 3 : 2));
    if (type == '#') {
      lex_comment();
    } else {
      lex_code(type == '%');
    }
  }

  void lex_comment() {
    if (pos_ == source_.size()) return;
    const size_t close = source_.find("#}", pos_);
    if (close == std::string::npos) fail_syntax(line_, "missing end of comment tag, expected '#}'");
    const char sign = close > pos_ ? source_[close - 1] : '\0';
    finish_match(after_trimmed_close(close, sign == '-', sign == '+'));
  }

  // {% raw %} … {% endraw %}, when one stands at `tag`.
  bool lex_raw(size_t tag) {
    size_t i = tag + 2;
    if (at(i) == '-' || at(i) == '+') ++i;
    i = skip_spaces(i);
    if (!starts(i, "raw")) return false;
    i = skip_spaces(i + 3);
    if (starts(i, "-%}")) {
      i = skip_spaces(i + 3);
    } else if (starts(i, "%}")) {
      i += 2;
    } else {
      return false;
    }
    finish_match(i);
    for (size_t end = source_.find("{%", pos_); end != std::string::npos; end = source_.find("{%", end + 1)) {
      size_t j = end + 2;
      const char sign = at(j);
      if (sign == '-' || sign == '+') ++j;
      j = skip_spaces(j);
      if (!starts(j, "endraw")) continue;
      j = skip_spaces(j + 6);
      const bool minus = at(j) == '-', plus = at(j) == '+';
      if (minus || plus) ++j;
      if (!starts(j, "%}")) continue;
      emit_data(pos_, end, sign, false);
      finish_match(after_trimmed_close(j, minus, plus));
      return true;
    }
    fail_syntax(line_, "missing end of raw directive, expected '{% endraw %}'");
  }

  bool lex_close(bool is_block) {
    const std::string_view close = is_block ? "%}" : "}}";
    const bool minus = at(pos_) == '-', plus = is_block && at(pos_) == '+';
    const size_t at_close = pos_ + (minus || plus ? 1 : 0);
    if (!starts(at_close, close)) return false;
    emit(is_block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, {});
    finish_match(is_block ? after_trimmed_close(at_close, minus, plus)
                          : (minus ? skip_spaces(at_close + 2) : at_close + 2));
    return true;
  }

  void lex_code(bool is_block) {
    std::string brackets;
    while (pos_ < source_.size()) {
      if (brackets.empty() && lex_close(is_block)) return;
      const size_t after_spaces = skip_spaces(pos_);
      if (after_spaces > pos_) {
        advance_to(after_spaces);
        continue;
      }
      const char c = source_[pos_];
      if (is_digit(c)) {
        lex_number();
      } else if (c == '\'' || c == '"') {
        lex_string(c);
      } else if (!lex_name()) {
        lex_operator(&brackets);
      }
    }
  }

  // Digits of `base` from `i`, underscores between them allowed; the position after them, `i` when there is
  // none.
  size_t scan_digits(size_t i, int base) const {
    if (digit_value(at(i)) >= base) return i;
    while (digit_value(at(i)) < base || (at(i) == '_' && digit_value(at(i + 1)) < base)) ++i;
    return i;
  }

  void lex_number() {
    const size_t whole_end = scan_digits(pos_, 10);
    size_t end = whole_end;
    bool is_float = false;
    if (pos_ == 0 || source_[pos_ - 1] != '.') {
      if (at(end) == '.' && is_digit(at(end + 1))) {
        end = scan_digits(end + 1, 10);
        is_float = true;
      }
      if (at(end) == 'e' || at(end) == 'E') {
        const size_t digits = end + (at(end + 1) == '+' || at(end + 1) == '-' ? 2 : 1);
        if (is_digit(at(digits))) {
          end = scan_digits(digits, 10);
          is_float = true;
        }
      }
    }
    is_float ? emit_float(end) : lex_integer(whole_end);
  }

  void emit_float(size_t end) {
    std::string digits;
    for (size_t i = pos_; i < end; ++i) {
      if (source_[i] != '_') digits += source_[i];
    }
    emit(TokenKind::kFloat, digits);
    tokens_.back().real = std::strtod(digits.c_str(), nullptr);
    advance_to(end);
  }

  void lex_integer(size_t decimal_end) {
    int base = 10;
    size_t begin = pos_, end = decimal_end;
    if (source_[pos_] == '0') {
      const char marker = at(pos_ + 1);
      const int marked = marker == 'x' || marker == 'X'   ? 16
                         : marker == 'o' || marker == 'O' ? 8
                         : marker == 'b' || marker == 'B' ? 2
                                                          : 10;
      const size_t digits = pos_ + (at(pos_ + 2) == '_' ? 3 : 2);
      if (marked != 10 && scan_digits(digits, marked) > digits) {
        base = marked;
        begin = digits;
        end = scan_digits(digits, marked);
      } else {  // only zeros form a decimal literal that starts with 0
        end = pos_ + 1;
        while (at(end) == '0' || (at(end) == '_' && at(end + 1) == '0')) ++end;
      }
    }
    int64_t integer = 0;
    for (size_t i = begin; i < end; ++i) {
      if (source_[i] == '_') continue;
      if (__builtin_mul_overflow(integer, base, &integer) ||
          __builtin_add_overflow(integer, digit_value(source_[i]), &integer)) {
        fail_syntax(line_, "an integer does not fit 64 bits");
      }
    }
    emit(TokenKind::kInteger, source_.substr(pos_, end - pos_));
    tokens_.back().integer = integer;
    advance_to(end);
  }

  bool lex_name() {
    size_t end = pos_;
    while (end < source_.size()) {
      size_t next = end;
      if (!is_name_part(decode(source_, &next))) break;
      end = next;
    }
    if (end == pos_) return false;
    emit(TokenKind::kName, source_.substr(pos_, end - pos_));
    advance_to(end);
    return true;
  }

  void lex_operator(std::string* brackets) {
    static constexpr std::string_view kDouble[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kSingle = "+-/*%~[](){}><=.:|,;";
    for (const std::string_view op : kDouble) {
      if (starts(pos_, op)) {
        emit(TokenKind::kOperator, std::string(op));
        return advance_to(pos_ + 2);
      }
    }
    const char c = source_[pos_];
    if (kSingle.find(c) == std::string_view::npos) {
      size_t next = pos_;
      decode(source_, &next);
      fail_syntax(line_, "unexpected character " + repr(source_.substr(pos_, next - pos_)));
    }
    if (c == '(') *brackets += ')';
    if (c == '[') *brackets += ']';
    if (c == '{') *brackets += '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets->empty()) fail_syntax(line_, std::string("unexpected '") + c + "'");
      if (brackets->back() != c) {
        fail_syntax(line_, std::string("unexpected '") + c + "', expected '" + brackets->back() + "'");
      }
      brackets->pop_back();
    }
    emit(TokenKind::kOperator, std::string(1, c));
    advance_to(pos_ + 1);
  }

  void lex_string(char quote) {
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_syntax(line_, "a string is not closed");
    emit(TokenKind::kString, unescape(std::string_view(source_).substr(pos_ + 1, end - pos_ - 1)));
    advance_to(end + 1);
  }

  char32_t scan_code(std::string_view text, size_t* i, int base, size_t max_digits, size_t min_digits) const {
    char32_t code = 0;
    size_t n = 0;
    for (; n < max_digits && *i < text.size() && digit_value(text[*i]) < base; ++n, ++*i) {
      code = code * static_cast<char32_t>(base) + static_cast<char32_t>(digit_value(text[*i]));
    }
    if (n < min_digits) fail_syntax(line_, "a string holds a truncated \\x, \\u or \\U escape");
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      fail_syntax(line_, "a string escape names no Unicode character");
    }
    return code;
  }

  // Python's "unicode-escape": unknown escapes stay as they are.
  std::string unescape(std::string_view text) const {
    static constexpr std::string_view kLetters = "abfnrtv\\'\"";
    static constexpr std::string_view kBytes = "\a\b\f\n\r\t\v\\'\"";
    std::string out;
    for (size_t i = 0; i < text.size();) {
      if (text[i] != '\\') {
        out += text[i++];
        continue;
      }
      const char c = text[++i];
      const size_t letter = kLetters.find(c);
      if (letter != std::string_view::npos) {
        out += kBytes[letter];
        ++i;
      } else if (c == '\n') {
        ++i;
      } else if (c >= '0' && c <= '7') {
        append_utf8(&out, scan_code(text, &i, 8, 3, 1));
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t n_digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        append_utf8(&out, scan_code(text, &++i, 16, n_digits, n_digits));
      } else if (c == 'N') {
        fail_syntax(line_, "\\N{…} names in strings are not supported");
      } else if (static_cast<unsigned char>(c) >= 0x80) {
        // Jinja turns the character into an escape first, whose backslash this one then escapes.
        out += '\\' + ascii_escape(decode(text, &i));
      } else {
        out += '\\';
      }
    }
    return out;
  }

  std::string source_;
  size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "template text";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kEnd:
      return "end of template";
    default:
      return "'" + token.text + "'";
  }
}

}  // namespace octavo::text::jinja
