// octavo._native: Octavo's C++ API (include/octavo/) for the Python package beside it, which is what people
// import.
#include "octavo/version.h"

#include "bindings.h"

NB_MODULE(_native, module) {
  module.doc() = "Octavo's C++ library; use the package octavo.";
  module.attr("__version__") = octavo::kVersion;
  octavo::python::bind_errors(module);
  octavo::python::bind_quantize(module);
  octavo::python::bind_text(module);
  octavo::python::bind_engine(module);
}
