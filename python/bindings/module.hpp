// One registration function per concept; module.cpp calls them in the order of the data.
#pragma once
#include <pybind11/pybind11.h>

namespace emisopt::python {

namespace py = pybind11;

void bind_errors(py::module_& m);  // errors.cpp: classes and their translation
void bind_engine(py::module_& m);  // engine.cpp: ISA levels, networks as data, programs

}  // namespace emisopt::python
