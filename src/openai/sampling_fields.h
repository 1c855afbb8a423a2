#pragma once
// The fields that chat and text completions share: sampling, as OpenAI and vLLM name it, and the fields that
// have no effect or are refused in both.
#include <cstdint>
#include <string>

#include "octavo/engine.h"

#include "openai/field_reader.h"

namespace octavo::openai {

inline constexpr int32_t kMaxChoices = 128;     // n: OpenAI's limit
inline constexpr int32_t kMaxTopLogprobs = 20;  // OpenAI's limit, and vLLM's default

struct SharedFields {
  std::string model;  // empty: the only one
  SamplingParams sampling;
  int32_t priority = 0;  // lower comes first
  bool stream = false;
  bool return_token_ids = false;
  bool tokens_as_ids = false;  // log-probabilities call a token "token_id:123"
  std::optional<bool> add_special_tokens;
};

void read_shared_fields(FieldReader& reader, SharedFields& into);

}  // namespace octavo::openai
