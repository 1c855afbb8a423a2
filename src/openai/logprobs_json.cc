// Log-probabilities to JSON. Called by chat_completion.cc and completion.cc.
#include "openai/logprobs_json.h"

#include <algorithm>
#include <utility>

namespace octavo::openai {

using base::Json;
using base::JsonArray;

namespace {

double finite(float logprob) { return std::max(static_cast<double>(logprob), kLowestLogprob); }

Json chat_token(const TokenLogprob& token, TokenTexts& texts) {
  const std::string& text = texts.text(token.id);
  JsonArray bytes;
  for (const char c : text) bytes.emplace_back(static_cast<int>(static_cast<unsigned char>(c)));
  Json out;
  out.set("token", text);
  out.set("logprob", finite(token.logprob));
  out.set("bytes", std::move(bytes));
  return out;
}

int64_t count_characters(const std::string& utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

const std::string& TokenTexts::text(int32_t id) {
  const auto [place, is_new] = texts_.try_emplace(id);
  if (!is_new) return place->second;
  if (as_ids_) return place->second = "token_id:" + std::to_string(id);
  if (auto text = engine_.detokenize({id}, /*skip_special_tokens=*/false); text.ok())
    place->second = *std::move(text);
  return place->second;
}

Json chat_logprobs_json(const std::vector<TokenScore>& scores, TokenTexts& texts) {
  JsonArray content;
  content.reserve(scores.size());
  for (const TokenScore& score : scores) {
    Json entry = chat_token(score.token, texts);
    JsonArray top;
    for (const TokenLogprob& token : score.top) top.push_back(chat_token(token, texts));
    entry.set("top_logprobs", std::move(top));
    content.push_back(std::move(entry));
  }
  Json out;
  out.set("content", std::move(content));
  out.set("refusal", nullptr);
  return out;
}

void CompletionLogprobs::add_token(int32_t id, TokenTexts& texts) {
  const std::string& text = texts.text(id);
  tokens.emplace_back(text);
  text_offset.emplace_back(offset);
  offset += count_characters(text);
}

void CompletionLogprobs::add_first(int32_t id, TokenTexts& texts) {
  add_token(id, texts);
  token_logprobs.emplace_back(nullptr);
  top_logprobs.emplace_back(nullptr);
}

void CompletionLogprobs::add(const TokenScore& score, TokenTexts& texts) {
  add_token(score.token.id, texts);
  token_logprobs.emplace_back(finite(score.token.logprob));
  // Two tokens may have one text: the likelier keeps the place. The chosen one is always there.
  Json top{base::JsonObject()};
  for (const TokenLogprob& token : score.top) {
    const std::string& text = texts.text(token.id);
    if (top.find(text) == nullptr) top.set(text, finite(token.logprob));
  }
  const std::string& chosen = texts.text(score.token.id);
  if (top.find(chosen) == nullptr) top.set(chosen, finite(score.token.logprob));
  top_logprobs.push_back(std::move(top));
}

Json CompletionLogprobs::to_json() && {
  Json out;
  out.set("text_offset", std::move(text_offset));
  out.set("token_logprobs", std::move(token_logprobs));
  out.set("tokens", std::move(tokens));
  out.set("top_logprobs", std::move(top_logprobs));
  return out;
}

Json prompt_logprobs_json(const RequestOutput& answer, int32_t n, TokenTexts& texts) {
  JsonArray out;
  out.emplace_back(nullptr);  // the first token has no probability
  for (const TokenScore& score : answer.prompt_logprobs) {
    Json entry;
    const auto add = [&](const TokenLogprob& token) {
      Json value;
      value.set("logprob", finite(token.logprob));
      value.set("rank", token.rank);
      value.set("decoded_token", texts.text(token.id));
      entry.set(std::to_string(token.id), std::move(value));
    };
    add(score.token);
    std::for_each_n(score.top.begin(), std::min(score.top.size(), static_cast<size_t>(n)), add);
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace octavo::openai
