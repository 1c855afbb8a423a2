// The engine's thread: take in what came, plan, run the model, choose tokens, hand out. Called by
// api/engine.cc. After warm-up a step allocates nothing but what a request asks for (log-probabilities).
#include "engine/batch_engine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/batch_request.h"
#include "engine/draft.h"
#include "engine/page_pool.h"
#include "engine/scheduler.h"

namespace octavo::engine {

namespace {

// Rows of the vocabulary's width that prompt_logprobs hold at a time: 19 MB of 151,936 tokens.
constexpr int64_t kScoredRows = 32;

bool is_more_urgent(const std::unique_ptr<Sequence>& a, const std::unique_ptr<Sequence>& b) {
  const auto key = [](const Sequence& s) { return std::tuple(s.request->priority, s.arrival, s.output); };
  return key(*a) < key(*b);
}

int32_t page_index(int64_t token) { return static_cast<int32_t>(token / kPageTokens); }

}  // namespace

struct BatchEngine::State {
  State(StepModel& the_model, const BatchOptions& the_options, int64_t n_pages)
      : model(the_model),
        options(the_options),
        limits{options.max_sequences, options.max_step_tokens, kPageTokens},
        pages(n_pages, kPageTokens),
        scratch(static_cast<size_t>(model.pool().n_threads())),
        stop_step(*this) {}

  void run();
  bool take_in();
  void insert(std::unique_ptr<Sequence> sequence);
  void drop_cancelled();
  void step();
  void draft();
  void fill_views();
  void look_up(const Sequence& sequence, SequenceView& view) const;
  bool next_page_is_shared(const Sequence& sequence) const;
  void admit(Sequence& sequence);
  void adopt_pages(Sequence& sequence);
  void give_back(Sequence& sequence);
  void add_to_batch(Sequence& sequence, int64_t n_run);
  void own_pages(Sequence& sequence, int64_t n_tokens);
  Status run_model();
  void score_prompts(const Plan& plan);
  void advance(const Plan& plan);
  void fork(Sequence& first);
  void publish(Sequence& sequence);
  void hand_out();
  void count(const Plan& plan);
  void update_gauges();
  void end(Sequence& sequence);
  void remove_ended();
  void fail_all(const Status& status);

  // Ends a step early when nobody waits for it any more.
  struct StopStep : Progress {
    explicit StopStep(const State& the_state) : state(the_state) {}
    void update(std::string_view, int64_t, int64_t) override {}
    bool cancelled() const override { return state.stopping || state.nobody_waits(); }
    const State& state;
  };
  bool nobody_waits() const;

  // A sequence of the step whose next token is due, and where its logits are.
  struct Due {
    Sequence* sequence;
    size_t first_row;  // of `logits`
    size_t n_rows;     // 1 + guesses
  };

  StepModel& model;
  const BatchOptions options;
  const SchedulerLimits limits;

  // The engine thread's own, kept from step to step.
  PagePool pages;
  Scheduler scheduler;
  DraftGate gate;
  std::vector<std::unique_ptr<Sequence>> sequences;  // most urgent first
  std::vector<std::unique_ptr<Sequence>> forked;     // by this step
  std::vector<SequenceView> views;
  std::vector<StepSequence> batch;
  std::vector<Due> due;
  std::vector<int64_t> rows;           // of the batch, whose logits are wanted
  std::vector<float> logits;           // [rows and forked ones, n_vocab]
  std::vector<float> scored;           // [kScoredRows, n_vocab], of prompts
  std::vector<ChoiceScratch> scratch;  // of each thread
  int64_t n_batch_rows = 0;
  StopStep stop_step;
  std::atomic<bool> stopping = false;

  mutable std::mutex mutex;  // guards what follows
  std::condition_variable came, idle;
  std::deque<std::unique_ptr<Sequence>> arrived;
  int64_t n_under_way = 0;  // outputs
  uint64_t n_submitted = 0;
  BatchCounters counters;

