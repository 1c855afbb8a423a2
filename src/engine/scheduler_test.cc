#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <map>

namespace octavo::engine {
namespace {

constexpr SchedulerLimits kLimits{.max_sequences = 4, .max_step_tokens = 16, .page_tokens = 4};

SequenceView decoding(int64_t n_tokens) {
  const int64_t n_pages = (n_tokens - 1 + 3) / 4;
  return {.running = true,
          .n_tokens = n_tokens,
          .n_cached = n_tokens - 1,
          .n_pages = n_pages,
          .n_freed = n_pages};
}
SequenceView waiting(int64_t n_tokens) { return {.n_tokens = n_tokens}; }

Plan schedule(const std::vector<SequenceView>& views, int64_t n_available_pages,
              const SchedulerLimits& limits) {
  return Scheduler().schedule(views, n_available_pages, limits);
}

std::map<size_t, int64_t> steps_of(const Plan& plan) {
  std::map<size_t, int64_t> steps;
  for (const PlannedStep& step : plan.steps) steps[step.sequence] = step.n_run;
  return steps;
}
using Steps = std::map<size_t, int64_t>;

TEST(Scheduler, DecodingSequencesComeFirstAndPromptsTakeTheRest) {
  const std::vector<SequenceView> views = {waiting(20), decoding(6), decoding(9)};
  const Plan plan = schedule(views, 100, kLimits);
  EXPECT_EQ(steps_of(plan), (Steps{{0, 14}, {1, 1}, {2, 1}}));
  EXPECT_EQ(plan.admitted, std::vector<size_t>{0});
}

TEST(Scheduler, NoMoreSequencesAndTokensThanAllowed) {
  const std::vector<SequenceView> views = {waiting(3), waiting(3), waiting(3), waiting(3), waiting(3)};
  EXPECT_EQ(schedule(views, 100, kLimits).admitted.size(), 4U);
  const std::vector<SequenceView> one_long = {waiting(30), waiting(3)};
  EXPECT_EQ(steps_of(schedule(one_long, 100, kLimits)), (Steps{{0, 16}}));
}

TEST(Scheduler, WhoWaitsGetsOnlyPagesThatAreThere) {
  const std::vector<SequenceView> views = {waiting(12), waiting(1)};
  const Plan plan = schedule(views, 2, kLimits);
  EXPECT_TRUE(plan.steps.empty()) << "nor does one that came later overtake";
  EXPECT_EQ(steps_of(schedule(views, 3, kLimits)), (Steps{{0, 12}}));
  SequenceView found = waiting(12);
  found.n_cached = 8;
  found.n_pages = 2;
  EXPECT_EQ(steps_of(schedule(std::vector{found}, 1, kLimits)), (Steps{{0, 4}}));
  found.n_claimed = 1;
  EXPECT_TRUE(schedule(std::vector{found}, 1, kLimits).steps.empty());
}

TEST(Scheduler, TheLeastUrgentGivesItsPagesBack) {
  const std::vector<SequenceView> views = {decoding(5), decoding(9), decoding(13), waiting(1)};
  const Plan plan = schedule(views, 0, kLimits);  // each begins a page
  EXPECT_EQ(plan.preempted, std::vector<size_t>{2});
  EXPECT_EQ(steps_of(plan), (Steps{{0, 1}, {1, 1}}));
  EXPECT_TRUE(plan.admitted.empty());
}

TEST(Scheduler, WhoFreesNothingIsFollowedByTheNext) {
  std::vector<SequenceView> views = {decoding(5), decoding(9), decoding(13)};
  views[2].n_freed = 0;  // shares all it has
  const Plan plan = schedule(views, 0, kLimits);
  EXPECT_EQ(plan.preempted, (std::vector<size_t>{1, 2}));
  EXPECT_EQ(steps_of(plan), (Steps{{0, 1}}));
}

TEST(Scheduler, WhoCannotGoOnKeepsItsPagesForTheOthersToTake) {
  std::vector<SequenceView> views = {decoding(6), decoding(16), waiting(1)};
  views[1].n_cached = 4;  // a prompt that needs three pages more
  views[1].n_pages = views[1].n_freed = 1;
  const Plan plan = schedule(views, 1, kLimits);
  EXPECT_EQ(steps_of(plan), (Steps{{0, 1}}));
  EXPECT_TRUE(plan.preempted.empty());
  EXPECT_TRUE(plan.admitted.empty());
}

TEST(Scheduler, TheFirstAlwaysAdvances) {
  for (int64_t n_available = 0; n_available < 3; ++n_available) {
    std::vector<SequenceView> views = {decoding(16), decoding(5), decoding(5), decoding(5)};
    views[0].n_cached = 4;  // most of a prompt still to run
    views[0].n_pages = views[0].n_freed = 1;
    EXPECT_GT(steps_of(schedule(views, n_available, kLimits))[0], 0) << n_available;
  }
}

TEST(Scheduler, ASharedPageIsCopiedBeforeItIsWritten) {
  std::vector<SequenceView> views = {decoding(7), decoding(7)};
  views[0].copies = views[1].copies = true;
  EXPECT_EQ(steps_of(schedule(views, 2, kLimits)), (Steps{{0, 1}, {1, 1}}));
  EXPECT_EQ(steps_of(schedule(views, 1, kLimits)), (Steps{{0, 1}}));
}

TEST(Scheduler, GuessesTakeWhatIsLeft) {
  std::vector<SequenceView> views = {decoding(6), decoding(9), waiting(9)};
  views[0].n_drafted = 3;
  EXPECT_EQ(steps_of(schedule(views, 100, kLimits)), (Steps{{0, 4}, {1, 1}, {2, 9}}));
  views[2] = waiting(13);
  EXPECT_EQ(steps_of(schedule(views, 100, kLimits)), (Steps{{0, 2}, {1, 1}, {2, 13}}));
  views.pop_back();
  EXPECT_EQ(steps_of(schedule(views, 1, kLimits)), (Steps{{0, 1}, {1, 1}}))
      << "the ninth token begins a page";
}

}  // namespace
}  // namespace octavo::engine
