#pragma once
// What the engine answered, collected from its streams: the matter of which responses are made.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "octavo/engine.h"

namespace octavo::openai {

// One choice.
struct Output {
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<TokenScore> logprobs;  // of each of token_ids, where asked for
  FinishReason finish = FinishReason::kNone;
  std::optional<std::string> stop_text;
  std::optional<int32_t> stop_token;

  void add(Delta delta);
};

struct Usage {
  int64_t n_prompt_tokens = 0, n_output_tokens = 0;
  int64_t n_cached_tokens = 0;  // of the prompts

  void add(const StreamStats& stats);
};

struct Answer {  // to one prompt
  std::vector<Output> outputs;
  std::vector<int32_t> prompt_token_ids;
  std::vector<TokenScore> prompt_logprobs;  // of the tokens 1, 2, … of the prompt, where asked for
  StreamStats stats;
};

// Prompts of one call that run at once: enough to fill steps, few enough that a long list does not fill the
// engine's queue.
inline constexpr size_t kMaxUnderWay = 32;

// How a caller follows requests under way, on the thread that pulls them.
struct Watch {
  const Progress* progress = nullptr;          // asked whether to end with kCancelled
  std::function<void(const Delta&)> on_delta;  // may be empty
};

// A limit that a request itself breaks (a prompt or a template too long) is the request's fault; that a
// machine's memory or the engine's queue is full is not, and stays kResourceExhausted.
Status as_refusal(const Status& status);

// Runs every request to its end; an Answer a request, in order.
Result<std::vector<Answer>> generate(Engine& engine, const std::vector<Request>& requests,
                                     const Watch& watch);

}  // namespace octavo::openai
