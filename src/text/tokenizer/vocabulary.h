#pragma once
// Token strings and their ids, both ways.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::text {

// Ids index tables, so a file may not make them arbitrarily large. The largest vocabularies in use have
// 262,144.
inline constexpr int32_t kMaxTokenId = (1 << 22) - 1;

class Vocabulary {
 public:
  // {"token": id, …}. Ids may leave holes; one id for two tokens is an error.
  static Result<Vocabulary> from_json(const base::Json& object);
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  size_t size() const { return n_tokens_; }
  int32_t id_limit() const { return static_cast<int32_t>(tokens_.size()); }  // largest id + 1
  size_t max_token_bytes() const { return max_token_bytes_; }

  int32_t find(std::string_view token) const;  // -1 when there is none
  bool has(int32_t id) const { return id >= 0 && id < id_limit() && tokens_[static_cast<size_t>(id)].data(); }
  std::string_view token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }  // has(id)

 private:
  Vocabulary() = default;
  void insert(int32_t id);

  std::vector<char> bytes_;               // every token's, never moved once filled
  std::vector<std::string_view> tokens_;  // by id; a hole has no data
  std::vector<int32_t> slots_;            // open hash table of ids, a power of two; -1 is free
  size_t n_tokens_ = 0, max_token_bytes_ = 0;
};

}  // namespace octavo::text
