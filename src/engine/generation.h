#pragma once
// One request on its way through the engine (engine/batch_engine.h): what it asks for, and the tokens of its
// outputs as they come.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "octavo/logits_mask.h"
#include "octavo/progress.h"
#include "octavo/status.h"

#include "engine/logprobs.h"
#include "engine/sampler.h"
#include "engine/token_rules.h"

namespace octavo::engine {

struct GenerationRequest {
  std::vector<int32_t> prompt;        // at least one token
  SamplingConfig sampling;            // of output 0; output i draws with seed + i
  std::optional<int64_t> max_tokens;  // >= 1; default and upper bound: to the context's end
  TokenRules rules;                   // any of rules.stop_ids ends an output and is its last token
  std::optional<int32_t> n_logprobs;  // report the chosen token's log-probability and the n best; -1: all
  std::optional<int32_t> n_prompt_logprobs;  // the same for each token of the prompt but the first
  // Only n_prompt_logprobs is wanted: the prompt may fill the context, and of max_tokens nothing is asked.
  // One token comes all the same, when the prompt has run.
  bool prompt_only = false;
  int32_t n_outputs = 1;
  int32_t priority = 0;                    // smaller runs first; among equals, who came first
  std::shared_ptr<const LogitsMask> mask;  // cloned for each output
  std::function<void()> on_ready;          // called on the engine's thread when step() need not wait
};

enum class Finish { kNone, kStop, kLength };

// Of the model's own distribution, before rules, penalties and temperature.
struct StepLogprobs {
  RankedLogprob chosen;
  std::vector<RankedLogprob> top;
};

struct GenerationStep {
  int32_t token = 0;
  int32_t output = 0;  // which of the request's
  Finish finish = Finish::kNone;
  std::optional<StepLogprobs> logprobs;  // where n_logprobs asks for them
};

// When what happened to a request; the epoch where it has not.
struct GenerationTimes {
  using Point = std::chrono::steady_clock::time_point;
  Point arrived, scheduled, first_token, last_token;
};

// Tokens between the engine's thread and the one that reads them.
class Generation {
 public:
  Generation(int64_t n_prompt, int32_t n_outputs, std::function<void()> on_ready = {});

  // Waits for the next token of any output. Not to be called after every output has finished, or after an
  // error. progress: asked before and while waiting whether to end with kCancelled.
  Result<GenerationStep> step(const Progress* progress = nullptr);
  // The same without waiting; nullopt where nothing is there.
  Result<std::optional<GenerationStep>> poll();
  // No more tokens come, and the pages are given back before the engine's next step.
  void cancel();
  void cancel(int32_t output);

  int64_t n_prompt_tokens() const { return n_prompt_; }
  int64_t n_cached_tokens() const;  // of the prompt, found in the prefix cache
  GenerationTimes times() const;
  // Once the first token is there: of the tokens 1, 2, ... of the prompt, where the request asks for them.
  std::vector<StepLogprobs> take_prompt_logprobs();

 private:
  friend class BatchEngine;
  struct Made {
    int32_t token = 0, output = 0;
    Finish finish = Finish::kNone;
    bool with_logprobs = false;
  };
  // The engine's side.
  void reserve(int64_t n_tokens);
  void start();
  void add_cached(int64_t n_tokens);
  void push(GenerationStep& step);
  void push_prompt_logprobs(StepLogprobs logprobs);
  void fail(const Status& status);
  bool is_cancelled(int32_t output) const;
  bool is_cancelled() const { return all_cancelled_; }  // not just one output after the other
  void tell();
  // With the lock.
  bool is_there() const { return next_ < made_.size() || failure_.has_value(); }
  Result<GenerationStep> take();

  const int64_t n_prompt_;
  const std::function<void()> on_ready_;
  std::atomic<bool> all_cancelled_ = false;
  std::vector<std::atomic<bool>> cancelled_;  // [n_outputs]
  mutable std::mutex mutex_;                  // guards what follows
  std::condition_variable came_;
  std::vector<Made> made_;  // those before next_ were read
  size_t next_ = 0;
  std::deque<StepLogprobs> logprobs_;  // of those of made_ that have some
  std::vector<StepLogprobs> prompt_logprobs_;
  std::optional<Status> failure_;
  int64_t n_cached_ = 0;
  GenerationTimes times_;
};

}  // namespace octavo::engine