  std::thread runner;
};

// False when the engine is being closed.
bool BatchEngine::State::take_in() {
  std::unique_lock lock(mutex);
  came.wait(lock, [this] { return stopping || !arrived.empty() || !sequences.empty(); });
  sequences.reserve(sequences.size() + arrived.size());  // all or, out of memory, none
  for (std::unique_ptr<Sequence>& sequence : arrived) insert(std::move(sequence));
  arrived.clear();
  return !stopping;
}

void BatchEngine::State::insert(std::unique_ptr<Sequence> sequence) {
  const auto place = std::upper_bound(sequences.begin(), sequences.end(), sequence, is_more_urgent);
  sequences.insert(place, std::move(sequence));
}

bool BatchEngine::State::nobody_waits() const {
  return std::ranges::none_of(sequences, [](const auto& sequence) {
    return sequence->running && !sequence->generation->is_cancelled(sequence->output);
  });
}

void BatchEngine::State::run() {
  for (;;) {
    try {
      if (!take_in()) break;
      drop_cancelled();
      update_gauges();
      if (!sequences.empty()) step();
    } catch (const std::bad_alloc&) {
      fail_all(
          resource_exhausted("out of memory in a step of " + std::to_string(sequences.size()) + " requests"));
    }
  }
  fail_all(cancelled("the engine was closed"));
}

// Its siblings, if it still has some, are not ended.
void BatchEngine::State::end(Sequence& sequence) {
  give_back(sequence);
  sequence.generation.reset();
  const std::lock_guard lock(mutex);
  counters.n_pages_in_use = pages.n_pages() - pages.n_available();
  if (--n_under_way == 0) idle.notify_all();
}

void BatchEngine::State::remove_ended() {
  std::erase_if(sequences, [](const auto& sequence) { return sequence->generation == nullptr; });
}

void BatchEngine::State::drop_cancelled() {
  int64_t n_dropped = 0, n_cancelled = 0;
  for (const auto& sequence : sequences) {
    if (!sequence->generation->is_cancelled(sequence->output)) continue;
    for (auto& sibling : sequence->siblings) forked.push_back(std::move(sibling));
    // Who cancels one output of several has read its end, a stop text, and reads on.
    const bool all = sequence->generation->is_cancelled();
    if (all) sequence->generation->fail(cancelled("the request was cancelled"));
    n_cancelled += all ? 1 : 0;
    end(*sequence);
    ++n_dropped;
  }
  if (n_dropped == 0) return;
  remove_ended();
  const bool go_on = !forked.empty();
  for (auto& sibling : forked) insert(std::move(sibling));
  forked.clear();
  {
    const std::lock_guard lock(mutex);
    counters.n_cancelled += n_cancelled;
    counters.n_finished += n_dropped - n_cancelled;
  }
  if (go_on) drop_cancelled();
}

void BatchEngine::State::fail_all(const Status& status) {
  for (auto& sequence : forked) sequences.push_back(std::move(sequence));
  forked.clear();
  for (const auto& sequence : sequences) {
    if (sequence == nullptr || sequence->generation == nullptr) continue;
    sequence->generation->fail(status);
    for (const auto& sibling : sequence->siblings) end(*sibling);
    end(*sequence);
  }
  sequences.clear();
}

// Guesses for the sequences that decode, unless single tokens are known to be cheaper. None behind a prompt:
// the pages that its outputs come to share hold nothing but the prompt.
void BatchEngine::State::draft() {
  const auto decodes = [](const auto& s) { return s->running && s->n_output() > 0 && s->n_missing() == 1; };
  const int64_t n_decoding = std::ranges::count_if(sequences, decodes);
  const bool wanted =
      options.speculation == Speculation::kAlways ||
      (options.speculation == Speculation::kMeasured && n_decoding > 0 && gate.wants_draft(n_decoding));
  for (const auto& sequence : sequences) {
    sequence->draft.clear();
    if (!wanted || !decodes(sequence)) continue;
    const int64_t n_most = std::min(options.n_draft, sequence->max_tokens - sequence->n_output() - 1);
    draft_from_past(sequence->tokens, n_most, sequence->draft);
  }
}

// What of a waiting sequence's beginning is in published pages. The last token is always run: its logits are
// wanted. So is a prompt whose log-probabilities are.
void BatchEngine::State::look_up(const Sequence& sequence, SequenceView& view) const {
  const std::span<const int32_t> tokens(sequence.tokens);
  const bool may_skip = options.prefix_cache && !sequence.request->n_prompt_logprobs;
  Chain chain = kNoChain;
  while (may_skip && (view.n_pages + 1) * kPageTokens < view.n_tokens) {
    const auto hit =
        pages.find(chain, tokens.subspan(static_cast<size_t>(view.n_pages * kPageTokens), kPageTokens));
    if (!hit) break;
    chain = hit->chain;
    view.n_claimed += pages.n_holders(hit->page) == 0 ? 1 : 0;
    ++view.n_pages;
  }
  view.n_cached = view.n_pages * kPageTokens;
}

// A running prompt may meet pages that another one with the same beginning has filled since it was admitted.
void BatchEngine::State::adopt_pages(Sequence& sequence) {
  if (!options.prefix_cache || sequence.request->n_prompt_logprobs) return;
  const std::span<const int32_t> tokens(sequence.tokens);
  const int64_t n_before = sequence.n_cached;
  for (;;) {
    const size_t i = sequence.chains.size();
    const auto n_tokens = static_cast<int64_t>(i + 1) * kPageTokens;
    if (n_tokens >= static_cast<int64_t>(tokens.size())) break;
    const Chain before = i == 0 ? kNoChain : sequence.chains.back();
    const auto hit = pages.find(before, tokens.subspan(i * kPageTokens, kPageTokens));
    if (!hit) break;
    pages.hold(hit->page);
    if (i < sequence.pages.size()) pages.release(std::exchange(sequence.pages[i], hit->page));
    if (i == sequence.pages.size()) sequence.pages.push_back(hit->page);
    sequence.chains.push_back(hit->chain);
    sequence.n_cached = n_tokens;
  }
  const int64_t n_found = sequence.n_cached - n_before;
  if (n_found == 0) return;
  if (sequence.output == 0 && sequence.n_admissions == 1) sequence.generation->add_cached(n_found);
  const std::lock_guard lock(mutex);
  counters.n_cached_tokens += n_found;
}

bool BatchEngine::State::next_page_is_shared(const Sequence& sequence) const {
  if (sequence.n_cached % kPageTokens == 0) return false;
  return pages.n_holders(sequence.pages[static_cast<size_t>(page_index(sequence.n_cached))]) > 1;
}

void BatchEngine::State::fill_views() {
  for (const auto& sequence : sequences) {
    if (sequence->running && sequence->n_missing() > kPageTokens) adopt_pages(*sequence);
  }
  views.assign(sequences.size(), {});
  int64_t n_active = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& sequence = *sequences[i];
    SequenceView& view = views[i];
    view.running = sequence.running;
    view.n_tokens = static_cast<int64_t>(sequence.tokens.size());
    if (sequence.running) {
      view.n_cached = sequence.n_cached;
      view.n_pages = static_cast<int64_t>(sequence.pages.size());
      view.n_freed =
          std::ranges::count_if(sequence.pages, [&](int32_t p) { return pages.n_holders(p) == 1; });
      view.copies = next_page_is_shared(sequence);
      view.n_drafted = static_cast<int64_t>(sequence.draft.size());
      ++n_active;
    } else if (n_active < options.max_sequences) {
      look_up(sequence, view);
      ++n_active;
    }
  }
}

