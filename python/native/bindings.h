#pragma once
// The parts of octavo._native: each adds its classes and functions to the module.
#include <nanobind/nanobind.h>

namespace octavo::python {

void bind_errors(nanobind::module_& module);
void bind_quantize(nanobind::module_& module);
void bind_text(nanobind::module_& module);
void bind_engine(nanobind::module_& module);

}  // namespace octavo::python
