#pragma once
// The pre-tokenizer of tokenizer.json: cuts a normalized text into the pieces that the model tokenizes one by
// one.
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/pattern.h"

namespace octavo::text {

class PreTokenizer {
 public:
  // The object under the key "pre_tokenizer", or null for none.
  static Result<PreTokenizer> from_json(const base::Json* pre_tokenizer);

  // Called for each piece, none of them empty. `as_bytes`: the piece's bytes stand for their
  // byte_character()s (bpe.h).
  using Sink = std::function<Status(std::string_view piece, bool as_bytes)>;
  Status run(Piece text, base::RegexBudget& budget, const Sink& sink) const;

 private:
  // What happens to the stretches that a cut's pattern matches.
  enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
  enum class Prepend { kFirst, kNever, kAlways };
  struct Split {
    Pattern pattern;
    Behavior behavior;
    bool invert;
  };
  struct ByteLevel {
    bool add_prefix_space;
    std::optional<Pattern> pattern;
  };
  struct Metaspace {
    std::string replacement;
    Prepend prepend;
    bool split;
  };
  // A cut at each character of a class.
  struct CharacterSplit {
    bool (*matches)(uint32_t code_point);
    Behavior behavior;
  };
  struct Words {};  // Whitespace: \w+|[^\w\s]+
  using Step = std::variant<Split, ByteLevel, Metaspace, CharacterSplit, Words>;
  struct Call;  // what all steps of one run share
  class Merger;

  Status read(const base::Json& pre_tokenizer);
  Status read_split(const base::Json& split);
  Status read_byte_level(const base::Json& byte_level);
  Status read_metaspace(const base::Json& metaspace);
  static Result<Behavior> read_behavior(const base::Json& object, std::string_view fallback);
  Status run(size_t step, Piece piece, Call& call) const;
  Status apply(const Split& split, size_t step, Piece piece, Call& call) const;
  Status apply(const ByteLevel& byte_level, size_t step, Piece piece, Call& call) const;
  Status apply(const Metaspace& metaspace, size_t step, Piece piece, Call& call) const;
  Status apply(const CharacterSplit& split, size_t step, Piece piece, Call& call) const;
  Status apply(const Words& words, size_t step, Piece piece, Call& call) const;

  std::vector<Step> steps_;  // sequences flattened
};

}  // namespace octavo::text
