// Pre-tokenizers: Split, ByteLevel, Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit and Sequences
// of them. A step hands each stretch on to the next step as soon as it has cut it; a text of millions of
// words is never held as a list of words. Called by tokenizer.cc.
#include "text/tokenizer/pre_tokenizer.h"

#include <optional>

#include "base/text_format.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/unicode.h"

namespace octavo::text {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr size_t kMaxSteps = 64;  // run() is as deep as there are steps

}  // namespace

struct PreTokenizer::Call {
  base::RegexBudget& budget;
  const Sink& sink;
};

// Joins stretches that follow each other as a behavior says, and hands them to the next step.
class PreTokenizer::Merger {
 public:
  Merger(const PreTokenizer& owner, size_t step, Piece piece, Behavior behavior, Call& call)
      : owner_(owner), next_step_(step + 1), piece_(piece), behavior_(behavior), call_(call) {}

  Status add(std::string_view stretch, bool is_match) {
    const bool follows_match = std::exchange(after_match_, is_match);
    switch (behavior_) {
      case Behavior::kRemoved:
        return is_match ? Status() : emit(stretch);
      case Behavior::kIsolated:
        return emit(stretch);
      case Behavior::kMergedWithPrevious:
        if (is_match && !follows_match && held_.data()) return extend(stretch);
        break;
      case Behavior::kMergedWithNext:
        if (!is_match && follows_match && held_.data()) return extend(stretch);
        break;
      case Behavior::kContiguous:
        if (is_match == follows_match && held_.data()) return extend(stretch);
        break;
    }
    const std::string_view before = std::exchange(held_, stretch);
    return before.data() ? emit(before) : Status();
  }

  Status finish() { return held_.data() ? emit(held_) : Status(); }

 private:
  Status extend(std::string_view stretch) {
    held_ = {held_.data(), held_.size() + stretch.size()};
    return {};
  }
  Status emit(std::string_view stretch) {
    if (stretch.empty()) return {};
    return owner_.run(next_step_, {stretch, piece_.is_start && stretch.data() == piece_.text.data()}, call_);
  }

  const PreTokenizer& owner_;
  size_t next_step_;
  Piece piece_;
  Behavior behavior_;
  Call& call_;
  std::string_view held_;
  bool after_match_ = false;
};

Result<PreTokenizer> PreTokenizer::from_json(const base::Json* pre_tokenizer) {
  PreTokenizer result;
  if (pre_tokenizer && !pre_tokenizer->is_null()) {
    if (Status status = result.read(*pre_tokenizer); !status.ok())
      return status.with_context("pre_tokenizer");
  }
  return result;
}

Status PreTokenizer::read(const base::Json& object) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string type, base::get_string(object, "type"));
  if (steps_.size() == kMaxSteps) {
    return resource_exhausted("more than " + std::to_string(kMaxSteps) + " steps");
  }
  if (type == "Sequence") {
    const base::Json* list = object.find("pretokenizers");
    if (!list || !list->is_array()) return corrupt("Sequence: key 'pretokenizers': expected an array");
    for (const base::Json& element : list->as_array()) OCTAVO_RETURN_IF_ERROR(read(element));
    return {};
  }
  if (type == "Split") return read_split(object);
  if (type == "ByteLevel") return read_byte_level(object);
  if (type == "Metaspace") return read_metaspace(object);
  if (type == "Digits") {
    OCTAVO_ASSIGN_OR_RETURN(const bool individual, base::get_bool(object, "individual_digits", false));
    steps_.emplace_back(CharacterSplit{is_numeric, individual ? Behavior::kIsolated : Behavior::kContiguous});
  } else if (type == "Punctuation") {
    OCTAVO_ASSIGN_OR_RETURN(const Behavior behavior, read_behavior(object, "Isolated"));
    steps_.emplace_back(CharacterSplit{is_punctuation, behavior});
  } else if (type == "WhitespaceSplit") {
    steps_.emplace_back(CharacterSplit{is_white_space, Behavior::kRemoved});
  } else if (type == "Whitespace") {
    steps_.emplace_back(Words{});
  } else {
    return unsupported(
        "type " + base::quoted(type) +
        " is not supported; known are Split, ByteLevel, Metaspace, Digits, Punctuation, Whitespace, "
        "WhitespaceSplit and Sequence");
  }
  return {};
}