void BatchEngine::State::admit(Sequence& sequence) {
  // Room for all it may need, so that its steps allocate nothing.
  const int64_t n_most = sequence.n_prompt + sequence.max_tokens + options.n_draft;
  sequence.tokens.reserve(static_cast<size_t>(n_most));
  sequence.draft.reserve(static_cast<size_t>(options.n_draft));
  sequence.made.reserve(static_cast<size_t>(options.n_draft) + 1);
  sequence.pages.reserve(static_cast<size_t>(page_index(n_most)) + 1);
  sequence.chains.reserve(static_cast<size_t>(page_index(n_most)) + 1);
  SequenceView view{.n_tokens = static_cast<int64_t>(sequence.tokens.size())};
  look_up(sequence, view);
  const std::span<const int32_t> tokens(sequence.tokens);
  for (int64_t i = 0; i < view.n_pages; ++i) {
    const Chain before = sequence.chains.empty() ? kNoChain : sequence.chains.back();
    const auto hit = pages.find(before, tokens.subspan(static_cast<size_t>(i * kPageTokens), kPageTokens));
    OCTAVO_CHECK(hit.has_value());
    pages.hold(hit->page);
    sequence.pages.push_back(hit->page);
    sequence.chains.push_back(hit->chain);
  }
  sequence.running = true;
  sequence.n_cached = view.n_cached;
  if (++sequence.n_admissions == 1 && sequence.output == 0) {
    sequence.generation->reserve(sequence.max_tokens * sequence.request->n_outputs);
    sequence.generation->start();
    sequence.generation->add_cached(view.n_cached);
  }
  const std::lock_guard lock(mutex);
  ++counters.n_running;
  counters.n_prefix_hits += view.n_pages > 0 ? 1 : 0;
  counters.n_cached_tokens += view.n_cached;
}

