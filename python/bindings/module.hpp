// One registration function per concept; module.cpp calls them in the order of the data.
#pragma once
#include <pybind11/pybind11.h>

namespace emisopt::python {

namespace py = pybind11;

void bind_errors(py::module_& m);      // errors.cpp: classes and their translation
void bind_archive(py::module_& m);     // archive.cpp: sealed files of named parts
void bind_engine(py::module_& m);      // engine.cpp: ISA levels, networks as data, the optimiser's pass
void bind_program(py::module_& m);     // program.cpp: compiled programs and their buffers
void bind_networks(py::module_& m);    // program.cpp: the forecaster's network and its weights
void bind_peak(py::module_& m);        // peak.cpp: what the machine can do at best
void bind_data(py::module_& m);        // data.cpp: tags and histories
void bind_compliance(py::module_& m);  // compliance.cpp: conversions, substitution, audit records, statistics
void bind_permit(py::module_& m);      // permit.cpp: permits as data, their evaluation
void bind_forecaster(py::module_& m);  // forecaster.cpp: sizes, checkpoint, sessions
void bind_prior(py::module_& m);       // prior.cpp: mechanistic priors, tables and registered functions
void bind_distill(py::module_& m);     // distill.cpp: a teacher's stored forecasts, copied layers
void bind_train(py::module_& m);       // train.cpp: progress and results
void bind_transplant(py::module_& m);  // transplant.cpp: a forecaster for another plant
void bind_online(py::module_& m);      // online.cpp: learning row by row
void bind_corrector(py::module_& m);   // corrector.cpp: the closed-form forecaster that follows the labels
void bind_qp(py::module_& m);          // qp.cpp: the quadratic program by itself
void bind_cost(py::module_& m);        // cost.cpp: a unit's bill, tables, polynomials, targets
void bind_control(py::module_& m);     // control.cpp: limits, decisions, explanations
void bind_window_backoff(py::module_& m);   // window_backoff.cpp: back-off of averages that learns
void bind_backoff(py::module_& m);          // backoff.cpp: back-off that learns
void bind_plant(py::module_& m);            // plant.cpp: the synthetic boiler and its history
void bind_plant_ode(py::module_& m);        // plant_ode.cpp: the literature's plants
void bind_loop(py::module_& m);             // loop.cpp: backtest, closed loops
void bind_risk(py::module_& m);             // risk.cpp: how likely running averages are to break their limits
void bind_monitor_drift(py::module_& m);    // monitor_drift.cpp: drift detectors, run lengths, discoveries
void bind_monitor_sensors(py::module_& m);  // monitor_sensors.cpp: sensors, envelope, process monitor
void bind_monitor_coverage(py::module_& m);  // monitor_coverage.cpp: conformal correction, coverage

}  // namespace emisopt::python
