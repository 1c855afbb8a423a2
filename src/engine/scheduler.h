#pragma once
// What the next step runs: which sequences, how many tokens of each, who waits and who must give its pages
// back. Pure: the same state gives the same plan.
#include <cstdint>
#include <span>
#include <vector>

namespace octavo::engine {

struct SchedulerLimits {
  int64_t max_sequences = 64;     // running at once
  int64_t max_step_tokens = 512;  // rows of one step; a longer prompt is run in chunks
  int64_t page_tokens = 64;
};

// A sequence as the scheduler sees it.
struct SequenceView {
  bool running = false;  // holds pages
  int64_t n_tokens = 0;  // prompt and output so far
  int64_t n_cached =
      0;  // of these, with keys and values in its pages; of a waiting one, found in the prefix cache
  int64_t n_pages = 0;    // held, or found for a waiting one
  int64_t n_freed = 0;    // running: pages that come free with it (held by nobody else)
  bool copies = false;    // running: the page it writes next is shared, so that it needs one of its own
  int64_t n_drafted = 0;  // running: guessed tokens behind n_tokens, run where there is room left
  int64_t n_claimed = 0;  // waiting: of the found pages, those that count as available now
};

struct PlannedStep {
  size_t sequence = 0;  // index into the views
  int64_t n_run = 0;    // the next tokens to run, >= 1; guessed ones beyond n_tokens - n_cached
};

struct Plan {
  std::vector<PlannedStep> steps;  // in the order of the views
  std::vector<size_t> preempted;   // running ones that give back all they hold, before the steps
  std::vector<size_t> admitted;    // waiting ones that start; each has a step
};

// `sequences`: most urgent first (priority, then arrival). The first sequence always advances, so nothing
// starves. Decoding sequences come first with one token each, then prompts take what the step has left; when
// pages run out, the least urgent running sequence is preempted by one that is more urgent, and waits for it
// otherwise; a waiting one never preempts. Guessed tokens
// run last, and preempt nobody.
// Needs: one sequence alone, and one page more, fits into all pages.
class Scheduler {
 public:
  // Valid until the next call, which allocates only where there are more sequences than ever before.
  const Plan& schedule(std::span<const SequenceView> sequences, int64_t n_available_pages,
                       const SchedulerLimits& limits);

 private:
  Plan plan_;
  std::vector<int64_t> n_run_;
  std::vector<char> preempted_;
};

}  // namespace octavo::engine
