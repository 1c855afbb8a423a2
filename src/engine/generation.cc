// The generation loop of one request. Each step runs the tokens that are not in the cache yet (a chunk of the
// prompt, or the last token) and, once all are, samples the next. Called by api/engine.cc.
#include "engine/generation.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

#include "base/check.h"

namespace octavo::engine {

namespace {

// Long enough that a chunk reads the weights for many rows, short enough that others need not wait long.
constexpr int64_t kPrefillChunkTokens = 256;

Status check_prompt(const std::vector<int32_t>& ids, int64_t n_vocab) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < n_vocab) continue;
    return invalid_argument("prompt[" + std::to_string(i) + "]: token " + std::to_string(ids[i]) +
                            " is not in the model's vocabulary of " + std::to_string(n_vocab));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Generation>> Generation::start(LoadedModel& loaded, GenerationRequest request) {
  const auto n_prompt = static_cast<int64_t>(request.prompt.size());
  if (n_prompt == 0) {
    return invalid_argument(
        "prompt: expected at least one token, found none (the text is empty and this model's "
        "tokenizer adds no beginning-of-text token)");
  }
  if (n_prompt >= loaded.max_context()) {
    return invalid_argument("prompt: " + std::to_string(n_prompt) +
                            " tokens leave no room for output in a context of " +
                            std::to_string(loaded.max_context()) + " tokens; shorten it");
  }
  if (request.max_tokens.value_or(1) < 1) {
    return invalid_argument("max_tokens: expected at least 1, found " + std::to_string(*request.max_tokens));
  }
  const int64_t n_vocab = loaded.config().n_vocab;
  OCTAVO_RETURN_IF_ERROR(check_prompt(request.prompt, n_vocab));
  OCTAVO_RETURN_IF_ERROR(check_rules(request.rules, n_vocab));
  if (request.n_logprobs.value_or(0) < -1 || request.n_logprobs.value_or(0) > n_vocab) {
    return invalid_argument("logprobs: expected 0 to " + std::to_string(n_vocab) +
                            " (the vocabulary) or -1 (all of it), found " +
                            std::to_string(*request.n_logprobs));
  }
  OCTAVO_RETURN_IF_ERROR(check_sampling(request.sampling));
  const int64_t room = loaded.max_context() - n_prompt;
  const int64_t max_tokens = std::min(request.max_tokens.value_or(room), room);
  return std::unique_ptr<Generation>(new Generation(loaded, std::move(request), max_tokens));
}

Generation::Generation(LoadedModel& loaded, GenerationRequest request, int64_t max_tokens)
    : loaded_(loaded),
      sampling_(request.sampling),
      rules_(std::move(request.rules)),
      n_logprobs_(request.n_logprobs),
      tokens_(std::move(request.prompt)),
      n_prompt_(static_cast<int64_t>(tokens_.size())),
      max_tokens_(max_tokens),
      cache_(loaded, n_prompt_ + max_tokens),
      logits_(static_cast<size_t>(loaded.config().n_vocab)) {}

Result<bool> Generation::run_model(const Progress* progress) {
  const auto n_tokens = static_cast<int64_t>(tokens_.size());
  const int64_t n_run = std::min(kPrefillChunkTokens, n_tokens - n_cached_);
  const std::lock_guard lock(loaded_.mutex());
  cache_.reserve(n_cached_ + n_run);
  const model::BatchSequence sequence{
      std::span(tokens_).subspan(static_cast<size_t>(n_cached_), static_cast<size_t>(n_run)), n_cached_,
      cache_.blocks()};
  OCTAVO_RETURN_IF_ERROR(loaded_.model().forward({&sequence, 1}, cache_.cache(), /*tap=*/nullptr, progress));
  n_cached_ += n_run;
  if (n_cached_ < n_tokens) return false;
  const int64_t last_row = n_run - 1;
  loaded_.model().logits({&last_row, 1}, logits_.data());
  return true;
}

Result<GenerationStep> Generation::choose() {
  if (n_logprobs_) raw_logits_ = logits_;
  const std::span<const int32_t> tokens(tokens_);
  const History history{tokens.first(static_cast<size_t>(n_prompt_)),
                        tokens.subspan(static_cast<size_t>(n_prompt_))};
  apply_rules(logits_, rules_, history.output, rules_scratch_);
  OCTAVO_ASSIGN_OR_RETURN(const int32_t token, sample(logits_, sampling_, history, scratch_));
  GenerationStep step;
  step.token = token;
  if (n_logprobs_) {
    OCTAVO_ASSIGN_OR_RETURN(const LogprobRow row, LogprobRow::read(raw_logits_));
    const int64_t n_top = *n_logprobs_ < 0 ? loaded_.config().n_vocab : *n_logprobs_;
    step.logprobs = StepLogprobs{row.of(token), row.top(n_top, order_scratch_)};
  }
  return step;
}

Result<GenerationStep> Generation::step(const Progress* progress) {
  OCTAVO_CHECK(n_output_tokens() < max_tokens_);
  OCTAVO_ASSIGN_OR_RETURN(const bool at_end, run_model(progress));
  if (!at_end) return GenerationStep{};
  OCTAVO_ASSIGN_OR_RETURN(GenerationStep step, choose());
  tokens_.push_back(*step.token);
  const std::vector<int32_t>& stop_ids = rules_.stop_ids;
  const bool stopped = std::find(stop_ids.begin(), stop_ids.end(), *step.token) != stop_ids.end();
  step.finish = stopped ? Finish::kStop : n_output_tokens() == max_tokens_ ? Finish::kLength : Finish::kNone;
  return step;
}

}  // namespace octavo::engine
