// A call's requests side by side. Called by chat_completion.cc and completion.cc.
#include "openai/output.h"

#include <deque>
#include <utility>

namespace octavo::openai {

void Usage::add(const StreamStats& stats) {
  n_prompt_tokens += stats.n_prompt_tokens;  // read once for all outputs
  n_output_tokens += stats.n_output_tokens;
  n_cached_tokens += stats.n_cached_tokens;
}

Status as_refusal(const Status& status) {
  return status.code() == StatusCode::kResourceExhausted ? invalid_argument(status.message()) : status;
}

Result<std::vector<RequestOutput>> generate(Engine& engine, const std::vector<Request>& requests,
                                            const Watch& watch) {
  std::vector<RequestOutput> outputs;
  std::deque<Stream> under_way;
  size_t n_submitted = 0;
  while (outputs.size() < requests.size()) {
    for (; n_submitted < requests.size() && under_way.size() < kMaxUnderWay; ++n_submitted) {
      const Request& request = requests[n_submitted];
      auto stream = engine.submit(request);
      if (!stream.ok()) {
        const Status refused = engine.check(request);
        return refused.ok() ? stream.status() : as_refusal(refused);
      }
      under_way.push_back(std::move(*stream));
    }
    OCTAVO_ASSIGN_OR_RETURN(RequestOutput output, under_way.front().collect(watch.progress, watch.on_delta));
    outputs.push_back(std::move(output));
    under_way.pop_front();
  }
  return outputs;
}

}  // namespace octavo::openai
