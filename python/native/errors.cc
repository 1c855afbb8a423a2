// OctavoError and its kinds. Each is also the built-in exception that a Python program expects, so that
// `except ValueError` catches a bad argument; `except OctavoError` catches all but Ctrl-C.
#include "errors.h"

#include <string>

#include "bindings.h"

namespace nb = nanobind;

namespace octavo::python {

namespace {

// A code as Python programs read it, in `.code`.
const char* code_text(StatusCode code) {
  switch (code) {
    case StatusCode::kInvalidArgument:
      return "invalid_argument";
    case StatusCode::kNotFound:
      return "not_found";
    case StatusCode::kUnsupported:
      return "unsupported";
    case StatusCode::kCorrupt:
      return "data_loss";
    case StatusCode::kResourceExhausted:
      return "resource_exhausted";
    case StatusCode::kIo:
      return "io";
    case StatusCode::kCancelled:
      return "cancelled";
    case StatusCode::kOk:
    case StatusCode::kInternal:
      break;
  }
  return "internal";
}

struct Kind {
  StatusCode code;
  const char* name;
  PyObject* builtin;
  const char* doc;
};

// Borrowed from the module, which lives as long as the interpreter.
PyObject* g_types[static_cast<size_t>(StatusCode::kInternal) + 1] = {};

PyObject* new_exception(const Kind& kind, nb::handle base) {
  nb::dict members;
  members["code"] = code_text(kind.code);
  members["__module__"] = "octavo";
  const nb::tuple bases =
      kind.builtin == nullptr ? nb::make_tuple(base) : nb::make_tuple(base, nb::handle(kind.builtin));
  PyObject* type = PyErr_NewExceptionWithDoc((std::string("octavo.") + kind.name).c_str(), kind.doc,
                                             bases.ptr(), members.ptr());
  if (type == nullptr) throw nb::python_error();
  return type;
}

}  // namespace

void bind_errors(nb::module_& module) {
  const Kind base{StatusCode::kInternal, "OctavoError", nullptr,
                  "What Octavo raises. `code` names the kind, the text says what was expected, what was "
                  "found and what to do."};
  PyObject* root = new_exception(base, PyExc_Exception);
  module.attr(base.name) = nb::steal(root);
  const Kind kinds[] = {
      {StatusCode::kInvalidArgument, "InvalidArgumentError", PyExc_ValueError,
       "The call asks for something that makes no sense."},
      {StatusCode::kNotFound, "NotFoundError", PyExc_FileNotFoundError, "A file, tensor or name is missing."},
      {StatusCode::kUnsupported, "UnsupportedError", PyExc_NotImplementedError,
       "Valid, but Octavo cannot do it yet."},
      {StatusCode::kCorrupt, "CorruptError", PyExc_RuntimeError, "A file breaks its format."},
      {StatusCode::kResourceExhausted, "ResourceExhaustedError", PyExc_MemoryError,
       "Memory, disk space, the context or a limit ran out."},
      {StatusCode::kIo, "IoError", PyExc_RuntimeError, "The operating system refused to read or write."},
      {StatusCode::kInternal, "InternalError", PyExc_RuntimeError, "A fault of Octavo's own."},
  };
  for (const Kind& kind : kinds) {
    PyObject* type = new_exception(kind, root);
    module.attr(kind.name) = nb::steal(type);
    g_types[static_cast<size_t>(kind.code)] = type;
  }
}

void raise(const Status& status) {
  PyObject* type = status.code() == StatusCode::kCancelled ? PyExc_KeyboardInterrupt
                                                           : g_types[static_cast<size_t>(status.code())];
  PyErr_SetString(type, status.message().c_str());
  throw nb::python_error();
}

}  // namespace octavo::python