void BatchEngine::State::give_back(Sequence& sequence) {
  // The end first: of a sequence's pages, its beginning is worth keeping longest.
  for (auto page = sequence.pages.rbegin(); page != sequence.pages.rend(); ++page) pages.release(*page);
  sequence.pages.clear();
  sequence.chains.clear();
  sequence.draft.clear();
  sequence.n_cached = 0;
  if (!std::exchange(sequence.running, false)) return;
  const std::lock_guard lock(mutex);
  --counters.n_running;
}

// Pages for n_tokens, of which those from n_cached on are written and so must not be shared.
void BatchEngine::State::own_pages(Sequence& sequence, int64_t n_tokens) {
  if (next_page_is_shared(sequence)) {
    int32_t& shared = sequence.pages[static_cast<size_t>(page_index(sequence.n_cached))];
    const auto page = pages.take();
    OCTAVO_CHECK(page.has_value());
    model.copy_page(shared, *page);
    pages.release(std::exchange(shared, *page));
    const std::lock_guard lock(mutex);
    ++counters.n_copied_pages;
  }
  while (static_cast<int64_t>(sequence.pages.size()) < model::KvCache::blocks_for(n_tokens)) {
    const auto page = pages.take();
    OCTAVO_CHECK(page.has_value());
    sequence.pages.push_back(*page);
  }
}

void BatchEngine::State::add_to_batch(Sequence& sequence, int64_t n_run) {
  own_pages(sequence, sequence.n_cached + n_run);
  const int64_t n_guessed = std::max<int64_t>(0, n_run - sequence.n_missing());
  const bool is_due = n_run >= sequence.n_missing();
  sequence.draft.resize(static_cast<size_t>(n_guessed));
  // Guesses lie behind the tokens while the model runs.
  sequence.tokens.insert(sequence.tokens.end(), sequence.draft.begin(), sequence.draft.end());
  const std::span<const int32_t> tokens(sequence.tokens);
  batch.push_back({{tokens.subspan(static_cast<size_t>(sequence.n_cached), static_cast<size_t>(n_run)),
                    sequence.n_cached, sequence.pages},
                   sequence.n_prompt});
  n_batch_rows += n_run;
  if (!is_due) return;
  due.push_back({&sequence, rows.size(), static_cast<size_t>(n_guessed + 1)});
  for (int64_t i = n_guessed + 1; i > 0; --i) rows.push_back(n_batch_rows - i);
}

