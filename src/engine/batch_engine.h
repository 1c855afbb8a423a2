#pragma once
// Many requests on one model. One thread runs step after step; each step is a batch of prompt chunks and
// single tokens that scheduler.h plans, on pages that page_pool.h lends. A request's tokens and the bits of
// its logits are those it would have alone.
#include <cstdint>
#include <memory>

#include "octavo/status.h"

#include "engine/generation.h"
#include "engine/step_model.h"

namespace octavo::engine {

enum class Speculation { kOff, kMeasured, kAlways };  // kMeasured: where guessing makes tokens cheaper

struct BatchOptions {
  int64_t max_sequences = 64;     // running at once
  int64_t max_step_tokens = 512;  // rows of a step, at least max_sequences
  int64_t max_waiting = 4096;     // outputs that wait; more are refused
  uint64_t kv_bytes = 0;          // for pages; 0: chosen from the memory at hand
  bool prefix_cache = true;
  Speculation speculation = Speculation::kMeasured;
  int64_t n_draft = 4;  // tokens guessed for a sequence and step, at most
};

// Since the engine was started.
struct BatchCounters {
  int64_t n_steps = 0, n_rows = 0;
  int64_t n_mixed_steps = 0;                                 // prompt and single tokens together
  int64_t n_chunked_steps = 0;                               // a part of a prompt that is not its end
  int64_t n_prefix_hits = 0;                                 // admissions that found pages
  int64_t n_cached_tokens = 0;                               // tokens that these found
  int64_t n_drafted = 0, n_accepted = 0;                     // guessed tokens that were run, that were right
  int64_t n_copied_pages = 0;                                // of several outputs that share a prompt
  int64_t n_preempted = 0, n_cancelled = 0, n_finished = 0;  // outputs
  // Now.
  int64_t n_running = 0, n_waiting = 0;
  int64_t n_pages = 0, n_pages_in_use = 0;
};

class BatchEngine {
 public:
  // `model` outlives it. Errors: options out of range; less memory than one sequence of max_context needs.
  static Result<std::unique_ptr<BatchEngine>> start(StepModel& model, const BatchOptions& options = {});
  // Ends what is under way with kCancelled.
  ~BatchEngine();

  // What submit() would refuse whatever else is under way.
  Status check(const GenerationRequest& request) const;
  // Errors name the field: an empty prompt or one that fills the context, a token that the model lacks,
  // settings out of range; kResourceExhausted when too many wait.
  Result<std::shared_ptr<Generation>> submit(GenerationRequest request);

  BatchCounters counters() const;
  // Until no request is under way, and each has given its pages back.
  void wait_until_idle();
  // Of the pages: no request under way holds one, and none is lost. For tests; when nothing runs.
  bool books_balance() const;

 private:
  struct State;
  explicit BatchEngine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace octavo::engine
