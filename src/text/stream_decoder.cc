// Streaming detokenization with stop strings. Called by api/stream.cc for each token of a generation.
#include "text/stream_decoder.h"

#include <algorithm>
#include <utility>

namespace octavo::text {
namespace {

// Bytes at the end of `text` that are a beginning of `stop` and not all of it.
size_t begun_bytes(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.ends_with(stop.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens,
                             std::vector<std::string> stop_strings, bool keep_stop_string)
    : tokenizer_(&tokenizer),
      skip_special_tokens_(skip_special_tokens),
      stop_strings_(std::move(stop_strings)),
      keep_stop_string_(keep_stop_string),
      state_(tokenizer.decoder().start()) {}

Result<StreamDecoder> StreamDecoder::create(const Tokenizer& tokenizer, bool skip_special_tokens,
                                            std::vector<std::string> stop_strings, bool keep_stop_string) {
  for (size_t i = 0; i < stop_strings.size(); ++i) {
    if (stop_strings[i].empty()) {
      return invalid_argument("stop string " + std::to_string(i) +
                              " is empty and would stop before any text");
    }
  }
  return StreamDecoder(tokenizer, skip_special_tokens, std::move(stop_strings), keep_stop_string);
}

Status StreamDecoder::follow(std::span<const int32_t> prompt) {
  std::string text;
  for (const int32_t id : prompt) {
    const auto token = tokenizer_->decoder_input(id, skip_special_tokens_);
    if (token) OCTAVO_RETURN_IF_ERROR(tokenizer_->decoder().push(state_, *token, text));
    text.clear();
  }
  TokenDecoder::State ended = state_;
  return tokenizer_->decoder().finish(ended, prompt_rest_);
}

Result<std::string> StreamDecoder::push(int32_t id, bool may_stop) {
  const auto token = tokenizer_->decoder_input(id, skip_special_tokens_);
  if (stopped_by_ || !token) return std::string();
  OCTAVO_RETURN_IF_ERROR(tokenizer_->decoder().push(state_, *token, held_));
  return release(/*at_end=*/false, may_stop);
}

Result<std::string> StreamDecoder::flush(bool may_stop) {
  if (stopped_by_) return std::string();
  OCTAVO_RETURN_IF_ERROR(tokenizer_->decoder().finish(state_, held_));
  return release(/*at_end=*/true, may_stop);
}

void StreamDecoder::find_stop(size_t& stop_begin, size_t& stop_end) {
  for (size_t i = 0; i < stop_strings_.size(); ++i) {
    const size_t begin = held_.find(stop_strings_[i]);
    if (begin == std::string::npos) continue;
    const size_t end = begin + stop_strings_[i].size();
    if (stopped_by_ && (end > stop_end || (end == stop_end && begin >= stop_begin))) continue;
    stop_begin = begin;
    stop_end = end;
    stopped_by_ = i;
  }
}

std::string StreamDecoder::release(bool at_end, bool may_stop) {
  // Half a character at the prompt's end is completed by the output, and then is its own.
  if (!held_.empty()) {
    if (held_.starts_with(prompt_rest_)) held_.erase(0, prompt_rest_.size());
    prompt_rest_.clear();
  }
  size_t stop_begin = 0, stop_end = 0;
  if (may_stop) find_stop(stop_begin, stop_end);
  if (stopped_by_) {
    held_.resize(keep_stop_string_ ? stop_end : stop_begin);
    return std::exchange(held_, {});
  }
  std::string text = std::exchange(held_, {});
  if (at_end) return text;
  size_t n_begun = 0;
  for (const std::string& stop : stop_strings_) n_begun = std::max(n_begun, begun_bytes(text, stop));
  held_ = text.substr(text.size() - n_begun);
  text.resize(text.size() - n_begun);
  return text;
}

}  // namespace octavo::text