// The log-probabilities of the prompt's tokens that follow rows of this batch.
void BatchEngine::State::score_prompts(const Plan& plan) {
  const auto n_vocab = static_cast<size_t>(model.n_vocab());
  std::vector<int64_t> group;
  int64_t batch_row = 0;
  for (const PlannedStep& planned : plan.steps) {
    Sequence& sequence = *sequences[planned.sequence];
    const int64_t n_end = std::min(sequence.n_cached + planned.n_run + 1, sequence.n_prompt);
    const int64_t row_of_first = batch_row - sequence.n_cached;  // of position 0, in the batch
    batch_row += planned.n_run;
    if (!sequence.request->n_prompt_logprobs || sequence.output != 0) continue;
    while (sequence.n_prompt_scored < n_end) {
      const int64_t n_rows = std::min(kScoredRows, n_end - sequence.n_prompt_scored);
      group.clear();
      for (int64_t i = 0; i < n_rows; ++i) group.push_back(row_of_first + sequence.n_prompt_scored - 1 + i);
      scored.resize(std::max(scored.size(), static_cast<size_t>(n_rows) * n_vocab));
      model.logits(group, scored.data());
      for (int64_t i = 0; i < n_rows; ++i) {
        auto logprobs = read_logprobs(std::span(scored).subspan(static_cast<size_t>(i) * n_vocab, n_vocab),
                                      sequence.tokens[static_cast<size_t>(sequence.n_prompt_scored)],
                                      *sequence.request->n_prompt_logprobs, scratch[0].order);
        ++sequence.n_prompt_scored;
        if (logprobs.ok()) {
          sequence.generation->push_prompt_logprobs(std::move(*logprobs));
        } else {
          sequence.generation->fail(logprobs.status());
          sequence.generation->cancel();
        }
      }
    }
  }
}

// The prompt has run: its other outputs go on from the same pages and choose from the same logits. Those past
// max_sequences wait, and run the end of the prompt again.
void BatchEngine::State::fork(Sequence& first) {
  int64_t n_running = std::ranges::count_if(sequences, [](const auto& s) { return s->running; });
  n_running += std::ranges::count_if(forked, [](const auto& s) { return s->running; });
  for (auto& sibling : first.siblings) {
    if (n_running < options.max_sequences) {
      sibling->running = true;
      sibling->tokens.reserve(first.tokens.capacity());
      sibling->draft.reserve(static_cast<size_t>(options.n_draft));
      sibling->made.reserve(static_cast<size_t>(options.n_draft) + 1);
      sibling->pages.reserve(first.pages.capacity());
      sibling->chains.reserve(first.chains.capacity());
      sibling->pages.assign(first.pages.begin(), first.pages.end());
      sibling->chains.assign(first.chains.begin(), first.chains.end());
      for (const int32_t page : sibling->pages) pages.hold(page);
      sibling->n_cached = first.n_cached;
      ++n_running;
      const std::lock_guard lock(mutex);
      ++counters.n_running;
    }
    forked.push_back(std::move(sibling));
  }
  first.siblings.clear();
}

Status BatchEngine::State::run_model() {
  const auto n_vocab = static_cast<size_t>(model.n_vocab());
  logits.resize(std::max(logits.size(), rows.size() * n_vocab));
  OCTAVO_RETURN_IF_ERROR(model.forward(batch, &stop_step));
  model.logits(rows, logits.data());
  return {};
}

// Counts the rows that have run, and chooses what follows.
void BatchEngine::State::advance(const Plan& plan) {
  const auto n_vocab = static_cast<size_t>(model.n_vocab());
  for (const PlannedStep& planned : plan.steps) {
    Sequence& sequence = *sequences[planned.sequence];
    sequence.tokens.resize(sequence.tokens.size() - sequence.draft.size());
    sequence.n_cached += planned.n_run;
  }
  size_t n_rows = rows.size();
  const size_t n_due = due.size();
  for (size_t i = 0; i < n_due; ++i) {
    if (due[i].sequence->siblings.empty()) continue;
    const size_t first_row = due[i].first_row, first_forked = forked.size();
    fork(*due[i].sequence);
    logits.resize(std::max(logits.size(), (n_rows + forked.size() - first_forked) * n_vocab));
    for (size_t k = first_forked; k < forked.size(); ++k) {
      if (!forked[k]->running) continue;
      std::copy_n(logits.begin() + static_cast<std::ptrdiff_t>(first_row * n_vocab), n_vocab,
                  logits.begin() + static_cast<std::ptrdiff_t>(n_rows * n_vocab));
      due.push_back({forked[k].get(), n_rows++, 1});
    }
  }
  model.pool().parallel_for(static_cast<int64_t>(due.size()), [&](int64_t i, int thread) {
    const Due& d = due[static_cast<size_t>(i)];
    choose_tokens(*d.sequence, std::span(logits).subspan(d.first_row * n_vocab, d.n_rows * n_vocab),
                  model.n_vocab(), scratch[static_cast<size_t>(thread)]);
  });
  // Of the guesses, only those that were right count as run.
  for (const Due& d : due) {
    Sequence& sequence = *d.sequence;
    if (!sequence.running) continue;
    sequence.n_cached = std::min(sequence.n_cached, static_cast<int64_t>(sequence.tokens.size()) - 1);
  }
}

