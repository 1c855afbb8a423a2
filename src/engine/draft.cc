// Prompt lookup decoding (Saxena 2023; the n-gram form of speculative decoding, Leviathan et al. 2023, with
// the model's own draw as its only criterion). Called by engine/batch_engine.cc.
#include "engine/draft.h"

#include <algorithm>
#include <bit>

namespace octavo::engine {

namespace {

constexpr size_t kLongestMatch = 4, kShortestMatch = 2;
constexpr size_t kLookback = 8192;  // tokens; the search costs some microseconds

// Tries before the first verdict, and between two tries of the slower way. One step in 64 costs at most 1.5 %
// where a guess doubles a step.
constexpr int64_t kFirstTries = 4, kRetryEvery = 64;
constexpr double kNewWeight = 0.1;
constexpr double kWin = 0.97;  // less is noise

}  // namespace

void draft_from_past(std::span<const int32_t> tokens, int64_t n_most, std::vector<int32_t>& draft) {
  draft.clear();
  if (tokens.size() > kLookback) tokens = tokens.last(kLookback);
  for (size_t n = kLongestMatch; n >= kShortestMatch && n_most > 0; --n) {
    if (tokens.size() <= n) continue;
    const auto tail = tokens.last(n);
    for (size_t end = tokens.size() - 1; end >= n; --end) {  // the match ends before `end`
      if (!std::equal(tail.begin(), tail.end(), tokens.begin() + static_cast<std::ptrdiff_t>(end - n)))
        continue;
      const auto found = tokens.subspan(end, std::min(static_cast<size_t>(n_most), tokens.size() - end));
      draft.assign(found.begin(), found.end());
      return;
    }
  }
}

DraftGate::Size& DraftGate::size_of(int64_t n_sequences) {
  const auto log = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(n_sequences)));
  return sizes_[std::min(log, sizes_.size() - 1)];
}

bool DraftGate::wants_draft(int64_t n_sequences) {
  Size& size = size_of(n_sequences);
  if (size.plain.n < kFirstTries) return false;
  if (size.drafted.n < kFirstTries) return true;
  const bool pays = size.drafted.seconds_per_token < kWin * size.plain.seconds_per_token;
  return ++size.n_asked % kRetryEvery == 0 ? !pays : pays;
}

void DraftGate::measure(int64_t n_sequences, bool drafted, double seconds, int64_t n_tokens) {
  Size& size = size_of(n_sequences);
  Cost& cost = drafted ? size.drafted : size.plain;
  const double weight = cost.n++ == 0 ? 1 : kNewWeight;
  cost.seconds_per_token += weight * (seconds / static_cast<double>(n_tokens) - cost.seconds_per_token);
}

}  // namespace octavo::engine
