#pragma once
// Progress on stderr: one bar that redraws itself on a terminal, plain lines elsewhere.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "octavo/progress.h"

namespace octavo::cli {

// What the bar shows, for a terminal of `columns`: "layer 3/36 smooth  [######……]  42 %  1 min 05 s left  3.1
// GiB".
std::string draw_bar(std::string_view what, int64_t done, int64_t total, double elapsed_seconds,
                     uint64_t resident_bytes, int columns);

// Cancelled by Ctrl-C (cli/interrupt.h).
class ProgressBar : public Progress {
 public:
  ProgressBar();
  ~ProgressBar() override;  // leaves the terminal's line empty
  void update(std::string_view what, int64_t done, int64_t total) override;
  bool cancelled() const override;

 private:
  using Clock = std::chrono::steady_clock;
  const bool on_terminal_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_shown_{};
  std::string last_what_;
};

}  // namespace octavo::cli