// Full pages become findable: their contents are final, whoever reads them.
void BatchEngine::State::publish(Sequence& sequence) {
  if (!options.prefix_cache) return;
  const std::span<const int32_t> tokens(sequence.tokens);
  while ((static_cast<int64_t>(sequence.chains.size()) + 1) * kPageTokens <= sequence.n_cached) {
    const size_t i = sequence.chains.size();
    const Chain before = i == 0 ? kNoChain : sequence.chains.back();
    sequence.chains.push_back(
        pages.publish(sequence.pages[i], before, tokens.subspan(i * kPageTokens, kPageTokens)));
  }
}

void BatchEngine::State::hand_out() {
  int64_t n_finished = 0, n_drafted = 0, n_accepted = 0;
  for (const Due& d : due) {
    Sequence& sequence = *d.sequence;
    const std::shared_ptr<Generation> generation = sequence.generation;
    n_drafted += static_cast<int64_t>(sequence.draft.size());
    n_accepted += std::max<int64_t>(0, static_cast<int64_t>(sequence.made.size()) - 1);
    const bool finished = !sequence.made.empty() && sequence.made.back().finish != Finish::kNone;
    if (finished || !sequence.failure.ok()) end(sequence);
    n_finished += finished ? 1 : 0;
    try {
      for (GenerationStep& step : sequence.made) generation->push(step);
    } catch (const std::bad_alloc&) {
      generation->fail(resource_exhausted("out of memory for a request's log-probabilities"));
      generation->cancel();
    }
    if (!sequence.failure.ok()) generation->fail(sequence.failure);
  }
  for (auto& sequence : forked) insert(std::move(sequence));
  forked.clear();
  remove_ended();
  const std::lock_guard lock(mutex);
  counters.n_finished += n_finished;
  counters.n_drafted += n_drafted;
  counters.n_accepted += n_accepted;
}

void BatchEngine::State::count(const Plan& plan) {
  bool any_prompt = false, any_single = false, any_chunk = false;
  for (const PlannedStep& planned : plan.steps) {
    const Sequence& sequence = *sequences[planned.sequence];
    const bool is_prompt = sequence.n_cached < sequence.n_prompt;
    any_prompt = any_prompt || is_prompt;
    any_single = any_single || !is_prompt;
    any_chunk = any_chunk || planned.n_run < sequence.n_missing();
  }
  const std::lock_guard lock(mutex);
  counters.n_steps += plan.steps.empty() ? 0 : 1;
  counters.n_mixed_steps += any_prompt && any_single ? 1 : 0;
  counters.n_chunked_steps += any_chunk ? 1 : 0;
  counters.n_preempted += static_cast<int64_t>(plan.preempted.size());
  for (const PlannedStep& planned : plan.steps) counters.n_rows += planned.n_run;
}

void BatchEngine::State::update_gauges() {
  const std::lock_guard lock(mutex);
  counters.n_pages = pages.n_pages();
  counters.n_pages_in_use = pages.n_pages() - pages.n_available();
}

