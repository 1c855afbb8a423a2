// Streams to whole outputs. Called by chat_completion.cc and completion.cc.
#include "openai/output.h"

#include <deque>
#include <iterator>
#include <utility>

namespace octavo::openai {

namespace {

// A request under way, and what it has answered.
struct Running {
  Stream stream;
  Answer answer;

  Status pull(const Watch& watch) {
    for (;;) {
      OCTAVO_ASSIGN_OR_RETURN(std::optional<Delta> delta, stream.next(watch.progress));
      if (!delta) break;
      if (watch.on_delta) watch.on_delta(*delta);
      if (!delta->prompt_logprobs.empty()) answer.prompt_logprobs = std::move(delta->prompt_logprobs);
      Output& output = answer.outputs[static_cast<size_t>(delta->index)];
      output.add(*std::move(delta));
    }
    answer.prompt_token_ids = stream.prompt_token_ids();
    answer.stats = stream.stats();
    return {};
  }
};

}  // namespace

void Output::add(Delta delta) {
  text += delta.text;
  token_ids.insert(token_ids.end(), delta.token_ids.begin(), delta.token_ids.end());
  logprobs.insert(logprobs.end(), std::make_move_iterator(delta.logprobs.begin()),
                  std::make_move_iterator(delta.logprobs.end()));
  if (delta.finish == FinishReason::kNone) return;
  finish = delta.finish;
  stop_text = std::move(delta.stop_text);
  stop_token = delta.stop_token;
}

void Usage::add(const StreamStats& stats) {
  n_prompt_tokens += stats.n_prompt_tokens;  // read once for all outputs
  n_output_tokens += stats.n_output_tokens;
  n_cached_tokens += stats.n_cached_tokens;
}

Status as_refusal(const Status& status) {
  return status.code() == StatusCode::kResourceExhausted ? invalid_argument(status.message()) : status;
}

Result<std::vector<Answer>> generate(Engine& engine, const std::vector<Request>& requests,
                                     const Watch& watch) {
  std::vector<Answer> answers;
  std::deque<Running> under_way;
  size_t n_submitted = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    for (; n_submitted < requests.size() && under_way.size() < kMaxUnderWay; ++n_submitted) {
      const Request& request = requests[n_submitted];
      auto stream = engine.submit(request);
      if (!stream.ok()) {
        const Status refused = engine.check(request);
        return refused.ok() ? stream.status() : as_refusal(refused);
      }
      Running& running = under_way.emplace_back(Running{.stream = std::move(*stream), .answer = {}});
      running.answer.outputs.resize(static_cast<size_t>(request.sampling.n));
    }
    OCTAVO_RETURN_IF_ERROR(under_way.front().pull(watch));
    answers.push_back(std::move(under_way.front().answer));
    under_way.pop_front();
  }
  return answers;
}

}  // namespace octavo::openai
