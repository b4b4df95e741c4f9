// The embedded synthetic boiler: a plant to learn on, and two crews that leave a history.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/plant/boiler.hpp"
#include "emisopt/plant/operator.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

// One plant of the family. lag: factor on all time constants; fuel: the one grade that is burnt, -1:
// deliveries.
BoilerConfig config_of(std::uint64_t seed, std::optional<std::uint64_t> plant_seed, double lag, int fuel,
                       bool scr, std::optional<double> fan_limit) {
  BoilerConfig config;
  if (plant_seed) config.parameters = BoilerParameters::draw(*plant_seed);
  config.parameters.catalyst = scr;
  if (fan_limit) {
    if (!(*fan_limit >= 0.5 && *fan_limit <= 2))
      throw InputError("Boiler(fan_limit): expected 0.5..2 of the design gas volume, got " +
                       number_text(*fan_limit));
    config.parameters.fan_limit = *fan_limit;
  }
  if (!(lag >= 0.2 && lag <= 10))
    throw InputError("Boiler(lag): expected a factor of 0.2..10, got " + number_text(lag));
  BoilerParameters& p = config.parameters;
  for (double* seconds : {&p.feeder_s, &p.o2_s, &p.damper_s, &p.tilt_s, &p.valve_s, &p.wall_s,
                          &p.inlet_analyser_s, &p.stack_analyser_s, &p.co_analyser_s, &p.slip_analyser_s})
    *seconds *= lag;
  if (fuel >= 0) config.fuel_plan = {{-1e9, fuel}};
  config.seed = seed;
  return config;
}

Boiler make_boiler(std::uint64_t seed, std::optional<std::uint64_t> plant_seed, double start_s, bool slagging,
                   double lag, int fuel, bool scr, std::optional<double> fan_limit) {
  BoilerConfig config = config_of(seed, plant_seed, lag, fuel, scr, fan_limit);
  config.start_s = start_s;
  config.slagging = slagging;
  return Boiler(config);
}

py::tuple simulate(std::uint64_t seed, std::optional<std::uint64_t> plant_seed, int days, double dither,
                   bool instrument_faults, double lag, int fuel, bool scr, std::optional<double> fan_limit,
                   py::object progress) {
  HistoryConfig config;
  config.boiler = config_of(seed, plant_seed, lag, fuel, scr, fan_limit);
  config.days = days;
  config.dither = dither;
  if (!instrument_faults) {
    InstrumentFaults& faults = config.boiler.faults;
    faults.calibrations = false;
    faults.blowbacks_per_day = faults.freezes_per_day = faults.dropouts = faults.spikes_per_day = 0;
  }
  auto report = [&](double share) {
    py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    return progress.is_none() || !progress(share).is(py::bool_(false));
  };
  SimulatedHistory simulated = [&] {
    py::gil_scoped_release nogil;
    return simulate_history(config, report);
  }();
  py::array_t<bool> tight(static_cast<py::ssize_t>(simulated.tight.size()));
  std::copy(simulated.tight.begin(), simulated.tight.end(), tight.mutable_data());
  return py::make_tuple(std::move(simulated.history), to_array(std::move(simulated.truth)), tight);
}

}  // namespace

void bind_plant(py::module_& m) {
  py::class_<Boiler>(m, "Boiler", "A synthetic 300 MW coal boiler with SCR; rows of 300 s.")
      .def(py::init(&make_boiler), py::kw_only(), "seed"_a = 0, "plant_seed"_a = py::none(),
           "start_s"_a = 0.0, "slagging"_a = true, "lag"_a = 1.0, "fuel"_a = -1, "scr"_a = true,
           "fan_limit"_a = py::none())
      .def_property_readonly("tags", [](const Boiler& b) { return b.tags(); })
      .def_property_readonly("time", &Boiler::time, "Seconds since the start of the simulation.")
      .def(
          "advance",
          [](Boiler& self, const Array& setpoints) {
            require_shape("Boiler.advance(setpoints)", setpoints, {{"U", long{boiler::kSetpoints}}});
            const double* u = setpoints.data();
            py::gil_scoped_release nogil;
            self.advance(u);
          },
          "setpoints"_a.noconvert(), "Holds setpoints (U), units of the tags, for one row.")
      .def(
          "settle",
          [](Boiler& self, const Array& setpoints) {
            require_shape("Boiler.settle(setpoints)", setpoints, {{"U", long{boiler::kSetpoints}}});
            BoilerSetpoints u;
            std::copy(setpoints.data(), setpoints.data() + setpoints.size(), u.begin());
            self.settle(u);
          },
          "setpoints"_a.noconvert(), "Settles all states at setpoints (U) under the present surroundings.")
      .def(
          "measure",
          [](Boiler& self) {
            Array row(py::ssize_t{boiler::kColumns});
            self.measure(row.mutable_data());
            return row;
          },
          "The historian's row (tags,) of the period just ended; NaN when not reported.")
      .def(
          "truth",
          [](const Boiler& self) {
            Array outputs(py::ssize_t{boiler::kOutputs});
            self.truth(outputs.mutable_data());
            return outputs;
          },
          "Noise-free outputs (O,) over the period just ended: for judging only.")
      .def(
          "schedule",
          [](const Boiler& self, int rows) {
            if (rows < 1)
              throw InputError("Boiler.schedule(rows): expected at least 1, got " + std::to_string(rows));
            Array known({py::ssize_t{rows}, py::ssize_t{boiler::kDisturbances}});
            self.schedule(known.mutable_data(), rows);
            return known;
          },
          "rows"_a, "Disturbances known ahead for the next rows (rows, D); NaN = unknown.")
      .def("clone", [](const Boiler& self) { return Boiler(self); }, "A copy with its full state and noise.");
  m.def("simulate_history", &simulate, py::kw_only(), "seed"_a, "plant_seed"_a = py::none(), "days"_a = 90,
        "dither"_a = 0.0, "instrument_faults"_a = true, "lag"_a = 1.0, "fuel"_a = -1, "scr"_a = true,
        "fan_limit"_a = py::none(), "progress"_a = py::none(),
        "Months of operation by two crews: (History, truth (N, O), tight crew (N,)).");
  m.attr("epoch") = boiler::kEpoch;
}

}  // namespace emisopt::python
