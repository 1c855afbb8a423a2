#pragma once
// Regular expressions over UTF-8 with Unicode classes and case, for tokenizers' split patterns and the "re:"
// targets of quantization configs. Time is bounded: a pattern that backtracks without end, or that scans the
// rest of the text at every character, gives an error, not a hang.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "octavo/status.h"

namespace octavo::base {

struct RegexMatch {
  size_t begin = 0, end = 0;  // bytes of the subject
};

struct RegexOptions {
  bool multiline = false;  // ^ and $ also match at '\n'
  // Compile to machine code: 4 times as fast, but no budget bounds its repeats of single characters, so it is
  // only for patterns known to take linear time, never for one that just any file brings.
  bool linear_time = false;
};

// Work that finds may do together on long and on backtracking matches, in steps of about 10 ns each. A find
// whose match is shorter than 256 bytes and takes less than 512 steps spends nothing.
struct RegexBudget {
  uint64_t steps = 20'000'000;
};

class Regex {
 public:
  // Perl syntax with lookaround, \p{…} and inline flags. Errors name the pattern and the place in it.
  static Result<Regex> compile(std::string_view pattern, const RegexOptions& options = {});
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  // The first match at or after `offset`; text before `offset` is seen by lookbehind. `subject` must be valid
  // UTF-8 and `offset` lie on a character: checking each time would make a search for all matches quadratic.
  // Whoever searches for all matches passes one budget to every find; kResourceExhausted once it is spent.
  // Thread-safe.
  Result<std::optional<RegexMatch>> find(std::string_view subject, size_t offset, RegexBudget& budget) const;
  Result<std::optional<RegexMatch>> find(std::string_view subject, size_t offset = 0) const;
  // Whether a match begins exactly where `subject` begins (Python's re.match). Any bytes; invalid UTF-8 does
  // not match.
  Result<bool> matches_start(std::string_view subject, RegexBudget& budget) const;
  Result<bool> matches_start(std::string_view subject) const;

 private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

}  // namespace octavo::base
