// One pass over the running sequences that decode, one over those with prompt left, one over the waiting, one
// over the guesses.
// Called by engine/batch_engine.cc before every step. Iteration-level scheduling: Orca (Yu et al. 2022);
// preemption by recomputing: PagedAttention (Kwon et al. 2023), section 4.5.
#include "engine/scheduler.h"

#include <algorithm>

namespace octavo::engine {

namespace {

class Planner {
 public:
  Planner(std::span<const SequenceView> sequences, int64_t n_available, const SchedulerLimits& limits,
          std::vector<int64_t>& n_run, std::vector<char>& preempted)
      : sequences_(sequences),
        limits_(limits),
        n_available_(n_available),
        n_left_(limits.max_step_tokens),
        n_run_(n_run),
        preempted_(preempted) {
    n_run_.assign(sequences.size(), 0);
    preempted_.assign(sequences.size(), 0);
  }

  void plan(Plan& plan) {
    plan.steps.clear();
    plan.preempted.clear();
    plan.admitted.clear();
    int64_t n_running = 0;
    for (const bool decoding : {true, false}) {
      for (size_t i = 0; i < sequences_.size(); ++i) {
        if (sequences_[i].running && (n_missing(i) == 1) == decoding) advance(i);
      }
    }
    for (size_t i = 0; i < sequences_.size(); ++i)
      n_running += sequences_[i].running && !preempted_[i] ? 1 : 0;
    // Where pages are short, who waits would be the next to give them back.
    const bool are_short = stalled_ || std::ranges::find(preempted_, 1) != preempted_.end();
    for (size_t i = 0; i < sequences_.size() && !are_short; ++i) {
      if (sequences_[i].running) continue;
      if (n_running == limits_.max_sequences || !admit(i)) break;
      ++n_running;
      plan.admitted.push_back(i);
    }
    for (size_t i = 0; i < sequences_.size(); ++i) add_drafted(i);
    for (size_t i = 0; i < sequences_.size(); ++i) {
      if (preempted_[i]) plan.preempted.push_back(i);
      if (n_run_[i] > 0) plan.steps.push_back({i, n_run_[i]});
    }
  }

 private:
  int64_t n_missing(size_t i) const { return sequences_[i].n_tokens - sequences_[i].n_cached; }
  int64_t new_pages(size_t i, int64_t n_run) const {
    const SequenceView& sequence = sequences_[i];
    const int64_t n_needed = (sequence.n_cached + n_run + limits_.page_tokens - 1) / limits_.page_tokens;
    return std::max<int64_t>(0, n_needed - sequence.n_pages) + (sequence.copies ? 1 : 0);
  }

  void advance(size_t i) {
    const int64_t n_run = std::min(n_missing(i), n_left_);
    if (n_run == 0 || preempted_[i]) return;
    while (new_pages(i, n_run) > n_available_) {
      const size_t victim = least_urgent();
      if (victim == i && any_running_before(i)) {
        stalled_ = true;  // it keeps what it has, until one that is more urgent needs it
        return;
      }
      preempt(victim);
      if (victim == i) return;
    }
    n_available_ -= new_pages(i, n_run);
    n_left_ -= n_run;
    n_run_[i] = n_run;
  }

  void add_drafted(size_t i) {
    if (n_run_[i] == 0 || n_run_[i] < n_missing(i)) return;
    const int64_t n_all = n_run_[i] + std::min(sequences_[i].n_drafted, n_left_);
    const int64_t n_more_pages = new_pages(i, n_all) - new_pages(i, n_run_[i]);
    if (n_more_pages > n_available_) return;
    n_available_ -= n_more_pages;
    n_left_ -= n_all - n_run_[i];
    n_run_[i] = n_all;
  }

  bool any_running_before(size_t i) const {
    while (i-- > 0) {
      if (sequences_[i].running && !preempted_[i]) return true;
    }
    return false;
  }

  size_t least_urgent() const {
    size_t i = sequences_.size();
    while (i-- > 0) {
      if (sequences_[i].running && !preempted_[i]) return i;
    }
    return 0;
  }

  void preempt(size_t i) {
    preempted_[i] = 1;
    n_available_ += sequences_[i].n_freed;
    if (n_run_[i] == 0) return;
    n_available_ += new_pages(i, n_run_[i]);
    n_left_ += n_run_[i];
    n_run_[i] = 0;
  }

  bool admit(size_t i) {
    const int64_t n_run = std::min(n_missing(i), n_left_);
    const int64_t n_needed = new_pages(i, n_run) + sequences_[i].n_claimed;
    if (n_run == 0 || n_needed > n_available_) return false;
    n_available_ -= n_needed;
    n_left_ -= n_run;
    n_run_[i] = n_run;
    return true;
  }

  std::span<const SequenceView> sequences_;
  const SchedulerLimits& limits_;
  int64_t n_available_, n_left_;
  std::vector<int64_t>& n_run_;
  std::vector<char>& preempted_;
  bool stalled_ = false;
};

}  // namespace

const Plan& Scheduler::schedule(std::span<const SequenceView> sequences, int64_t n_available_pages,
                                const SchedulerLimits& limits) {
  Planner(sequences, n_available_pages, limits, n_run_, preempted_).plan(plan_);
  return plan_;
}

}  // namespace octavo::engine
