// The literature's plants: a reactor and four tanks, and any of them as what an oracle optimises over.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/loop/plant_predictor.hpp"
#include "emisopt/plant/cstr.hpp"
#include "emisopt/plant/quadruple_tank.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

long count(const std::vector<Index>& tags) { return static_cast<long>(tags.size()); }

void setpoints_fit(const OdePlant& plant, const char* where, const Array& setpoints) {
  require_shape(where, setpoints, {{"U", count(plant.tags().setpoints())}});
}

Array row_of(std::size_t width) { return Array(static_cast<py::ssize_t>(width)); }

}  // namespace

void bind_plant_ode(py::module_& m) {
  py::class_<OdePlant>(m, "OdePlant", "A plant given by ordinary differential equations.")
      .def_property_readonly("tags", [](const OdePlant& p) { return p.tags(); })
      .def_property_readonly("time", &OdePlant::time, "Seconds since the start of the simulation.")
      .def_property(
          "state", [](const OdePlant& p) { return to_array(p.state()); },
          [](OdePlant& p, const std::vector<double>& state) { p.set_state(state); },
          "(X,) in the units of the equations.")
      .def(
          "advance",
          [](OdePlant& self, const Array& setpoints) {
            setpoints_fit(self, "OdePlant.advance(setpoints)", setpoints);
            const double* u = setpoints.data();
            py::gil_scoped_release nogil;
            self.advance(u);
          },
          "setpoints"_a.noconvert(), "Holds setpoints (U), units of the tags, for one row.")
      .def(
          "settle",
          [](OdePlant& self, const Array& setpoints) {
            setpoints_fit(self, "OdePlant.settle(setpoints)", setpoints);
            const double* u = setpoints.data();
            py::gil_scoped_release nogil;
            self.settle(u);
          },
          "setpoints"_a.noconvert(), "Brings the states to rest at setpoints (U) under what is now.")
      .def(
          "measure",
          [](OdePlant& self) {
            Array row = row_of(self.tags().tags.size());
            self.measure(row.mutable_data());
            return row;
          },
          "The historian's row (tags,) of the period just ended.")
      .def(
          "truth",
          [](const OdePlant& self) {
            Array y = row_of(self.tags().outputs().size());
            self.truth(y.mutable_data());
            return y;
          },
          "Noise-free outputs (O,), mean over the period just ended.")
      .def(
          "disturbances",
          [](const OdePlant& self) {
            Array d = row_of(self.tags().disturbances().size());
            self.true_disturbances(d.mutable_data());
            return d;
          },
          "True disturbances (D,), mean over the period just ended.")
      .def(
          "rates",
          [](const OdePlant& self, const Array& setpoints) {
            setpoints_fit(self, "OdePlant.rates(setpoints)", setpoints);
            Array slopes = row_of(self.state().size()), y = row_of(self.tags().outputs().size());
            self.rates(setpoints.data(), slopes.mutable_data(), y.mutable_data());
            return py::make_tuple(slopes, y);
          },
          "setpoints"_a.noconvert(), "dx/dt per second (X,) and outputs (O,) at this state and moment.");
  py::class_<Cstr, OdePlant>(m, "Cstr", "The Klatt-Engell reactor; rows of 60 s.")
      .def(py::init<std::uint64_t, double, double, int>(), py::kw_only(), "seed"_a = 0, "wander"_a = 1.0,
           "noise"_a = 1.0, "steps"_a = 60)
      .def("clone", [](const Cstr& p) { return Cstr(p); }, "A copy with its full state and noise.");
  py::class_<QuadrupleTank, OdePlant>(m, "QuadrupleTank", "Johansson's four tanks; rows of 15 s.")
      .def(py::init([](bool minimum_phase, std::uint64_t seed, double wander, double noise, int steps) {
             return QuadrupleTank(
                 minimum_phase ? TankSetting::minimum_phase() : TankSetting::nonminimum_phase(), seed, wander,
                 noise, steps);
           }),
           py::kw_only(), "minimum_phase"_a = true, "seed"_a = 0, "wander"_a = 1.0, "noise"_a = 1.0,
           "steps"_a = 30)
      .def(
          "clone", [](const QuadrupleTank& p) { return QuadrupleTank(p); },
          "A copy with its full state and noise.");
  py::class_<PlantPredictor, Predictor>(
      m, "PlantPredictor", "A plant's true equations and true future as a forecast: for oracles.")
      .def(py::init([](int horizon, const std::vector<int>& block_starts, int threads) {
             if (horizon < 1 || block_starts.empty() || block_starts[0] != 0)
               throw InputError("PlantPredictor: expected a horizon of at least 1 and blocks from step 0 on");
             return std::make_unique<PlantPredictor>(horizon, block_starts, threads);
           }),
           "horizon"_a, "block_starts"_a, "threads"_a = 1)
      .def(
          "set",
          [](PlantPredictor& self, const OdePlant& plant) { self.set(plant.clone(), nullptr, Matrix()); },
          "plant"_a, "A new tick: the plant as it stands; it is copied.")
      .def(
          "predict",
          [](PlantPredictor& self, const Array& plan) {
            require_shape("PlantPredictor.predict(plan)", plan,
                          {{"H", long{self.horizon()}}, {"U", long{self.setpoints()}}});
            Matrix median(self.horizon(), self.outputs()), upper(self.horizon(), self.outputs());
            {
              py::gil_scoped_release nogil;
              self.predict(median.view(), upper.view(), view(plan));
            }
            return to_array(std::move(median));
          },
          "plan"_a.noconvert(), "Outputs (H, O) that the plan (H, U) will lead to.");
}

}  // namespace emisopt::python
