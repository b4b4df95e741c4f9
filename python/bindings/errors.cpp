// The library's errors as Python classes that callers already catch: InputError is a ValueError, StateError a
// RuntimeError, FileError an OSError; all of them are emisopt.Error.
#include "emisopt/base/error.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

// Classes live as long as the interpreter; the translator below needs them without a lookup.
PyObject *error_class, *input_class, *shape_class, *state_class, *file_class;

PyObject* add_class(py::module_& m, const char* name, const py::tuple& bases, const char* doc) {
  const std::string qualified = std::string("emisopt._core.") + name;
  PyObject* made = PyErr_NewExceptionWithDoc(qualified.c_str(), doc, bases.ptr(), nullptr);
  if (!made) throw py::error_already_set();
  m.add_object(name, py::handle(made));
  return made;
}

}  // namespace

void bind_errors(py::module_& m) {
  auto tuple = [](auto... h) { return py::make_tuple(py::handle(h)...); };
  error_class =
      add_class(m, "Error", tuple(PyExc_Exception), "Base of every error that emisopt raises itself.");
  input_class = add_class(m, "InputError", tuple(error_class, PyExc_ValueError),
                          "A value handed in is unusable: range, unit, text, stamp.");
  shape_class = add_class(m, "ShapeError", tuple(input_class), "An array has the wrong shape or type.");
  state_class = add_class(m, "StateError", tuple(error_class, PyExc_RuntimeError),
                          "A call came in the wrong state, e.g. predict before fit.");
  file_class = add_class(m, "FileError", tuple(error_class, PyExc_OSError),
                         "A file is missing, truncated, corrupt, foreign or newer than this library.");
  // Most derived first: the first match decides.
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const ShapeError& e) {
      PyErr_SetString(shape_class, e.what());
    } catch (const InputError& e) {
      PyErr_SetString(input_class, e.what());
    } catch (const StateError& e) {
      PyErr_SetString(state_class, e.what());
    } catch (const FileError& e) {
      PyErr_SetString(file_class, e.what());
    } catch (const Error& e) {
      PyErr_SetString(error_class, e.what());
    }
  });
}

}  // namespace emisopt::python
