// Token strings and ids: one block of bytes, a view for each id and an open hash table of ids, so that an 11
// MB tokenizer.json loads without an allocation for each of its 150,000 tokens. Used by bpe.cc and
// tokenizer.cc.
#include "text/tokenizer/vocabulary.h"

#include <bit>
#include <cstring>
#include <functional>

#include "base/text_format.h"

namespace octavo::text {

Result<Vocabulary> Vocabulary::from_json(const base::Json& object) {
  if (!object.is_object()) {
    return corrupt(std::string("key 'vocab': expected an object, found ") + object.type_name());
  }
  Vocabulary vocabulary;
  size_t n_bytes = 0;
  int64_t max_id = -1;
  for (const auto& [token, id] : object.as_object()) {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() > kMaxTokenId) {
      return corrupt("vocab: token " + base::quoted(token) + ": expected an id from 0 to " +
                     std::to_string(kMaxTokenId) + ", found " + base::quoted(id.dump()));
    }
    max_id = std::max(max_id, id.as_int());
    n_bytes += token.size() + 1;
  }
  vocabulary.bytes_.resize(n_bytes);
  vocabulary.tokens_.resize(static_cast<size_t>(max_id + 1));
  vocabulary.n_tokens_ = object.as_object().size();
  vocabulary.slots_.assign(std::bit_ceil(vocabulary.n_tokens_ * 2 + 1), -1);

  char* to = vocabulary.bytes_.data();
  for (const auto& [token, json_id] : object.as_object()) {
    const auto id = static_cast<int32_t>(json_id.as_int());
    if (vocabulary.has(id)) {
      return corrupt("vocab: id " + std::to_string(id) + " is given to both " +
                     base::quoted(vocabulary.token(id)) + " and " + base::quoted(token));
    }
    std::memcpy(to, token.data(), token.size());
    vocabulary.tokens_[static_cast<size_t>(id)] = {to, token.size()};
    to += token.size() + 1;  // also an empty token has an address, which tells it from a hole
    vocabulary.max_token_bytes_ = std::max(vocabulary.max_token_bytes_, token.size());
    vocabulary.insert(id);
  }
  return vocabulary;
}

void Vocabulary::insert(int32_t id) {
  size_t slot = std::hash<std::string_view>()(token(id)) & (slots_.size() - 1);
  while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = id;
}

int32_t Vocabulary::find(std::string_view wanted) const {
  for (size_t slot = std::hash<std::string_view>()(wanted);; ++slot) {
    const int32_t id = slots_[slot & (slots_.size() - 1)];
    if (id < 0 || token(id) == wanted) return id;
  }
}

}  // namespace octavo::text
