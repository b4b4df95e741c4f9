// Back-off of averaging windows that learns.
#include "emisopt/control/window_backoff.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"

namespace emisopt::python {

using namespace pybind11::literals;

void bind_window_backoff(py::module_& m) {
  const WindowBackoffConfig c;
  py::class_<WindowBackoff>(m, "WindowBackoff", "Back-off of averaging windows that learns.")
      .def(py::init([](std::vector<Limit> limits, int horizon, int outputs, double quantile, double prior,
                       double prior_count, double most, int memory, int lateness) {
             return WindowBackoff(std::move(limits), horizon, outputs,
                                  {quantile, prior, prior_count, most, memory, lateness});
           }),
           "limits"_a, "horizon"_a, "outputs"_a, py::kw_only(), "quantile"_a = c.quantile,
           "prior"_a = c.prior, "prior_count"_a = c.prior_count, "most"_a = c.most, "memory"_a = c.memory,
           "lateness"_a = c.lateness)
      .def_property_readonly("limits", &WindowBackoff::limits)
      .def_property_readonly("horizon", &WindowBackoff::horizon)
      .def_property_readonly("outputs", &WindowBackoff::outputs)
      .def_property_readonly("quantile", [](const WindowBackoff& w) { return w.config().quantile; })
      .def("back_off", &WindowBackoff::back_off, "limit"_a, "end_step"_a, "coming"_a,
           "Kept free of the mean over what is to come of a window, in the output's unit.")
      .def("learnt", &WindowBackoff::learnt, "limit"_a, "end_step"_a, "coming"_a, "Errors that it rests on.")
      .def_property_readonly("oldest", &WindowBackoff::oldest,
                             "Oldest row whose labels are still taken; -1: none.")
      .def_property_readonly("next_row", &WindowBackoff::next_row,
                             "From here on another run may number its rows.")
      .def_property_readonly("row", &WindowBackoff::row, "Last row issued; -1: none.")
      .def(
          "observe",
          [](WindowBackoff& self, Index row, const Array& y) {
            require_shape("WindowBackoff.observe(y)", y, {{"O", -1}});
            return self.observe(row, y.data(), static_cast<int>(y.size()));
          },
          "row"_a, "y"_a.noconvert(), "(O,) what came, NaN: nothing yet; how many windows taught.")
      .def("copy", [](const WindowBackoff& self) { return WindowBackoff(self); })
      .def_property_readonly("hash", &WindowBackoff::hash, "SHA-256 of the state.")
      .def("to_bytes", [](const WindowBackoff& self) { return py::bytes(self.state().to_bytes()); })
      .def_static(
          "from_bytes",
          [](const py::bytes& bytes) {
            const char* where = "WindowBackoff.from_bytes";
            return WindowBackoff::from_state(SafeTensors::from_bytes(std::string(bytes), where), where);
          },
          "bytes"_a)
      .def("save", &WindowBackoff::save, "path"_a, py::call_guard<py::gil_scoped_release>())
      .def_static("load", &WindowBackoff::load, "path"_a, py::call_guard<py::gil_scoped_release>());
}

}  // namespace emisopt::python
