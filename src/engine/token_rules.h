#pragma once
// What a request allows, favours and forbids, whatever the model thinks. Pure; applied before the penalties.
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "octavo/status.h"

namespace octavo::engine {

struct TokenRules {
  std::vector<int32_t> allowed;                 // empty: every token
  std::vector<std::pair<int32_t, float>> bias;  // added to the token's logit
  std::vector<std::vector<int32_t>> forbidden;  // sequences that the output must not hold; none is empty
  std::vector<int32_t> stop_ids;                // forbidden until the output has
  int64_t min_tokens = 0;                       // this many tokens
};

// Names the field and the entry that is not below n_vocab, or a bias that is not finite.
Status check_rules(const TokenRules& rules, int64_t n_vocab);

// logits[n_vocab] in place; a token that must not come next gets -infinity. output: the tokens so far.
// scratch: memory that calls reuse.
void apply_rules(std::span<float> logits, const TokenRules& rules, std::span<const int32_t> output,
                 std::vector<float>& scratch);

}  // namespace octavo::engine
