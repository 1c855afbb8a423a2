// Patterns of pre-tokenizers, normalizers and decoders. The translation from Oniguruma's Ruby syntax to
// PCRE2's keeps what both read alike, respells \w \b \u, and refuses the rest; characters newer than PCRE2's
// Unicode are matched through stand-ins (unicode.h). Called by normalizer.cc, pre_tokenizer.cc and
// token_decoder.cc.
#include "text/tokenizer/pattern.h"

#include <algorithm>
#include <array>

#include "base/text_format.h"
#include "text/tokenizer/unicode.h"

namespace octavo::text {
namespace {

// Patterns that take linear time on any text, so that machine code needs no budget: each of their repeats
// either ends an alternative or is followed by what it cannot have consumed, but for \s*[\r\n]+ and
// \s+(?!\S), which give back spaces that the next alternative then takes in one go. GPT-2, Qwen2 to 3,
// Llama 3.
constexpr std::array<std::string_view, 3> kLinearTime = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
};

// Oniguruma's word characters, six numbers of Latin-1 among them. (PCRE2's \w has all of N and no marks.)
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  Result<std::string> run() {
    while (at_ < pattern_.size()) {
      OCTAVO_RETURN_IF_ERROR(in_class_ ? class_element() : element());
    }
    return std::move(out_);
  }

 private:
  bool at(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  Status copy(size_t n) { return replace(n, pattern_.substr(at_, n)); }
  Status replace(size_t n, std::string_view with) {
    out_ += with;
    at_ += n;
    return {};
  }
  Status refuse(std::string_view what) const {
    return unsupported("regular expression " + base::quoted(pattern_) + ", byte " + std::to_string(at_) +
                       ": " + std::string(what) + " is not supported");
  }

  Status element() {
    switch (pattern_[at_]) {
      case '\\':
        return escape();
      case '[':
        in_class_ = true;
        return copy(at("[^]")              ? 3
                    : at("[^") || at("[]") ? 2
                                           : 1);  // ] first in a class is an ordinary character
      case '(':
        return group();
      case '{':
        return interval();
      default:
        return copy(1);
    }
  }

  Status class_element() {
    if (at("[:")) {
      for (const std::string_view known : {"[:digit:]", "[:space:]", "[:xdigit:]"}) {
        if (at(known)) return copy(known.size());
      }
      return refuse("a POSIX class other than digit, space and xdigit");
    }
    if (at("[")) return refuse("a class within a class");
    if (at("&&")) return refuse("an intersection of classes");
    if (at("\\")) return escape();
    in_class_ = !at("]");
    return copy(1);
  }

  Status escape() {
    if (at_ + 1 == pattern_.size()) return refuse("a backslash at the end");
    const char c = pattern_[at_ + 1];
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!is_letter) return copy(2);
    if (c == 'w') return replace(2, in_class_ ? std::string(kWord) : "[" + std::string(kWord) + "]");
    if (c == 'W' && !in_class_) return replace(2, "[^" + std::string(kWord) + "]");
    if ((c == 'b' || c == 'B') && !in_class_) return replace(2, boundary(c == 'b'));
    if (c == 'u') {
      const std::string_view digits = pattern_.substr(at_ + 2, 4);
      const auto is_hex = [](char d) {
        return (d >= '0' && d <= '9') || (d >= 'a' && d <= 'f') || (d >= 'A' && d <= 'F');
      };
      if (digits.size() != 4 || !std::all_of(digits.begin(), digits.end(), is_hex)) {
        return refuse("\\u without four hexadecimal digits");
      }
      return replace(6, "\\x{" + std::string(digits) + "}");
    }
    if ((c == 'p' || c == 'P' || c == 'x') && at_ + 2 < pattern_.size() && pattern_[at_ + 2] == '{') {
      const size_t close = pattern_.find('}', at_);
      if (close == std::string_view::npos) return refuse("{ without }");
      return copy(close + 1 - at_);
    }
    constexpr std::string_view kSame = "dDsSpPrntfaexAzZ";
    if (kSame.find(c) != std::string_view::npos || (c == 'b' && in_class_)) return copy(2);
    return refuse("\\" + std::string(1, c));
  }

  static std::string boundary(bool at_boundary) {
    const std::string word = "[" + std::string(kWord) + "]";
    return at_boundary ? "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))"
                       : "(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))";
  }

