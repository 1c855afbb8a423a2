// The bar of `quantize` and `eval`. Redrawn at most ten times a second; in a log file a line a step, at most
// one every ten seconds. The time left takes the rest to go as fast as what is done.
#include "cli/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/memory.h"
#include "base/text_format.h"
#include "cli/diagnostics.h"
#include "cli/interrupt.h"

namespace octavo::cli {

namespace {

constexpr int kBarCells = 24;
constexpr auto kRedrawInterval = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(10);

int terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void write_stderr(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stderr); }

double share(int64_t done, int64_t total) {
  return total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 0.0;
}

std::string numbers(int64_t done, int64_t total, double elapsed_seconds, uint64_t resident_bytes) {
  const double part = share(done, total);
  std::string text = std::to_string(static_cast<int>(part * 100)) + " %";
  if (part > 0 && part < 1)
    text += ", " + base::format_duration(elapsed_seconds * (1 - part) / part) + " left";
  return text + ", " + base::format_bytes(resident_bytes) + " resident";
}

}  // namespace

std::string draw_bar(std::string_view what, int64_t done, int64_t total, double elapsed_seconds,
                     uint64_t resident_bytes, int columns) {
  const int n_full = static_cast<int>(share(done, total) * kBarCells);
  std::string bar = "[";
  for (int i = 0; i < kBarCells; ++i) bar += i < n_full ? '#' : '.';
  bar += "] " + numbers(done, total, elapsed_seconds, resident_bytes);
  // The step's name is cut first: a line that wraps cannot be redrawn.
  const int room = columns - 1 - static_cast<int>(bar.size()) - 2;
  if (room < 8) return bar.substr(0, static_cast<size_t>(std::max(columns - 1, 0)));
  std::string name(what.substr(0, base::valid_utf8_prefix(what.substr(0, static_cast<size_t>(room)))));
  return bar + "  " + name;
}

ProgressBar::ProgressBar() : on_terminal_(is_terminal(STDERR_FILENO)) { catch_interrupts(); }

ProgressBar::~ProgressBar() {
  if (on_terminal_ && !last_what_.empty()) write_stderr("\r\x1b[K");
}

void ProgressBar::update(std::string_view what, int64_t done, int64_t total) {
  const auto now = Clock::now();
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const bool is_last = done >= total;
  if (on_terminal_) {
    if (now - last_shown_ < kRedrawInterval && !is_last) return;
    write_stderr("\r" + draw_bar(what, done, total, elapsed, base::resident_bytes(), terminal_columns()) +
                 "\x1b[K");
  } else {
    if (what == last_what_ || (now - last_shown_ < kLineInterval && !is_last)) return;
    write_stderr("octavo: " + std::string(what) + " (" +
                 numbers(done, total, elapsed, base::resident_bytes()) + ")\n");
  }
  last_shown_ = now;
  last_what_ = what;
}

bool ProgressBar::cancelled() const { return interrupted(); }

}  // namespace octavo::cli
