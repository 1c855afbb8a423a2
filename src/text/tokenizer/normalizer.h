#pragma once
// The normalizer of tokenizer.json: what happens to a text before it is cut into pieces.
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "text/tokenizer/pattern.h"
#include "text/tokenizer/unicode.h"

namespace octavo::text {

// A stretch of the text to encode, and whether its first character is the text's first. (Metaspace asks.)
struct Piece {
  std::string_view text;
  bool is_start = false;
};

class Normalizer {
 public:
  // The object under the key "normalizer", or null for none.
  static Result<Normalizer> from_json(const base::Json* normalizer);

  // The normalized piece: a view of the piece's text if nothing changes, else of `storage`.
  Result<Piece> apply(Piece piece, base::RegexBudget& budget, std::string& storage) const;

 private:
  struct Prepend {
    std::string text;
  };
  struct Replace {
    Pattern pattern;
    std::string content;
  };
  struct Strip {
    bool left, right;
  };
  struct Lowercase {};
  struct Nmt {};
  struct ByteLevel {};
  using Step = std::variant<NormalForm, Prepend, Replace, Strip, Lowercase, Nmt, ByteLevel>;

  Status read(const base::Json& normalizer);
  static Result<std::string_view> apply(const Step& step, Piece& piece, base::RegexBudget& budget,
                                        std::string& storage);

  std::vector<Step> steps_;  // sequences flattened
};

}  // namespace octavo::text
