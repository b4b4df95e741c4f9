// One registration function per concept; module.cpp calls them in the order of the data.
#pragma once
#include <pybind11/pybind11.h>

namespace emisopt::python {

namespace py = pybind11;

void bind_errors(py::module_& m);      // errors.cpp: classes and their translation
void bind_engine(py::module_& m);      // engine.cpp: ISA levels, networks as data, programs
void bind_data(py::module_& m);        // data.cpp: tags and histories
void bind_compliance(py::module_& m);  // compliance.cpp: conversions, substitution, audit records, statistics
void bind_permit(py::module_& m);      // permit.cpp: permits as data, their evaluation
void bind_forecaster(py::module_& m);  // forecaster.cpp: sizes, checkpoint, sessions
void bind_train(py::module_& m);       // train.cpp: training with progress and Ctrl-C
void bind_corrector(py::module_& m);   // corrector.cpp: the closed-form forecaster that follows the labels
void bind_control(py::module_& m);     // control.cpp: limits, objective, decisions
void bind_plant(py::module_& m);       // plant.cpp: the synthetic boiler and its history
void bind_loop(py::module_& m);        // loop.cpp: backtest, closed loops
void bind_risk(py::module_& m);        // risk.cpp: how likely running averages are to break their limits

}  // namespace emisopt::python
