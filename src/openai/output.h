#pragma once
// What the engine answered, collected from its streams: the matter of which responses are made.
#include <cstdint>
#include <functional>
#include <vector>

#include "octavo/engine.h"

namespace octavo::openai {

struct Usage {
  int64_t n_prompt_tokens = 0, n_output_tokens = 0;
  int64_t n_cached_tokens = 0;  // of the prompts

  void add(const StreamStats& stats);
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

// Runs every request to its end; the outputs are in the order of the requests.
Result<std::vector<RequestOutput>> generate(Engine& engine, const std::vector<Request>& requests,
                                            const Watch& watch);

}  // namespace octavo::openai
