// The extension module: what Python sees of the core. No logic here or in its sisters: check shapes, take
// pointers while holding the GIL, release it, call one function of the core.
#include "module.hpp"

PYBIND11_MODULE(_core, m) {
  using namespace emisopt::python;
  m.doc() = "The C++ core of emisopt; the public names are in `emisopt`.";
  m.attr("__version__") = EMISOPT_VERSION;
  bind_errors(m);
  bind_archive(m);
  bind_engine(m);
  bind_program(m);
  bind_peak(m);
  bind_data(m);
  bind_compliance(m);
  bind_permit(m);
  bind_prior(m);
  bind_monitor_drift(m);
  bind_monitor_sensors(m);
  bind_monitor_coverage(m);
  bind_forecaster(m);
  bind_networks(m);
  bind_distill(m);
  bind_train(m);
  bind_transplant(m);
  bind_online(m);
  bind_corrector(m);
  bind_qp(m);
  bind_cost(m);
  bind_window_backoff(m);
  bind_control(m);
  bind_backoff(m);
  bind_risk(m);
  bind_plant(m);
  bind_plant_ode(m);
  bind_loop(m);
}
