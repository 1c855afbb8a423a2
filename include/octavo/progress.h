#pragma once
// How long work reports: the library calls, the surface draws (a bar on a terminal, plain lines elsewhere).
#include <cstdint>
#include <string_view>

namespace octavo {
class Progress {
 public:
  virtual ~Progress() = default;
  // `done` of `total` steps; `what` names the step under way ("layer 3/36 smooth"). Called on the working
  // thread.
  virtual void update(std::string_view what, int64_t done, int64_t total) = 0;
  // Polled between steps; true ends the work with a kCancelled Status.
  virtual bool cancelled() const { return false; }
};
}  // namespace octavo
