// Tokens to text, stop texts and the reasons for an end; a token of an output that a stop text has ended is
// dropped. Called by every surface.
#include <algorithm>
#include <chrono>
#include <utility>

#include "api/public_logprobs.h"
#include "api/stream_impl.h"

namespace octavo {

namespace {

double monotonic_seconds(engine::GenerationTimes::Point point) {
  return std::chrono::duration<double>(point.time_since_epoch()).count();
}

}  // namespace

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "none";
}

Stream::Impl::Impl(std::shared_ptr<void> state, std::shared_ptr<engine::Generation> generation,
                   std::vector<int32_t> prompt, std::optional<text::StreamDecoder> decoder,
                   std::optional<int32_t> untold_end, const Request& request)
    : state_(std::move(state)),
      generation_(std::move(generation)),
      prompt_(std::move(prompt)),
      outputs_(static_cast<size_t>(request.sampling.n)),
      n_unfinished_(request.sampling.n),
      stop_(request.sampling.stop),
      untold_end_(untold_end),
      min_tokens_(request.sampling.min_tokens),
      keep_stop_token_(request.sampling.include_stop_str_in_output),
      prompt_only_(request.prompt_only),
      prompt_logprobs_due_(request.sampling.prompt_logprobs.has_value()) {
  for (Output& output : outputs_) output.decoder = decoder;
}

Result<std::optional<Delta>> Stream::Impl::next(const Progress* progress) {
  while (n_unfinished_ > 0) {
    auto step = generation_->step(progress);
    if (!step.ok()) return failed(step.status());
    auto delta = read(*step);
    if (!delta.ok() || delta->has_value()) return delta;
  }
  return std::optional<Delta>();
}

Result<std::optional<Delta>> Stream::Impl::poll() {
  while (n_unfinished_ > 0) {
    auto step = generation_->poll();
    if (!step.ok()) return failed(step.status());
    if (!step->has_value()) break;
    auto delta = read(**step);
    if (!delta.ok() || delta->has_value()) return delta;
  }
  return std::optional<Delta>();
}

StreamStats Stream::Impl::stats() const {
  const engine::GenerationTimes times = generation_->times();
  const auto between = [](auto from, auto to) {
    return std::max(0.0, monotonic_seconds(to) - monotonic_seconds(from));
  };
  StreamStats stats;
  stats.n_prompt_tokens = generation_->n_prompt_tokens();
  stats.n_output_tokens = n_output_tokens_;
  stats.n_cached_tokens = generation_->n_cached_tokens();
  stats.prefill_seconds = between(times.scheduled, times.first_token);
  stats.decode_seconds = between(times.first_token, times.last_token);
  stats.arrived = monotonic_seconds(times.arrived);
  stats.scheduled = monotonic_seconds(times.scheduled);
  stats.first_token = monotonic_seconds(times.first_token);
  stats.last_token = monotonic_seconds(times.last_token);
  return stats;
}

Status Stream::Impl::failed(Status status) {
  n_unfinished_ = 0;
  return status;
}

Result<std::optional<Delta>> Stream::Impl::read(const engine::GenerationStep& step) {
  Output& output = outputs_[static_cast<size_t>(step.output)];
  if (output.finished) return std::optional<Delta>();
  auto delta = take(step, output);
  if (!delta.ok()) return failed(delta.status());
  if (output.finished) --n_unfinished_;
  return std::optional(std::move(*delta));
}

Result<Delta> Stream::Impl::take(const engine::GenerationStep& step, Output& output) {
  Delta delta;
  delta.index = step.output;
  if (std::exchange(prompt_logprobs_due_, false)) {
    for (const auto& logprobs : generation_->take_prompt_logprobs()) {
      delta.prompt_logprobs.push_back(api::public_score(logprobs));
    }
  }
  if (prompt_only_) {
    delta.finish = FinishReason::kLength;
    output.finished = true;
    return delta;
  }
  delta.token_ids.push_back(step.token);
  ++output.n_tokens;
  ++n_output_tokens_;
  if (step.logprobs) delta.logprobs.push_back(api::public_score(*step.logprobs));
  output.finished = step.finish != engine::Finish::kNone;
  if (output.decoder) OCTAVO_RETURN_IF_ERROR(decode(step, output, delta));
  set_finish(step, output, delta);
  return delta;
}

Status Stream::Impl::decode(const engine::GenerationStep& step, Output& output, Delta& delta) const {
  const bool may_stop = output.n_tokens > min_tokens_;
  // A stop token ends the text without being part of it.
  if (step.finish != engine::Finish::kStop || keep_stop_token_) {
    OCTAVO_ASSIGN_OR_RETURN(delta.text, output.decoder->push(step.token, may_stop));
  }
  if (output.finished) {
    OCTAVO_ASSIGN_OR_RETURN(const std::string rest, output.decoder->flush(may_stop));
    delta.text += rest;
  }
  return {};
}

void Stream::Impl::set_finish(const engine::GenerationStep& step, Output& output, Delta& delta) {
  if (output.decoder && output.decoder->stopped_by()) {
    delta.finish = FinishReason::kStop;
    delta.stop_text = stop_[*output.decoder->stopped_by()];
    generation_->cancel(step.output);
  } else if (step.finish == engine::Finish::kStop) {
    delta.finish = FinishReason::kStop;
    if (step.token != untold_end_) delta.stop_token = step.token;
  } else if (step.finish == engine::Finish::kLength) {
    delta.finish = FinishReason::kLength;
  }
  output.finished = delta.finish != FinishReason::kNone;
}

Stream::Stream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;
Result<std::optional<Delta>> Stream::next(const Progress* progress) { return impl_->next(progress); }
Result<std::optional<Delta>> Stream::poll() { return impl_->poll(); }
bool Stream::finished() const { return impl_->finished(); }
void Stream::cancel() { impl_->cancel(); }
int32_t Stream::n_outputs() const { return impl_->n_outputs(); }
const std::vector<int32_t>& Stream::prompt_token_ids() const { return impl_->prompt(); }
StreamStats Stream::stats() const { return impl_->stats(); }

}  // namespace octavo
