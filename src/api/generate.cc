// Whole answers: of a stream, and of batches, of which as many are under way as the engine takes, read in
// order.
#include <deque>
#include <string>
#include <utility>

#include "octavo/engine.h"

namespace octavo {

void CompletionOutput::add(Delta delta) {
  text += delta.text;
  token_ids.insert(token_ids.end(), delta.token_ids.begin(), delta.token_ids.end());
  for (TokenScore& score : delta.logprobs) {
    cumulative_logprob += score.token.logprob;
    logprobs.push_back(std::move(score));
  }
  finish = delta.finish;
  stop_text = std::move(delta.stop_text);
  stop_token = delta.stop_token;
}

Result<RequestOutput> Stream::collect(const Progress* progress,
                                      const std::function<void(const Delta&)>& on_delta) {
  RequestOutput whole;
  whole.outputs.resize(static_cast<size_t>(n_outputs()));
  for (;;) {
    OCTAVO_ASSIGN_OR_RETURN(std::optional<Delta> delta, next(progress));
    if (!delta) break;
    if (on_delta) on_delta(*delta);
    if (!delta->prompt_logprobs.empty()) whole.prompt_logprobs = std::move(delta->prompt_logprobs);
    CompletionOutput& output = whole.outputs[static_cast<size_t>(delta->index)];
    output.add(*std::move(delta));
  }
  whole.prompt_token_ids = prompt_token_ids();
  whole.stats = stats();
  return whole;
}

Result<std::vector<RequestOutput>> Engine::generate(const std::vector<Request>& requests,
                                                    Progress* progress) {
  const auto named = [](size_t i, const Status& status) {
    return status.with_context("request " + std::to_string(i));
  };
  for (size_t i = 0; i < requests.size(); ++i) {
    if (const Status status = check(requests[i]); !status.ok()) return named(i, status);
  }
  std::vector<RequestOutput> outputs;
  std::deque<Stream> under_way;
  size_t n_submitted = 0;
  while (outputs.size() < requests.size()) {
    while (n_submitted < requests.size()) {
      auto stream = submit(requests[n_submitted]);
      const bool is_full = !stream.ok() && stream.status().code() == StatusCode::kResourceExhausted;
      if (is_full && !under_way.empty()) break;
      if (!stream.ok()) return named(n_submitted, stream.status());
      under_way.push_back(std::move(*stream));
      ++n_submitted;
    }
    const size_t i = outputs.size();
    if (progress != nullptr) {
      progress->update("generate", static_cast<int64_t>(i), static_cast<int64_t>(requests.size()));
    }
    auto output = under_way.front().collect(progress);
    if (!output.ok()) return named(i, output.status());
    outputs.push_back(std::move(*output));
    under_way.pop_front();
  }
  if (progress != nullptr) {
    const auto n_done = static_cast<int64_t>(outputs.size());
    progress->update("generate", n_done, n_done);
  }
  return outputs;
}

}  // namespace octavo