  Status group() {
    if (at("(*")) return refuse("(*");
    if (!at("(?")) return copy(1);
    for (const std::string_view known : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"}) {
      if (at(known)) return copy(known.size());
    }
    // Later in a pattern Oniguruma lets it reach over the following alternatives, PCRE2 to the end of the
    // group.
    if (at("(?i)") && at_ == 0) return copy(4);
    return refuse("this kind of group");
  }

  // {n} {n,} {n,m}, not followed by + or ?, which Oniguruma reads as a second repeat.
  Status interval() {
    const size_t close = pattern_.find('}', at_);
    const std::string_view inside =
        close == std::string_view::npos ? std::string_view() : pattern_.substr(at_ + 1, close - at_ - 1);
    const bool is_interval =
        !inside.empty() && inside.find_first_not_of("0123456789,") == std::string_view::npos;
    if (!is_interval) return copy(1);
    if (inside.front() == ',') return refuse("a repeat without a lower bound");
    const char next = close + 1 < pattern_.size() ? pattern_[close + 1] : '\0';
    if (next == '+' || next == '?') return refuse("a possessive or lazy interval");
    return copy(inside.size() + 2);
  }

  std::string_view pattern_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

Result<std::string> translate_regex(std::string_view oniguruma) { return Translator(oniguruma).run(); }

Result<Pattern> Pattern::from_json(const base::Json& pattern) {
  const base::Json* literal = pattern.find("String");
  const base::Json* regex = pattern.find("Regex");
  if (regex && regex->is_string() && !literal) return from_regex(regex->as_string());
  if (!literal || !literal->is_string() || regex) {
    return corrupt(R"(key 'pattern': expected {"String": text} or {"Regex": text}, found )" +
                   base::quoted(pattern.dump()));
  }
  if (literal->as_string().empty()) return unsupported("key 'pattern': the empty string is not supported");
  Pattern result;
  result.source_ = literal->as_string();
  return result;
}

Result<Pattern> Pattern::from_regex(std::string_view oniguruma) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string translated, translate_regex(oniguruma));
  const bool linear = std::find(kLinearTime.begin(), kLinearTime.end(), oniguruma) != kLinearTime.end();
  OCTAVO_ASSIGN_OR_RETURN(auto regex,
                          base::Regex::compile(translated, {.multiline = true, .linear_time = linear}));
  Pattern result;
  result.source_ = oniguruma;
  result.regex_ = std::move(regex);
  return result;
}

Status Pattern::cut(std::string_view text, base::RegexBudget& budget, const Sink& sink) const {
  size_t done = 0;
  const auto match = [&](size_t begin, size_t end) -> Status {
    if (done < begin) OCTAVO_RETURN_IF_ERROR(sink(text.substr(done, begin - done), false));
    done = end;
    return sink(text.substr(begin, end - begin), true);
  };

  if (!regex_) {
    for (size_t at = 0; (at = text.find(source_, at)) != std::string_view::npos; at += source_.size()) {
      OCTAVO_RETURN_IF_ERROR(match(at, at + source_.size()));
    }
  } else if (!text.empty()) {
    std::string storage;
    const std::string_view subject = with_stand_ins(text, storage);
    std::optional<size_t> last_end;
    for (size_t at = 0; at <= subject.size();) {
      OCTAVO_ASSIGN_OR_RETURN(const auto found, regex_->find(subject, at, budget));
      if (!found) break;
      if (found->begin == found->end && last_end == found->end) {
        at += at < subject.size() ? character_at(subject, at).n_bytes : 1;
        continue;
      }
      at = found->end;
      last_end = found->end;
      OCTAVO_RETURN_IF_ERROR(match(found->begin, found->end));
    }
  }
  return done < text.size() ? sink(text.substr(done), false) : Status();
}

Result<std::string> Pattern::replace_all(std::string_view text, std::string_view replacement,
                                         base::RegexBudget& budget) const {
  std::string replaced;
  replaced.reserve(text.size());
  OCTAVO_RETURN_IF_ERROR(cut(text, budget, [&](std::string_view stretch, bool is_match) {
    replaced += is_match ? replacement : stretch;
    if (replaced.size() <= kMaxTextBytes) return Status();
    return resource_exhausted("replacing " + base::quoted(source_) + " by " + base::quoted(replacement) +
                              " makes the text longer than " + base::format_bytes(kMaxTextBytes));
  }));
  return replaced;
}

base::RegexBudget budget_for(std::string_view text) {
  // 4 steps a byte allow, beyond the fixed part, for matches of hundreds of bytes all through a long text.
  return {.steps = base::RegexBudget().steps + 4 * uint64_t{text.size()}};
}

}  // namespace octavo::text
