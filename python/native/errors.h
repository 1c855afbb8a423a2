#pragma once
// Status to Python exception, here alone.
#include <nanobind/nanobind.h>

#include <utility>

#include "octavo/status.h"

namespace octavo::python {

// Throws the exception of the status' code; kCancelled is KeyboardInterrupt. The GIL is held.
[[noreturn]] void raise(const Status& status);

inline void check(const Status& status) {
  if (!status.ok()) raise(status);
}

template <class T>
T unwrap(Result<T> result) {
  if (!result.ok()) raise(result.status());
  return std::move(result).value();
}

// Runs `work`, which touches no Python object, without the GIL.
template <class Work>
auto without_gil(const Work& work) {
  const nanobind::gil_scoped_release release;
  return work();
}

}  // namespace octavo::python
