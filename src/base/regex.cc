// PCRE2 behind base/regex.h (its only includer): UTF and UCP always on. Called by text/ (pre-tokenizers) and
// format/quant_manifest.
//
// Bounded work: PCRE2 limits the steps of a match but counts neither the characters that a step scans nor the
// starting points it tries. So a search sees a window of the subject and works through it with few steps;
// only when it asks to see past the window's end (partial matching) or for more steps is that one starting
// point tried again with twice as many, and steps x window is taken from the budget. What stays within the
// first limits is linear.
#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/text_format.h"

namespace octavo::base {

namespace {

constexpr size_t kMaxPatternBytes = 64 * 1024;
constexpr size_t kFreeWindowBytes = 256;  // longer than nearly all words
constexpr uint32_t kFreeSteps = 512;      // a word of natural text takes some tens
constexpr uint32_t kHeapLimitKib = 64 * 1024;
constexpr size_t kJitStackStart = 32 * 1024, kJitStackMax = size_t{8} << 20;

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};

// What a match needs beside the pattern; one for each thread, because a split runs find once a word.
struct Workspace {
  std::unique_ptr<pcre2_match_data, Free> data{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, Free> context{pcre2_match_context_create(nullptr)};
  std::unique_ptr<pcre2_jit_stack, Free> stack{pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr)};

