// The hand-over of tokens. step() is called by api/stream.cc, the engine's side by engine/batch_engine.cc.
#include "engine/generation.h"

#include <algorithm>
#include <utility>

namespace octavo::engine {

namespace {

constexpr auto kPollInterval =
    std::chrono::milliseconds(20);  // of progress->cancelled(): soon enough for people

// Tokens that may wait for their reader without an allocation: a megabyte.
constexpr int64_t kMostReserved = int64_t{1} << 16;

}  // namespace

Generation::Generation(int64_t n_prompt, int32_t n_outputs, std::function<void()> on_ready)
    : n_prompt_(n_prompt), on_ready_(std::move(on_ready)), cancelled_(static_cast<size_t>(n_outputs)) {
  times_.arrived = std::chrono::steady_clock::now();
}

Result<GenerationStep> Generation::step(const Progress* progress) {
  const auto is_stopped = [&] {
    const bool stopped = progress != nullptr && progress->cancelled();
    if (stopped) cancel();
    return stopped;
  };
  if (is_stopped()) return octavo::cancelled("generating was cancelled");
  std::unique_lock lock(mutex_);
  const auto came = [this] { return is_there(); };
  while (!came()) {
    if (progress == nullptr) {
      came_.wait(lock, came);
    } else if (!came_.wait_for(lock, kPollInterval, came)) {
      lock.unlock();  // the answer may take a lock that the one who pushes holds
      if (is_stopped()) return octavo::cancelled("generating was cancelled");
      lock.lock();
    }
  }
  return take();
}

Result<std::optional<GenerationStep>> Generation::poll() {
  const std::lock_guard lock(mutex_);
  if (!is_there()) return std::optional<GenerationStep>();
  OCTAVO_ASSIGN_OR_RETURN(GenerationStep step, take());
  return std::optional(std::move(step));
}

Result<GenerationStep> Generation::take() {
  if (next_ == made_.size()) return *failure_;
  const Made& made = made_[next_++];
  GenerationStep step{made.token, made.output, made.finish, std::nullopt};
  if (made.with_logprobs) {
    step.logprobs = std::move(logprobs_.front());
    logprobs_.pop_front();
  }
  if (next_ == made_.size()) {
    made_.clear();
    next_ = 0;
  }
  return step;
}

void Generation::cancel() { all_cancelled_ = true; }

void Generation::cancel(int32_t output) { cancelled_[static_cast<size_t>(output)] = true; }

bool Generation::is_cancelled(int32_t output) const {
  return all_cancelled_ || cancelled_[static_cast<size_t>(output)];
}

int64_t Generation::n_cached_tokens() const {
  const std::lock_guard lock(mutex_);
  return n_cached_;
}

GenerationTimes Generation::times() const {
  const std::lock_guard lock(mutex_);
  return times_;
}

std::vector<StepLogprobs> Generation::take_prompt_logprobs() {
  const std::lock_guard lock(mutex_);
  return std::exchange(prompt_logprobs_, {});
}

void Generation::reserve(int64_t n_tokens) {
  const std::lock_guard lock(mutex_);
  made_.reserve(static_cast<size_t>(std::min(n_tokens, kMostReserved)));
}

void Generation::add_cached(int64_t n_tokens) {
  const std::lock_guard lock(mutex_);
  n_cached_ += n_tokens;
}

void Generation::start() {
  const std::lock_guard lock(mutex_);
  times_.scheduled = std::chrono::steady_clock::now();
}

void Generation::push(GenerationStep& step) {
  {
    const std::lock_guard lock(mutex_);
    times_.last_token = std::chrono::steady_clock::now();
    if (times_.first_token == GenerationTimes::Point()) times_.first_token = times_.last_token;
    made_.push_back({step.token, step.output, step.finish, step.logprobs.has_value()});
    if (step.logprobs) logprobs_.push_back(std::move(*step.logprobs));
  }
  tell();
}

void Generation::push_prompt_logprobs(StepLogprobs logprobs) {
  const std::lock_guard lock(mutex_);
  prompt_logprobs_.push_back(std::move(logprobs));
}

void Generation::fail(const Status& status) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = status;
  }
  tell();
}

void Generation::tell() {
  came_.notify_one();
  if (on_ready_) on_ready_();
}

}  // namespace octavo::engine
