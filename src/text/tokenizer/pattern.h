#pragma once
// A pattern of tokenizer.json, {"String": …} or {"Regex": …}, and how it cuts a text. The package's regular
// expressions are Oniguruma's; here PCRE2 runs them, after a translation that refuses what the two read
// differently.
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "octavo/status.h"

#include "base/json.h"
#include "base/regex.h"

namespace octavo::text {

// The longest text that is encoded at once, also after normalization: larger than any model's context by far.
inline constexpr size_t kMaxTextBytes = size_t{64} << 20;

// PCRE2's spelling of an Oniguruma pattern; what the two engines match differently is refused by name.
Result<std::string> translate_regex(std::string_view oniguruma);

class Pattern {
 public:
  // {"String": text} or {"Regex": pattern}.
  static Result<Pattern> from_json(const base::Json& pattern);
  static Result<Pattern> from_regex(std::string_view oniguruma);

  // Called for each stretch of a text, in order, covering it: a match or what lies between two.
  using Sink = std::function<Status(std::string_view stretch, bool is_match)>;
  // Matches do not overlap; an empty one is skipped directly behind another. An empty text has no stretch.
  Status cut(std::string_view text, base::RegexBudget& budget, const Sink& sink) const;

  // `text` with each match replaced; an error when that grows past kMaxTextBytes.
  Result<std::string> replace_all(std::string_view text, std::string_view replacement,
                                  base::RegexBudget& budget) const;

 private:
  std::string source_;  // searched as it stands when there is no regex
  std::optional<base::Regex> regex_;
};

// What the finds on one text may spend (base/regex.h).
base::RegexBudget budget_for(std::string_view text);

}  // namespace octavo::text
