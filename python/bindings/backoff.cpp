// Back-off of limits that learns: conformal correction inside the controller.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "emisopt/control/conformal_backoff.hpp"
#include "emisopt/control/forecast_predictor.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

Array factors(const ConformalBackoff& self) {
  Matrix out(self.horizon(), self.outputs());
  for (int h = 0; h < self.horizon(); ++h)
    for (int o = 0; o < self.outputs(); ++o) out(h, o) = self.factor(h, o);
  return to_array(std::move(out));
}

}  // namespace

void bind_backoff(py::module_& m) {
  const ConformalConfig c;
  py::class_<ConformalBackoff>(m, "ConformalBackoff", "Back-off that learns whether it was enough.")
      .def(py::init([](std::vector<double> quantiles, int horizon, double scale_gain, double side_gain,
                       double memory, double follow, int lateness, double least, double most) {
             return ConformalBackoff(std::move(quantiles), horizon,
                                     {scale_gain, side_gain, memory, follow, lateness, least, most});
           }),
           "quantiles"_a, "horizon"_a, py::kw_only(), "scale_gain"_a = c.scale_gain,
           "side_gain"_a = c.side_gain, "memory"_a = c.memory, "follow"_a = c.follow,
           "lateness"_a = c.lateness, "least"_a = c.least, "most"_a = c.most)
      .def_property_readonly("quantiles", &ConformalBackoff::quantiles, "(O) at most 0.5: left alone.")
      .def_property_readonly("horizon", &ConformalBackoff::horizon)
      .def_property_readonly("factors", &factors, "(H, O) of the forecast that comes next.")
      .def_property_readonly("oldest", &ConformalBackoff::oldest,
                             "Oldest row whose labels are still taken; -1: none.")
      .def_property_readonly("next_row", &ConformalBackoff::next_row,
                             "From here on another run may number its rows.")
      .def(
          "issue",
          [](ConformalBackoff& self, Index row, const Array& median, const Array& upper) {
            for (const Array* a : {&median, &upper})
              require_shape("ConformalBackoff.issue", *a,
                            {{"H", long{self.horizon()}}, {"O", long{self.outputs()}}});
            self.issue(row, view(median), view(upper));
          },
          "row"_a, "median"_a.noconvert(), "upper"_a.noconvert(),
          "(H, O) each: the forecast of the plan that was chosen, as limits were held by it.")
      .def(
          "observe",
          [](ConformalBackoff& self, Index row, const Array& y) {
            require_shape("ConformalBackoff.observe(y)", y, {{"O", long{self.outputs()}}});
            return self.observe(row, y.data());
          },
          "row"_a, "y"_a.noconvert(), "(O,) what came, NaN: nothing yet; how many (step, output) learnt.")
      .def_property_readonly("row", &ConformalBackoff::row, "Last row issued; -1: none.")
      .def(
          "become",
          [](ConformalBackoff& self, const ConformalBackoff& other) {
            if (self.quantiles() != other.quantiles() || self.horizon() != other.horizon())
              throw InputError("ConformalBackoff.become: expected the same quantiles and horizon");
            self = other;
          },
          "other"_a,
          "Takes another one's state, for predictors that refer to this one. InputError for another shape.")
      .def("copy", [](const ConformalBackoff& self) { return ConformalBackoff(self); })
      .def_property_readonly("hash", &ConformalBackoff::hash, "SHA-256 of the state.")
      .def("to_bytes", [](const ConformalBackoff& self) { return py::bytes(self.state().to_bytes()); })
      .def_static(
          "from_bytes",
          [](const py::bytes& bytes) {
            const char* where = "ConformalBackoff.from_bytes";
            return ConformalBackoff::from_state(SafeTensors::from_bytes(std::string(bytes), where), where);
          },
          "bytes"_a)
      .def("save", &ConformalBackoff::save, "path"_a, py::call_guard<py::gil_scoped_release>())
      .def_static("load", &ConformalBackoff::load, "path"_a, py::call_guard<py::gil_scoped_release>());
  py::class_<ConformalPredictor, Predictor>(m, "ConformalPredictor",
                                            "A forecast with its upper values by a ConformalBackoff.")
      .def(py::init<Predictor&, const ConformalBackoff&>(), "base"_a, "backoff"_a, py::keep_alive<1, 2>(),
           py::keep_alive<1, 3>());
  m.def("backoff_quantiles", &backoff_quantiles, "limits"_a, "outputs"_a,
        "(O) the quantile that each output is held by: the largest of its limits, 0.5 without one.");
}

}  // namespace emisopt::python
