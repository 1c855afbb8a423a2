#pragma once
// A stream's insides: the engine's tokens of one request become text, on the thread that asks for it.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "octavo/engine.h"

#include "engine/generation.h"
#include "text/stream_decoder.h"

namespace octavo {

class Stream::Impl {
 public:
  // state: what must live as long. decoder: none gives no text. untold_end: the token that ends a text
  // without being named as the reason.
  Impl(std::shared_ptr<void> state, std::shared_ptr<engine::Generation> generation,
       std::vector<int32_t> prompt, std::optional<text::StreamDecoder> decoder,
       std::optional<int32_t> untold_end, const Request& request);
  ~Impl() { generation_->cancel(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<std::optional<Delta>> next(const Progress* progress);
  Result<std::optional<Delta>> poll();
  bool finished() const { return n_unfinished_ == 0; }
  void cancel() { generation_->cancel(); }
  const std::vector<int32_t>& prompt() const { return prompt_; }
  int32_t n_outputs() const { return static_cast<int32_t>(outputs_.size()); }
  StreamStats stats() const;

 private:
  struct Output {
    std::optional<text::StreamDecoder> decoder;
    int64_t n_tokens = 0;
    bool finished = false;
  };

  Status failed(Status status);
  // nullopt: of an output that has ended; the engine was ahead of a stop text.
  Result<std::optional<Delta>> read(const engine::GenerationStep& step);
  Result<Delta> take(const engine::GenerationStep& step, Output& output);
  Status decode(const engine::GenerationStep& step, Output& output, Delta& delta) const;
  void set_finish(const engine::GenerationStep& step, Output& output, Delta& delta);

  std::shared_ptr<void> state_;  // keeps model and tokenizer alive
  std::shared_ptr<engine::Generation> generation_;
  std::vector<int32_t> prompt_;
  std::vector<Output> outputs_;
  int32_t n_unfinished_;
  std::vector<std::string> stop_;
  std::optional<int32_t> untold_end_;
  int64_t min_tokens_;
  bool keep_stop_token_, prompt_only_, prompt_logprobs_due_;
  int64_t n_output_tokens_ = 0;
};

}  // namespace octavo
