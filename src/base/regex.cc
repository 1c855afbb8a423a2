// PCRE2 behind base/regex.h (its only includer): UTF and UCP always on, just-in-time compiled where the
// system allows, with match, depth and memory limits. Called by text/ (pre-tokenizers) and
// format/quant_manifest.
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
// Backtracking steps of one find. Split patterns of real tokenizers need a few per character of one word.
constexpr uint32_t kMatchLimit = 10'000'000;
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
    pcre2_set_match_limit(context.get(), kMatchLimit);
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

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Free> code;
  std::string pattern;

  Result<std::optional<RegexMatch>> match(std::string_view subject, size_t offset, uint32_t options) const {
    thread_local Workspace workspace;
    const int n = pcre2_match(code.get(), bytes(subject), subject.size(), offset, options,
                              workspace.data.get(), workspace.context.get());
    if (n == PCRE2_ERROR_NOMATCH) return std::optional<RegexMatch>();
    if (n < 0) {
      return resource_exhausted("regular expression " + base::quoted(pattern) + " on a text of " +
                                std::to_string(subject.size()) + " bytes: " + message_of(n));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(workspace.data.get());
    // \K in a lookahead can put the begin behind the end; such a match is empty.
    return std::optional(RegexMatch{std::min(ends[0], ends[1]), ends[1]});
  }
};

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return resource_exhausted("regular expression of " + format_bytes(pattern.size()) + "; at most " +
                              format_bytes(kMaxPatternBytes) + " are accepted");
  }
  int error = 0;
  PCRE2_SIZE where = 0;
  auto code = std::make_unique<Code>();
  code->pattern = pattern;
  code->code.reset(pcre2_compile(bytes(pattern), pattern.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &where, nullptr));
  if (!code->code) {
    return invalid_argument("regular expression " + base::quoted(pattern) + ", byte " +
                            std::to_string(where) + ": " + message_of(error));
  }
  // Where no memory may become executable this fails, and pcre2_match interprets: slower, the same matches.
  pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE);
  return Regex(std::move(code));
}

Result<std::optional<RegexMatch>> Regex::find(std::string_view subject, size_t offset) const {
  OCTAVO_CHECK(offset <= subject.size());
  return code_->match(subject, offset, PCRE2_NO_UTF_CHECK);
}

Result<bool> Regex::matches_start(std::string_view subject) const {
  if (!is_valid_utf8(subject)) return false;
  OCTAVO_ASSIGN_OR_RETURN(const auto match, code_->match(subject, 0, PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED));
  return match.has_value();
}

}  // namespace octavo::base