Result<PreTokenizer::Behavior> PreTokenizer::read_behavior(const base::Json& object,
                                                           std::string_view fallback) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string name, fallback.empty()
                                                      ? base::get_string(object, "behavior")
                                                      : base::get_string(object, "behavior", fallback));
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  return unsupported(
      "key 'behavior': expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous, "
      "found " +
      base::quoted(name));
}

Status PreTokenizer::read_split(const base::Json& object) {
  const base::Json* pattern = object.find("pattern");
  if (!pattern) return corrupt("Split: key 'pattern' is missing");
  OCTAVO_ASSIGN_OR_RETURN(Pattern compiled, Pattern::from_json(*pattern));
  OCTAVO_ASSIGN_OR_RETURN(const Behavior behavior, read_behavior(object, ""));
  OCTAVO_ASSIGN_OR_RETURN(const bool invert, base::get_bool(object, "invert", false));
  steps_.emplace_back(Split{std::move(compiled), behavior, invert});
  return {};
}

Status PreTokenizer::read_byte_level(const base::Json& object) {
  for (const Step& step : steps_) {
    if (std::holds_alternative<ByteLevel>(step)) return unsupported("ByteLevel twice is not supported");
  }
  OCTAVO_ASSIGN_OR_RETURN(const bool add_prefix_space, base::get_bool(object, "add_prefix_space", true));
  OCTAVO_ASSIGN_OR_RETURN(const bool use_regex, base::get_bool(object, "use_regex", true));
  ByteLevel byte_level{add_prefix_space, std::nullopt};
  if (use_regex) {
    OCTAVO_ASSIGN_OR_RETURN(Pattern compiled, Pattern::from_regex(kGpt2Pattern));
    byte_level.pattern = std::move(compiled);
  }
  steps_.emplace_back(std::move(byte_level));
  return {};
}

Status PreTokenizer::read_metaspace(const base::Json& object) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string replacement, base::get_string(object, "replacement"));
  if (replacement.empty() || character_at(replacement, 0).n_bytes != replacement.size()) {
    return corrupt("Metaspace: key 'replacement': expected one character, found " +
                   base::quoted(replacement));
  }
  OCTAVO_ASSIGN_OR_RETURN(std::string scheme, base::get_string(object, "prepend_scheme", "always"));
  // The older spelling: false says "never", true nothing.
  OCTAVO_ASSIGN_OR_RETURN(const bool add_prefix_space, base::get_bool(object, "add_prefix_space", true));
  if (!add_prefix_space && scheme != "never") {
    return corrupt("Metaspace: add_prefix_space is false but prepend_scheme is " + base::quoted(scheme));
  }
  OCTAVO_ASSIGN_OR_RETURN(const bool split, base::get_bool(object, "split", true));
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    return unsupported("Metaspace: prepend_scheme: expected always, first or never, found " +
                       base::quoted(scheme));
  }
  steps_.emplace_back(Metaspace{replacement,
                                scheme == "always"  ? Prepend::kAlways
                                : scheme == "first" ? Prepend::kFirst
                                                    : Prepend::kNever,
                                split});
  return {};
}

Status PreTokenizer::run(Piece text, base::RegexBudget& budget, const Sink& sink) const {
  Call call{budget, sink};
  return text.text.empty() ? Status() : run(0, text, call);
}

Status PreTokenizer::run(size_t step, Piece piece, Call& call) const {
  if (step == steps_.size()) return call.sink(piece.text, false);
  return std::visit([&](const auto& kind) { return apply(kind, step, piece, call); }, steps_[step]);
}

Status PreTokenizer::apply(const Split& split, size_t step, Piece piece, Call& call) const {
  Merger merger(*this, step, piece, split.behavior, call);
  OCTAVO_RETURN_IF_ERROR(
      split.pattern.cut(piece.text, call.budget, [&](std::string_view stretch, bool is_match) {
        return merger.add(stretch, is_match != split.invert);
      }));
  return merger.finish();
}

