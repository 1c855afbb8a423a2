// Added tokens with the package's rules: tokens that are not normalized are found in the text as it came, the
// others in the normalized pieces between; lstrip and rstrip take the blanks beside a token, single_word
// wants no word character there. Called by tokenizer.cc.
#include "text/tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/text_format.h"
#include "text/tokenizer/unicode.h"

namespace octavo::text {
namespace {

// A matcher looks at most this far at each position. The longest in use have 60 bytes.
constexpr size_t kMaxFormBytes = 1024;
constexpr size_t kMaxAddedTokens = 1 << 20;

Result<AddedToken> read_token(const base::Json& object) {
  AddedToken token;
  OCTAVO_ASSIGN_OR_RETURN(token.content, base::get_string(object, "content"));
  OCTAVO_ASSIGN_OR_RETURN(token.single_word, base::get_bool(object, "single_word", false));
  OCTAVO_ASSIGN_OR_RETURN(token.lstrip, base::get_bool(object, "lstrip", false));
  OCTAVO_ASSIGN_OR_RETURN(token.rstrip, base::get_bool(object, "rstrip", false));
  OCTAVO_ASSIGN_OR_RETURN(token.normalized, base::get_bool(object, "normalized", true));
  OCTAVO_ASSIGN_OR_RETURN(token.special, base::get_bool(object, "special", false));
  return token;
}

size_t blanks_begin(std::string_view text) {  // of those at its end
  size_t begin = text.size();
  while (begin > 0) {
    const Character c = character_before(text, begin);
    if (!is_white_space(c.code_point)) break;
    begin -= c.n_bytes;
  }
  return begin;
}

size_t blanks_end(std::string_view text) {  // of those at its beginning
  size_t end = 0;
  while (end < text.size()) {
    const Character c = character_at(text, end);
    if (!is_white_space(c.code_point)) break;
    end += c.n_bytes;
  }
  return end;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  return (begin == 0 || !is_word(character_before(text, begin).code_point)) &&
         (end == text.size() || !is_word(character_at(text, end).code_point));
}

}  // namespace

Result<AddedTokens> AddedTokens::from_json(const base::Json* array, const Vocabulary& model,
                                           const Normalizer& normalizer) {
  AddedTokens result;
  if (!array || array->is_null()) return result;
  if (!array->is_array()) {
    return corrupt(std::string("added_tokens: expected an array, found ") + array->type_name());
  }
  if (array->as_array().size() > kMaxAddedTokens) {
    return resource_exhausted("added_tokens: " + std::to_string(array->as_array().size()) +
                              " tokens; at most " + std::to_string(kMaxAddedTokens) + " are accepted");
  }
  auto next_id = static_cast<int32_t>(model.size());
  bool warned = false;
  for (size_t i = 0; i < array->as_array().size(); ++i) {
    const base::Json& object = array->as_array()[i];
    const std::string where = "added_tokens[" + std::to_string(i) + "]";
    auto token = read_token(object);
    if (!token.ok()) return token.status().with_context(where);
    const std::string content = token->content;
    if (content.empty()) continue;
    if (Status status = result.add(std::move(*token), model, normalizer, next_id); !status.ok()) {
      return status.with_context(where);
    }
    const auto stated = base::get_int(object, "id");
    const int32_t given = result.find(content)->id;
    if (stated.ok() && *stated != given && !std::exchange(warned, true)) {
      base::log_warning("tokenizer.json: added token " + base::quoted(content) + " is listed with id " +
                        std::to_string(*stated) + " and gets " + std::to_string(given) +
                        ", as in `tokenizers`");
    }
  }
  OCTAVO_RETURN_IF_ERROR(result.index());
  return result;
}

Status AddedTokens::add(AddedToken token, const Vocabulary& model, const Normalizer& normalizer,
                        int32_t& next_id) {
  if (token.content.size() > kMaxFormBytes) {
    return resource_exhausted("content of " + std::to_string(token.content.size()) + " bytes; at most " +
                              std::to_string(kMaxFormBytes) + " are accepted");
  }
  const auto known = by_content_.find(token.content);
  token.id = known != by_content_.end() ? tokens_[known->second].id : model.find(token.content);
  if (token.id < 0) {
    token.id = next_id++;
    if (model.has(token.id)) {
      return corrupt(base::quoted(token.content) + " would get id " + std::to_string(token.id) + ", which " +
                     base::quoted(model.token(token.id)) + " has; the vocabulary's ids leave holes");
    }
    if (token.id > kMaxTokenId) return resource_exhausted("ids end at " + std::to_string(kMaxTokenId));
  }
  token.form = token.content;
  if (token.normalized) {
    base::RegexBudget budget;
    std::string storage;
    OCTAVO_ASSIGN_OR_RETURN(const Piece piece, normalizer.apply({token.content, true}, budget, storage));
    token.form = piece.text;
    if (token.form.empty() || token.form.size() > kMaxFormBytes) {
      return unsupported(base::quoted(token.content) + " has " + std::to_string(token.form.size()) +
                         " bytes after normalization; 1 to " + std::to_string(kMaxFormBytes) +
                         " are accepted");
    }
  }
  if (known != by_content_.end()) {
    token.special = token.special || tokens_[known->second].special;
    tokens_[known->second] = std::move(token);
    return {};
  }
  by_content_.emplace(token.content, tokens_.size());
  by_id_.emplace(token.id, tokens_.size());
  tokens_.push_back(std::move(token));
  return {};
}

Status AddedTokens::index() {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    AddedToken& token = tokens_[i];
    // A normalized token is skipped only if its normal form is the content of a special one: the package
    // looks it up.
    const AddedToken* same = find(token.form);
    token.skipped = same && same->special;
    (token.normalized ? normalized_ : raw_).add(token.form, i);
  }
  for (Matcher* matcher : {&raw_, &normalized_}) {
    if (const std::string* twice = matcher->sort()) {
      return corrupt("added_tokens: two tokens are " + base::quoted(*twice) + " after normalization");
    }
  }
  return {};
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

void AddedTokens::Matcher::add(const std::string& form, size_t token) {
  forms_.push_back({form, token});
  is_first_byte_[static_cast<unsigned char>(form[0])] = true;
}

const std::string* AddedTokens::Matcher::sort() {
  std::sort(forms_.begin(), forms_.end(), [](const Form& a, const Form& b) { return a.text < b.text; });
  const auto twice = std::adjacent_find(forms_.begin(), forms_.end(),
                                        [](const Form& a, const Form& b) { return a.text == b.text; });
  return twice == forms_.end() ? nullptr : &twice->text;
}

std::optional<AddedTokens::Matcher::Match> AddedTokens::Matcher::find(std::string_view text,
                                                                      size_t offset) const {
  for (size_t begin = offset; begin < text.size(); ++begin) {
    if (!is_first_byte_[static_cast<unsigned char>(text[begin])]) continue;
    // Narrow the sorted forms to those that go on as the text does; the last one passed that ends here is the
    // longest.
    std::optional<Match> longest;
    auto first = forms_.begin(), last = forms_.end();
    for (size_t n = 0; first != last && begin + n < text.size(); ++n) {
      const auto byte = static_cast<unsigned char>(text[begin + n]);
      const auto byte_at = [n](const Form& form) {
        return n < form.text.size() ? static_cast<int>(static_cast<unsigned char>(form.text[n])) : -1;
      };
      first = std::partition_point(first, last, [&](const Form& form) { return byte_at(form) < byte; });
      last = std::partition_point(first, last, [&](const Form& form) { return byte_at(form) == byte; });
      if (first != last && first->text.size() == n + 1) longest = {begin, begin + n + 1, first->token};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

Status AddedTokens::cut(std::string_view text, const Matcher& matcher, SpecialText special,
                        const Part& part) const {
  size_t done = 0;
  if (!matcher.empty()) {
    for (size_t at = 0; const auto match = matcher.find(text, at);) {
      at = match->end;
      const AddedToken& token = tokens_[match->token];
      if (special == SpecialText::kPlain && token.special) continue;
      if (token.single_word && !stands_alone(text, match->begin, match->end)) continue;
      size_t begin = match->begin, end = match->end;
      // Blanks that a token before has taken are gone; those it takes behind itself may hold a token, which
      // counts too.
      if (token.lstrip) begin = std::max(blanks_begin(text.substr(0, begin)), done);
      if (token.rstrip) end += blanks_end(text.substr(end));
      if (done < begin) OCTAVO_RETURN_IF_ERROR(part(text.substr(done, begin - done), nullptr));
      OCTAVO_RETURN_IF_ERROR(part(text.substr(begin, end - begin), &token));
      done = end;
    }
  }
  return done < text.size() ? part(text.substr(done), nullptr) : Status();
}

Status AddedTokens::cut(std::string_view text, const Normalizer& normalizer, SpecialText special,
                        base::RegexBudget& budget, const Sink& sink) const {
  return cut(text, raw_, special, [&](std::string_view part, const AddedToken* token) -> Status {
    if (token) return sink.token(token->id);
    std::string storage;
    const bool is_start = part.data() == text.data();
    OCTAVO_ASSIGN_OR_RETURN(const Piece piece, normalizer.apply({part, is_start}, budget, storage));
    return cut(piece.text, normalized_, special, [&](std::string_view inner, const AddedToken* inner_token) {
      if (inner_token) return sink.token(inner_token->id);
      return sink.piece({inner, piece.is_start && inner.data() == piece.text.data()});
    });
  });
}

}  // namespace octavo::text
