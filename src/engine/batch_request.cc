// Checks before anything is queued. Called by engine/batch_engine.cc on the thread of whoever submits.
#include "engine/batch_request.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "base/memory.h"
#include "base/text_format.h"
#include "model/kv_cache.h"

namespace octavo::engine {

namespace {

constexpr uint64_t kDefaultKvBytes = uint64_t{4}
                                     << 30;  // as vLLM's CPU backend; only pages in use cost memory
constexpr int32_t kMostOutputs = 1024;       // of a request; each holds a copy of the prompt while it waits
constexpr double kMaxMemoryShare = 0.9;      // of what is available beside the weights

Status check_at_least(const char* name, int64_t value, int64_t least) {
  if (value >= least) return {};
  return invalid_argument(std::string(name) + ": expected at least " + std::to_string(least) + ", found " +
                          std::to_string(value));
}

// Bounds far beyond any use, so that sums and products of options cannot overflow.
Status check_at_most(const char* name, int64_t value, int64_t most) {
  if (value <= most) return {};
  return invalid_argument(std::string(name) + ": expected at most " + std::to_string(most) + ", found " +
                          std::to_string(value));
}

Status check_n_logprobs(const char* name, std::optional<int32_t> n, int64_t n_vocab) {
  if (n.value_or(0) >= -1 && n.value_or(0) <= n_vocab) return {};
  return invalid_argument(std::string(name) + ": expected 0 to " + std::to_string(n_vocab) +
                          " (the vocabulary) or -1 (all of it), found " + std::to_string(*n));
}

std::unique_ptr<Sequence> make_output(const std::shared_ptr<const GenerationRequest>& request,
                                      const std::shared_ptr<Generation>& generation,
                                      const std::vector<int32_t>& prompt, int32_t output,
                                      int64_t max_tokens) {
  auto sequence = std::make_unique<Sequence>();
  sequence->generation = generation;
  sequence->request = request;
  sequence->output = output;
  sequence->sampling = request->sampling;
  sequence->sampling.seed += static_cast<uint64_t>(output);
  if (request->mask) sequence->mask = request->mask->clone();
  sequence->n_prompt = static_cast<int64_t>(prompt.size());
  sequence->max_tokens = max_tokens;
  sequence->tokens = prompt;
  return sequence;
}

}  // namespace

Status check_options(const BatchOptions& options) {
  OCTAVO_RETURN_IF_ERROR(check_at_least("max_num_seqs", options.max_sequences, 1));
  if (options.max_step_tokens < options.max_sequences) {
    return invalid_argument("max_num_batched_tokens: expected at least max_num_seqs, " +
                            std::to_string(options.max_sequences) + ", found " +
                            std::to_string(options.max_step_tokens));
  }
  OCTAVO_RETURN_IF_ERROR(check_at_most("max_num_batched_tokens", options.max_step_tokens, int64_t{1} << 20));
  OCTAVO_RETURN_IF_ERROR(check_at_least("max_waiting", options.max_waiting, 1));
  OCTAVO_RETURN_IF_ERROR(check_at_most("max_waiting", options.max_waiting, int64_t{1} << 30));
  OCTAVO_RETURN_IF_ERROR(check_at_least("n_draft", options.n_draft, 0));
  return check_at_most("n_draft", options.n_draft, 64);
}

Status check_request(const GenerationRequest& request, const StepModel& model) {
  const auto n_prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t n_vocab = model.n_vocab();
  if (n_prompt == 0) {
    return invalid_argument(
        "prompt: expected at least one token, found none (the text is empty and this model's "
        "tokenizer adds no beginning-of-text token)");
  }
  if (request.prompt_only && n_prompt > model.max_context()) {
    return invalid_argument("prompt: " + std::to_string(n_prompt) + " tokens do not fit into a context of " +
                            std::to_string(model.max_context()) + " tokens; shorten it");
  }
  if (!request.prompt_only && n_prompt >= model.max_context()) {
    return invalid_argument("prompt: " + std::to_string(n_prompt) +
                            " tokens leave no room for output in a context of " +
                            std::to_string(model.max_context()) + " tokens; shorten it");
  }
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    if (request.prompt[i] >= 0 && request.prompt[i] < n_vocab) continue;
    return invalid_argument("prompt[" + std::to_string(i) + "]: token " + std::to_string(request.prompt[i]) +
                            " is not in the model's vocabulary of " + std::to_string(n_vocab));
  }
  OCTAVO_RETURN_IF_ERROR(check_at_least("max_tokens", request.max_tokens.value_or(1), 1));
  OCTAVO_RETURN_IF_ERROR(check_at_least("n", request.n_outputs, 1));
  OCTAVO_RETURN_IF_ERROR(check_at_most("n", request.n_outputs, kMostOutputs));
  OCTAVO_RETURN_IF_ERROR(check_rules(request.rules, n_vocab));
  OCTAVO_RETURN_IF_ERROR(check_n_logprobs("logprobs", request.n_logprobs, n_vocab));
  OCTAVO_RETURN_IF_ERROR(check_n_logprobs("prompt_logprobs", request.n_prompt_logprobs, n_vocab));
  return check_sampling(request.sampling);
}

