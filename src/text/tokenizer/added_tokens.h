#pragma once
// The added tokens of tokenizer.json: strings found in a text before anything else looks at it, special ones
// like
// <|im_start|> among them.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/vocabulary.h"

namespace octavo::text {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  // What is searched for and what a decoder sees: the content, normalized if the token says so.
  std::string form;
  bool single_word = false, lstrip = false, rstrip = false, normalized = true, special = false;
  bool skipped = false;  // by decoding without special tokens
};

// Whether special tokens written in a text are found there. Text of unknown origin should not be able to
// write them.
enum class SpecialText { kParsed, kPlain };

class AddedTokens {
 public:
  // The array under the key "added_tokens", or null. Like the package it gives a token the model's id for its
  // content, else the next free one, and not the id in the file; when the two differ there is a warning.
  static Result<AddedTokens> from_json(const base::Json* array, const Vocabulary& model,
                                       const Normalizer& normalizer);

  const AddedToken* find(std::string_view content) const;
  const AddedToken* find(int32_t id) const;
  const std::vector<AddedToken>& all() const { return tokens_; }

  // Cuts a text into added tokens (their ids) and normalized pieces between them, none of them empty.
  struct Sink {
    std::function<Status(int32_t id)> token;
    std::function<Status(Piece piece)> piece;
  };
  Status cut(std::string_view text, const Normalizer& normalizer, SpecialText special,
             base::RegexBudget& budget, const Sink& sink) const;

 private:
  // Strings to search for at once: the leftmost match, of several there the longest.
  class Matcher {
   public:
    void add(const std::string& form, size_t token);
    const std::string* sort();  // once all are added; a form that was added twice, or null
    bool empty() const { return forms_.empty(); }
    struct Match {
      size_t begin, end, token;
    };
    std::optional<Match> find(std::string_view text, size_t offset) const;

   private:
    struct Form {
      std::string text;
      size_t token;
    };
    std::vector<Form> forms_;  // ascending
    std::vector<bool> is_first_byte_ = std::vector<bool>(256);
  };
  using Part = std::function<Status(std::string_view part, const AddedToken* token)>;

  Status add(AddedToken token, const Vocabulary& model, const Normalizer& normalizer, int32_t& next_id);
  Status index();
  Status cut(std::string_view text, const Matcher& matcher, SpecialText special, const Part& part) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, size_t> by_content_;
  std::unordered_map<int32_t, size_t> by_id_;
  Matcher raw_, normalized_;  // for the text as it came, and for its normalized pieces
};

}  // namespace octavo::text
