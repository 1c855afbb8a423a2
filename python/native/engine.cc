// The engine for Python. Called by octavo.LLM.
#include "octavo/engine.h"

#include "bindings.h"

namespace octavo::python {

void bind_engine(nanobind::module_&) {}

}  // namespace octavo::python