  Workspace() {
    OCTAVO_CHECK(data && context);
    pcre2_set_heap_limit(context.get(), kHeapLimitKib);
    if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

std::string message_of(int error) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

PCRE2_SPTR bytes(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data() == nullptr ? "" : text.data());
}

Workspace& workspace() {
  thread_local Workspace of_this_thread;
  return of_this_thread;
}

// Where the bounds of the last match, full or partial, lie.
const PCRE2_SIZE* match_bounds() { return pcre2_get_ovector_pointer(workspace().data.get()); }

std::optional<RegexMatch> last_match() {
  const PCRE2_SIZE* bounds = match_bounds();
  // \K in a lookahead can put the begin behind the end; such a match is empty.
  return RegexMatch{std::min(bounds[0], bounds[1]), bounds[1]};
}

// The end of the character that holds byte offset + n_bytes - 1: a place where `subject` may be cut.
size_t character_end(std::string_view subject, size_t offset, size_t n_bytes) {
  if (n_bytes >= subject.size() - offset) return subject.size();
  size_t end = offset + n_bytes;
  while (end < subject.size() && (static_cast<unsigned char>(subject[end]) & 0xC0) == 0x80) ++end;
  return end;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Free> code;
  std::string pattern;
  bool linear_time = false;

  int run(std::string_view subject, size_t offset, uint32_t options, uint32_t max_steps) const {
    Workspace& w = workspace();
    pcre2_set_match_limit(w.context.get(), max_steps);
    return pcre2_match(code.get(), bytes(subject), subject.size(), offset, options | PCRE2_NO_UTF_CHECK,
                       w.data.get(), w.context.get());
  }

  Status failure(std::string_view subject, int error) const {
    return resource_exhausted("regular expression " + base::quoted(pattern) + " on a text of " +
                              std::to_string(subject.size()) + " bytes: " + message_of(error));
  }

  Result<std::optional<RegexMatch>> match(std::string_view subject, size_t offset) const {
    const int code_or_error = run(subject, offset, 0, UINT32_MAX);
    if (code_or_error == PCRE2_ERROR_NOMATCH) return std::optional<RegexMatch>();
    if (code_or_error < 0) return failure(subject, code_or_error);
    return last_match();
  }

  // Only a match that begins at `offset`, with windows and steps doubled until they suffice or the budget is
  // spent.
  Result<std::optional<RegexMatch>> match_here(std::string_view subject, size_t offset,
                                               RegexBudget& budget) const {
    size_t window = kFreeWindowBytes;
    for (uint32_t steps = kFreeSteps;;) {
      const size_t end = character_end(subject, offset, window);
      const uint32_t partial = end < subject.size() ? PCRE2_PARTIAL_HARD : 0;
      const int code_or_error = run(subject.substr(0, end), offset, PCRE2_ANCHORED | partial, steps);
      if (code_or_error >= 0) return last_match();
      if (code_or_error == PCRE2_ERROR_NOMATCH) return std::optional<RegexMatch>();
      if (code_or_error == PCRE2_ERROR_PARTIAL) {
        window *= 2;
      } else if (code_or_error == PCRE2_ERROR_MATCHLIMIT && steps <= UINT32_MAX / 2) {
        steps *= 2;
      } else {
        return failure(subject, code_or_error);
      }
      const uint64_t cost = steps * uint64_t{std::min(window, subject.size())} / kFreeWindowBytes;
      if (cost > budget.steps) return failure(subject, PCRE2_ERROR_MATCHLIMIT);
      budget.steps -= cost;
    }
  }

  Result<std::optional<RegexMatch>> match_in_windows(std::string_view subject, size_t offset,
                                                     RegexBudget& budget) const {
    for (;;) {
      const size_t end = character_end(subject, offset, kFreeWindowBytes);
      const uint32_t partial = end < subject.size() ? PCRE2_PARTIAL_HARD : 0;
      const int code_or_error = run(subject.substr(0, end), offset, partial, kFreeSteps);
      if (code_or_error >= 0) return last_match();
      if (code_or_error == PCRE2_ERROR_NOMATCH) {
        if (end == subject.size()) return std::optional<RegexMatch>();
        offset = end;
      } else if (code_or_error == PCRE2_ERROR_PARTIAL && match_bounds()[0] > offset) {
        offset = match_bounds()[0];  // nothing before it matches; it gets a window of its own
      } else {
        OCTAVO_ASSIGN_OR_RETURN(const auto here, match_here(subject, offset, budget));
        if (here || offset == subject.size()) return here;
        offset = character_end(subject, offset, 1);
      }
    }
  }
};

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view pattern, const RegexOptions& options) {
  if (pattern.size() > kMaxPatternBytes) {
    return resource_exhausted("regular expression of " + format_bytes(pattern.size()) + "; at most " +
                              format_bytes(kMaxPatternBytes) + " are accepted");
  }
  int error = 0;
  PCRE2_SIZE where = 0;
  auto code = std::make_unique<Code>();
  code->pattern = pattern;
  uint32_t flags = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
  if (options.multiline) flags |= PCRE2_MULTILINE;
  code->code.reset(pcre2_compile(bytes(pattern), pattern.size(), flags, &error, &where, nullptr));
  if (!code->code) {
    return invalid_argument("regular expression " + base::quoted(pattern) + ", byte " +
                            std::to_string(where) + ": " + message_of(error));
  }
  // Where no memory may become executable this fails, and pcre2_match interprets: slower, the same matches.
  if (options.linear_time) pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE);
  code->linear_time = options.linear_time;
  return Regex(std::move(code));
}

Result<std::optional<RegexMatch>> Regex::find(std::string_view subject, size_t offset,
                                              RegexBudget& budget) const {
  OCTAVO_CHECK(offset <= subject.size());
  return code_->linear_time ? code_->match(subject, offset)
                            : code_->match_in_windows(subject, offset, budget);
}

Result<std::optional<RegexMatch>> Regex::find(std::string_view subject, size_t offset) const {
  RegexBudget budget;
  return find(subject, offset, budget);
}

Result<bool> Regex::matches_start(std::string_view subject, RegexBudget& budget) const {
  if (!is_valid_utf8(subject)) return false;
  OCTAVO_ASSIGN_OR_RETURN(const auto match, code_->match_here(subject, 0, budget));
  return match.has_value();
}

Result<bool> Regex::matches_start(std::string_view subject) const {
  RegexBudget budget;
  return matches_start(subject, budget);
}

}  // namespace octavo::base
