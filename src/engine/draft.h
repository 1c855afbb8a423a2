#pragma once
// Guessing the next tokens from the sequence's own past (prompt lookup), and whether guessing pays. A guess
// is only ever a proposal: what the model gives is compared with it, so no token depends on one.
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace octavo::engine {

// What followed the last time that the sequence's last tokens (the 4, else the 3, else the 2) stood together:
// at most n_most tokens, none where they never did. Allocates nothing where `draft` has room.
void draft_from_past(std::span<const int32_t> tokens, int64_t n_most, std::vector<int32_t>& draft);

// Compares what a token costs with guesses and without, apart for each size of batch, and now and then tries
// the one that is behind.
class DraftGate {
 public:
  bool wants_draft(int64_t n_sequences);
  // A step of single tokens of n_sequences, which gave n_tokens.
  void measure(int64_t n_sequences, bool drafted, double seconds, int64_t n_tokens);

 private:
  struct Cost {
    double seconds_per_token = 0;  // recent ones weigh more
    int64_t n = 0;
  };
  struct Size {
    Cost plain, drafted;
    int64_t n_asked = 0;
  };
  Size& size_of(int64_t n_sequences);
  std::array<Size, 16> sizes_;  // by the logarithm of n_sequences
};

}  // namespace octavo::engine
