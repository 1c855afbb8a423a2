// Streams to whole outputs. Called by chat_completion.cc and completion.cc.
#include "openai/output.h"

#include <deque>
#include <iterator>
#include <utility>

namespace octavo::openai {

namespace {

Status pull(Stream& stream, const Watch& watch, Output& into) {
  for (;;) {
    OCTAVO_ASSIGN_OR_RETURN(std::optional<Delta> delta, stream.next(watch.progress));
    if (!delta) return {};
    if (watch.on_delta) watch.on_delta(*delta);
    into.add(*std::move(delta));
    if (watch.progress != nullptr && watch.progress->cancelled()) return cancelled("stopped");
  }
}

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

Result<std::vector<Answer>> generate(Engine& engine, const std::vector<Request>& requests, int32_t n,
                                     const Watch& watch) {
  // Enough under way to fill steps, few enough that a long list of prompts does not fill the engine's queue.
  constexpr size_t kMaxUnderWay = 32;
  const size_t per_request = static_cast<size_t>(n);
  const size_t n_streams = requests.size() * per_request;
  std::vector<Answer> answers(requests.size());
  std::deque<Stream> under_way;
  size_t n_submitted = 0;
  for (size_t i = 0; i < n_streams; ++i) {
    for (; n_submitted < n_streams && under_way.size() < kMaxUnderWay; ++n_submitted) {
      Request request = requests[n_submitted / per_request];
      if (request.sampling.seed) *request.sampling.seed += n_submitted % per_request;
      OCTAVO_ASSIGN_OR_RETURN(Stream stream, engine.submit(request));
      under_way.push_back(std::move(stream));
    }
    Answer& answer = answers[i / per_request];
    OCTAVO_RETURN_IF_ERROR(pull(under_way.front(), watch, answer.outputs.emplace_back()));
    const StreamStats stats = under_way.front().stats();
    answer.usage.n_prompt_tokens = stats.n_prompt_tokens;  // read once for all choices
    answer.usage.n_output_tokens += stats.n_output_tokens;
    under_way.pop_front();
  }
  return answers;
}

Result<PromptFacts> read_prompt_facts(Engine& engine, Request& request, std::optional<int32_t> top_n,
                                      const Watch& watch) {
  if (request.token_ids.empty()) {
    auto ids = engine.tokenize(request.prompt, request.add_special_tokens);
    if (!ids.ok()) return ids.status().with_context("prompt");
    request.token_ids = *std::move(ids);
  }
  PromptFacts facts{.token_ids = request.token_ids, .scores = {}};
  if (!top_n) return facts;
  auto scores = engine.score(facts.token_ids, *top_n, watch.progress);
  if (!scores.ok()) return scores.status().with_context("prompt");
  facts.scores = *std::move(scores);
  return facts;
}

}  // namespace octavo::openai