Status PreTokenizer::apply(const ByteLevel& byte_level, size_t step, Piece piece, Call& call) const {
  std::string with_space;
  if (byte_level.add_prefix_space && piece.text.front() != ' ') {
    with_space = " ";
    with_space += piece.text;
    piece.text = with_space;
  }
  const bool is_last = step + 1 == steps_.size();
  const auto emit = [&](std::string_view stretch, bool) -> Status {
    if (stretch.empty()) return {};
    if (is_last) return call.sink(stretch, true);
    std::string mapped;
    for (const char c : stretch) mapped += byte_character(static_cast<unsigned char>(c));
    return run(step + 1, {mapped, piece.is_start && stretch.data() == piece.text.data()}, call);
  };
  return byte_level.pattern ? byte_level.pattern->cut(piece.text, call.budget, emit)
                            : emit(piece.text, false);
}

Status PreTokenizer::apply(const Metaspace& metaspace, size_t step, Piece piece, Call& call) const {
  std::string replaced;
  replaced.reserve(piece.text.size() + metaspace.replacement.size());
  const bool may_prepend =
      metaspace.prepend == Prepend::kAlways || (metaspace.prepend == Prepend::kFirst && piece.is_start);
  if (may_prepend && piece.text.front() != ' ' && !piece.text.starts_with(metaspace.replacement)) {
    replaced = metaspace.replacement;
  }
  for (const char c : piece.text) c == ' ' ? replaced += metaspace.replacement : replaced += c;

  const Piece whole{replaced, piece.is_start};
  if (!metaspace.split) return run(step + 1, whole, call);
  Merger merger(*this, step, whole, Behavior::kMergedWithNext, call);
  const std::string_view text = replaced;
  for (size_t begin = 0; begin < text.size();) {
    const bool is_match = text.substr(begin).starts_with(metaspace.replacement);
    const size_t end = is_match ? begin + metaspace.replacement.size()
                                : std::min(text.find(metaspace.replacement, begin), text.size());
    OCTAVO_RETURN_IF_ERROR(merger.add(text.substr(begin, end - begin), is_match));
    begin = end;
  }
  return merger.finish();
}

Status PreTokenizer::apply(const CharacterSplit& split, size_t step, Piece piece, Call& call) const {
  Merger merger(*this, step, piece, split.behavior, call);
  size_t begin = 0;  // of what matches not
  for (size_t i = 0; i < piece.text.size();) {
    const Character c = character_at(piece.text, i);
    if (split.matches(c.code_point)) {
      if (begin < i) OCTAVO_RETURN_IF_ERROR(merger.add(piece.text.substr(begin, i - begin), false));
      OCTAVO_RETURN_IF_ERROR(merger.add(piece.text.substr(i, c.n_bytes), true));
      begin = i + c.n_bytes;
    }
    i += c.n_bytes;
  }
  if (begin < piece.text.size()) OCTAVO_RETURN_IF_ERROR(merger.add(piece.text.substr(begin), false));
  return merger.finish();
}

Status PreTokenizer::apply(const Words&, size_t step, Piece piece, Call& call) const {
  enum class Kind { kSpace, kWord, kOther };
  const auto kind_at = [&](size_t i) {
    const uint32_t c = character_at(piece.text, i).code_point;
    return is_white_space(c) ? Kind::kSpace : is_word(c) ? Kind::kWord : Kind::kOther;
  };
  for (size_t begin = 0; begin < piece.text.size();) {
    const Kind kind = kind_at(begin);
    size_t end = begin;
    while (end < piece.text.size() && kind_at(end) == kind) end += character_at(piece.text, end).n_bytes;
    if (kind != Kind::kSpace) {
      const Piece word{piece.text.substr(begin, end - begin), piece.is_start && begin == 0};
      OCTAVO_RETURN_IF_ERROR(run(step + 1, word, call));
    }
    begin = end;
  }
  return {};
}

}  // namespace octavo::text