void BatchEngine::State::step() {
  draft();
  fill_views();
  const Plan& plan = scheduler.schedule(views, pages.n_available(), limits);
  for (const size_t i : plan.preempted) give_back(*sequences[i]);
  for (const size_t i : plan.admitted) admit(*sequences[i]);
  count(plan);
  if (plan.steps.empty()) return;  // the most urgent gave its pages back too, and is admitted next

  const auto start = std::chrono::steady_clock::now();
  batch.clear();
  due.clear();
  rows.clear();
  n_batch_rows = 0;
  for (const PlannedStep& planned : plan.steps) add_to_batch(*sequences[planned.sequence], planned.n_run);
  {
    const std::lock_guard lock(model.mutex());
    const Status status = run_model();
    if (!status.ok()) {
      for (const PlannedStep& planned : plan.steps) {
        Sequence& sequence = *sequences[planned.sequence];
        sequence.tokens.resize(sequence.tokens.size() - sequence.draft.size());
      }
      if (status.code() != StatusCode::kCancelled) fail_all(status);
      return;
    }
    score_prompts(plan);
    advance(plan);
  }
  // Before a page is taken again, or what one of them found could be gone when the next looks.
  for (const auto* list : {&sequences, &forked}) {
    for (const auto& sequence : *list) {
      if (sequence->running) publish(*sequence);
    }
  }
  if (batch.size() == due.size() &&
      n_batch_rows == static_cast<int64_t>(rows.size())) {  // single tokens only
    int64_t n_made = 0;
    for (const Due& d : due) n_made += static_cast<int64_t>(d.sequence->made.size());
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (n_made > 0) gate.measure(static_cast<int64_t>(due.size()), rows.size() > due.size(), seconds, n_made);
  }
  hand_out();
}

BatchEngine::BatchEngine(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<BatchEngine>> BatchEngine::start(StepModel& model, const BatchOptions& options) {
  OCTAVO_RETURN_IF_ERROR(check_options(options));
  OCTAVO_ASSIGN_OR_RETURN(const int64_t n_pages, make_pages(model, options));
  auto engine =
      std::unique_ptr<BatchEngine>(new BatchEngine(std::make_unique<State>(model, options, n_pages)));
  State& state = *engine->state_;
  state.update_gauges();
  try {
    state.runner = std::thread([&state] { state.run(); });
  } catch (const std::system_error& error) {
    return resource_exhausted(std::string("cannot start the engine's thread: ") + error.what());
  }
  return engine;
}

BatchEngine::~BatchEngine() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->came.notify_one();
  if (state_->runner.joinable()) state_->runner.join();
}

Status BatchEngine::check(const GenerationRequest& request) const {
  OCTAVO_RETURN_IF_ERROR(check_request(request, state_->model));
  const int64_t n_most = state_->options.max_sequences + state_->options.max_waiting;
  if (request.n_outputs <= n_most) return {};
  return invalid_argument("n: expected at most " + std::to_string(n_most) +
                          ", what the engine runs and lets wait, found " + std::to_string(request.n_outputs));
}

Result<std::shared_ptr<Generation>> BatchEngine::submit(GenerationRequest request) {
  State& state = *state_;
  OCTAVO_RETURN_IF_ERROR(check(request));
  const int64_t n_outputs = request.n_outputs;
  auto sequence = make_sequence(std::move(request), state.model);
  auto generation = sequence->generation;
  {
    const std::lock_guard lock(state.mutex);
    const int64_t n_most = state.options.max_sequences + state.options.max_waiting;
    if (state.n_under_way + n_outputs > n_most) {
      return resource_exhausted("the engine has " + std::to_string(state.n_under_way) +
                                " outputs running and waiting, and takes no more than " +
                                std::to_string(n_most) + " until some end");
    }
    sequence->arrival = state.n_submitted++;
    for (const auto& sibling : sequence->siblings) sibling->arrival = sequence->arrival;
    state.arrived.push_back(std::move(sequence));
    state.n_under_way += n_outputs;
  }
  state.came.notify_one();
  return generation;
}

BatchCounters BatchEngine::counters() const {
  const std::lock_guard lock(state_->mutex);
  BatchCounters counters = state_->counters;
  counters.n_waiting = state_->n_under_way - counters.n_running;
  return counters;
}

void BatchEngine::wait_until_idle() {
  std::unique_lock lock(state_->mutex);
  state_->idle.wait(lock, [this] { return state_->n_under_way == 0; });
}

bool BatchEngine::books_balance() const {
  const std::lock_guard lock(state_->mutex);
  return state_->n_under_way == 0 && state_->pages.books_balance() &&
         state_->pages.n_available() == state_->pages.n_pages();
}

}  // namespace octavo::engine
