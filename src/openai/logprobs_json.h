#pragma once
// Log-probabilities in OpenAI's two forms and vLLM's form for prompts.
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "octavo/engine.h"

#include "base/json.h"
#include "openai/output.h"

namespace octavo::openai {

// How tokens are written in a response: their text (bytes that are no character as U+FFFD), or
// "token_id:123".
class TokenTexts {
 public:
  TokenTexts(const Engine& engine, bool as_ids) : engine_(engine), as_ids_(as_ids) {}
  const std::string& text(int32_t id);

 private:
  const Engine& engine_;
  const bool as_ids_;
  std::unordered_map<int32_t, std::string> texts_;
};

// {"content": [{"token", "logprob", "bytes", "top_logprobs": […]}, …], "refusal": null}
base::Json chat_logprobs_json(const std::vector<TokenScore>& scores, TokenTexts& texts);

// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}: a position a token. Offsets count characters.
struct CompletionLogprobs {
  base::JsonArray tokens, token_logprobs, top_logprobs, text_offset;
  int64_t offset = 0;

  void add(const TokenScore& score, TokenTexts& texts);
  // The first token of a text has no probability.
  void add_first(int32_t id, TokenTexts& texts);
  base::Json to_json() &&;

 private:
  void add_token(int32_t id, TokenTexts& texts);
};

// [null, {"123": {"logprob", "rank", "decoded_token"}, …}, …]: a position a prompt token, with the token
// itself and the n likeliest.
base::Json prompt_logprobs_json(const RequestOutput& answer, int32_t n, TokenTexts& texts);

// JSON has no infinity: what cannot come is given as this, like vLLM does.
inline constexpr double kLowestLogprob = -9999;

}  // namespace octavo::openai