Result<int64_t> make_pages(StepModel& model, const BatchOptions& options) {
  const uint64_t bytes = model.page_bytes();
  // One more than its tokens fill: a shared page is copied before it is written.
  const int64_t n_one = model::KvCache::blocks_for(model.max_context()) + 1;
  const int64_t n_most = n_one * options.max_sequences;
  const auto available =
      static_cast<uint64_t>(kMaxMemoryShare * static_cast<double>(base::available_memory_bytes()));
  const bool is_given = options.kv_bytes > 0;
  const uint64_t wanted = is_given ? options.kv_bytes : std::min(kDefaultKvBytes, available / 2);
  auto n_pages = static_cast<int64_t>(std::min(wanted / bytes, static_cast<uint64_t>(n_most)));
  if (!is_given) n_pages = std::max(n_pages, n_one);
  if (n_pages < n_one) {
    return resource_exhausted("keys and values: one sequence of " + std::to_string(model.max_context()) +
                              " tokens needs " + base::format_bytes(static_cast<uint64_t>(n_one) * bytes) +
                              ", and " + base::format_bytes(wanted) +
                              " are allowed; allow more, or ask for a shorter context");
  }
  if (is_given && static_cast<uint64_t>(n_pages) * bytes > available) {
    return resource_exhausted("keys and values: " + base::format_bytes(wanted) + " are asked for, and " +
                              base::format_bytes(available) + " are available");
  }
  for (;; n_pages = std::max(n_one, n_pages / 2)) {  // an address space may be shorter than the memory
    try {
      model.make_pages(n_pages);
      return n_pages;
    } catch (const std::bad_alloc&) {
      if (!is_given && n_pages > n_one) continue;
      return resource_exhausted("out of memory for keys and values: " +
                                base::format_bytes(static_cast<uint64_t>(n_pages) * bytes));
    }
  }
}

std::unique_ptr<Sequence> make_sequence(GenerationRequest request, const StepModel& model) {
  const std::vector<int32_t> prompt = std::exchange(request.prompt, {});
  const auto n_prompt = static_cast<int64_t>(prompt.size());
  const int64_t room = model.max_context() - n_prompt;
  // A token that nothing follows takes no place in the context.
  const int64_t max_tokens = request.prompt_only ? 1 : std::min(request.max_tokens.value_or(room), room);
  const auto generation =
      std::make_shared<Generation>(n_prompt, request.n_outputs, std::exchange(request.on_ready, {}));
  const auto shared = std::make_shared<const GenerationRequest>(std::move(request));
  auto first = make_output(shared, generation, prompt, 0, max_tokens);
  for (int32_t i = 1; i < shared->n_outputs; ++i) {
    first->siblings.push_back(make_output(shared, generation, prompt, i, max_tokens));
  }
  return first;
}

}  // namespace octavo::engine
