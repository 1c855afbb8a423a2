#pragma once
// Long calls from Python: the caller's progress function is called, and Ctrl-C ends the work.
#include <nanobind/nanobind.h>

#include <chrono>
#include <exception>

#include "octavo/progress.h"
#include "octavo/status.h"

namespace octavo::python {

// Handed to library calls that run without the GIL on the thread that Python called from. An exception out of
// the progress function, or out of a signal's handler, cancels the work and is raised once it has ended.
class InterruptibleProgress : public Progress {
 public:
  // function: called as function(what, done, total), or None.
  explicit InterruptibleProgress(nanobind::object function) : function_(std::move(function)) {}

  void update(std::string_view what, int64_t done, int64_t total) override;
  bool cancelled() const override;

  // With the GIL: raises what cancelled the work; otherwise the status' exception, unless ok.
  void check(const Status& status) const;

 private:
  nanobind::object function_;
  mutable std::exception_ptr raised_;
  mutable std::chrono::steady_clock::time_point next_look_{};
};

}  // namespace octavo::python
