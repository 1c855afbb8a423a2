// Mask, rules, sampler, stop tokens: from logits to tokens. Called by engine/batch_engine.cc, one sequence a
// task.
#include "engine/sequence.h"

#include <algorithm>
#include <utility>

namespace octavo::engine {

namespace {

Result<GenerationStep> choose(Sequence& sequence, std::span<float> logits, ChoiceScratch& scratch) {
  const GenerationRequest& request = *sequence.request;
  if (request.n_logprobs) scratch.raw_logits.assign(logits.begin(), logits.end());
  const std::span<const int32_t> tokens(sequence.tokens);
  const History history{tokens.first(static_cast<size_t>(sequence.n_prompt)),
                        tokens.subspan(static_cast<size_t>(sequence.n_prompt))};
  if (sequence.mask) sequence.mask->apply(history.output, logits);
  apply_rules(logits, request.rules, history.output, scratch.rules);
  OCTAVO_ASSIGN_OR_RETURN(const int32_t token, sample(logits, sequence.sampling, history, scratch.sampler));
  GenerationStep step{token, sequence.output, Finish::kNone, std::nullopt};
  if (request.n_logprobs) {
    OCTAVO_ASSIGN_OR_RETURN(step.logprobs,
                            read_logprobs(scratch.raw_logits, token, *request.n_logprobs, scratch.order));
  }
  const std::vector<int32_t>& stop_ids = request.rules.stop_ids;
  const bool stopped = std::find(stop_ids.begin(), stop_ids.end(), token) != stop_ids.end();
  const bool is_last = sequence.n_output() + 1 == sequence.max_tokens;
  step.finish = stopped ? Finish::kStop : is_last ? Finish::kLength : Finish::kNone;
  return step;
}

}  // namespace

Result<StepLogprobs> read_logprobs(std::span<const float> logits, int32_t token, int32_t n,
                                   std::vector<int32_t>& order_scratch) {
  OCTAVO_ASSIGN_OR_RETURN(const LogprobRow row, LogprobRow::read(logits));
  const auto n_top = n < 0 ? static_cast<int64_t>(logits.size()) : n;
  return StepLogprobs{row.of(token), row.top(n_top, order_scratch)};
}

void choose_tokens(Sequence& sequence, std::span<float> logits, int64_t n_vocab, ChoiceScratch& scratch) {
  sequence.made.clear();
  for (size_t row = 0; !logits.empty(); ++row) {
    auto step = choose(sequence, logits.first(static_cast<size_t>(n_vocab)), scratch);
    if (!step.ok()) {
      sequence.failure = step.status();
      return;
    }
    sequence.tokens.push_back(step->token);
    const bool ends = step->finish != Finish::kNone;
    const bool guessed = row < sequence.draft.size() && sequence.draft[row] == step->token;
    sequence.made.push_back(std::move(*step));
    if (ends || !guessed) return;
    logits = logits.subspan(static_cast<size_t>(n_vocab));
  }
}

}  // namespace octavo::engine
