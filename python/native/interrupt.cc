// Python's signal handlers run only when Python runs, so C++ work has to ask for them (PyErr_CheckSignals).
// Called by quantize.cc and engine.cc.
#include "interrupt.h"

#include <string>

#include "errors.h"

namespace nb = nanobind;

namespace octavo::python {

void InterruptibleProgress::update(std::string_view what, int64_t done, int64_t total) {
  if (function_.is_none() || raised_) return;
  const nb::gil_scoped_acquire acquire;
  try {
    function_(nb::str(what.data(), what.size()), done, total);
  } catch (...) {
    raised_ = std::current_exception();
  }
}

bool InterruptibleProgress::cancelled() const {
  if (raised_) return true;
  // A person notices a tenth of a second; taking the GIL at every layer of a small model would cost more than
  // the layer.
  constexpr auto kBetweenLooks = std::chrono::milliseconds(50);
  const auto now = std::chrono::steady_clock::now();
  if (now < next_look_) return false;
  next_look_ = now + kBetweenLooks;
  const nb::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() == 0) return false;
  raised_ = std::make_exception_ptr(nb::python_error());
  return true;
}

void InterruptibleProgress::check(const Status& status) const {
  if (raised_) std::rethrow_exception(raised_);
  python::check(status);
}

}  // namespace octavo::python
