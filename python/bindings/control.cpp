// The controller: setpoints, limits, objective, one decision per tick.
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>

#include "arrays.hpp"
#include "emisopt/control/controller.hpp"
#include "emisopt/control/cost_maps.hpp"
#include "emisopt/control/forecast_predictor.hpp"
#include "emisopt/control/mapped_predictor.hpp"
#include "emisopt/control/spike_gate.hpp"
#include "emisopt/permit/coming_rows.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

Setpoint make_setpoint(std::string name, std::string unit, double low, double high, double rate, double price,
                       double move_weight, double safe) {
  return {std::move(name), std::move(unit), low, high, rate, price, move_weight, safe};
}

FuelCostConfig make_fuel_cost(double period_s, int efficiency, int reagent_flow, int fee_output, int load,
                              double load_mw, double fuel_price_gj, double reagent_price_kg,
                              double fee_per_kg) {
  FuelCostConfig c;
  c.period_s = period_s;
  c.efficiency = efficiency;
  c.reagent_flow = reagent_flow;
  c.fee_output = fee_output;
  c.load = load;
  c.load_mw = load_mw;
  c.fuel_price_gj = fuel_price_gj;
  c.reagent_price_kg = reagent_price_kg;
  c.fee_per_kg = fee_per_kg;
  return c;
}

ControllerConfig make_controller_config(int blocks, int max_iterations, double deadline_s, double trust,
                                        const std::string& bias, double bias_gain, int max_hold,
                                        double limit_margin, double slack_l1, double kkt_tolerance) {
  ControllerConfig c;
  c.blocks = blocks;
  c.max_iterations = max_iterations;
  c.deadline_s = deadline_s;
  c.trust = trust;
  c.bias_gain = bias_gain;
  c.max_hold = max_hold;
  c.limit_margin = limit_margin;
  c.slack_l1 = slack_l1;
  c.kkt_tolerance = kkt_tolerance;
  using Bias = ControllerConfig::Bias;
  if (bias == "none")
    c.bias = Bias::none;
  else if (bias == "additive")
    c.bias = Bias::additive;
  else if (bias == "multiplicative")
    c.bias = Bias::multiplicative;
  else
    throw InputError("Controller(bias): expected none, additive or multiplicative, got '" + bias + "'");
  return c;
}

// Stands in when this tick has no forecast: the controller then goes down its ladder and gives the reason.
class NoForecast final : public Predictor {
 public:
  NoForecast(std::string reason, int horizon, int setpoints, int outputs)
      : reason_(std::move(reason)), horizon_(horizon), setpoints_(setpoints), outputs_(outputs) {}
  int horizon() const override { return horizon_; }
  int setpoints() const override { return setpoints_; }
  int outputs() const override { return outputs_; }
  void predict(View, View, ConstView) override { throw StateError(reason_); }
  void jacobian(View, View, ConstView) override { throw StateError(reason_); }

 private:
  std::string reason_;
  int horizon_, setpoints_, outputs_;
};

// A controller and the widths that its arguments must have; `own`: limits that it makes its rows of itself,
// which come before those of a permit.
struct BoundController {
  Controller controller;
  long setpoints, outputs;
  int horizon;
  std::vector<Limit> own;
};

std::unique_ptr<BoundController> make_controller(std::vector<Setpoint> setpoints, std::vector<Limit> limits,
                                                 const std::vector<double>& price,
                                                 const std::optional<FuelCostConfig>& fuel,
                                                 std::string currency, int horizon, int outputs,
                                                 const ControllerConfig& config, const Envelope& envelope,
                                                 const std::vector<Limit>& permit_limits) {
  Objective objective;
  if (fuel) objective.map = std::make_shared<FuelCost>(*fuel, currency);
  objective.price = price;
  objective.currency = std::move(currency);
  const long count = static_cast<long>(setpoints.size());
  std::vector<Limit> own = limits;
  limits.insert(limits.end(), permit_limits.begin(), permit_limits.end());
  return std::make_unique<BoundController>(
      BoundController{Controller(std::move(setpoints), std::move(limits), std::move(objective), horizon,
                                 outputs, config, envelope),
                      count, outputs, horizon, std::move(own)});
}

Decision step(BoundController& self, Predictor& predictor, const Array& applied, const Array& past,
              const PermitRows* permit) {
  require_shape("Controller.step(applied)", applied, {{"U", self.setpoints}});
  require_shape("Controller.step(past)", past, {{"N", -1}, {"O", self.outputs}});
  const std::vector<double> u = to_vector(applied);
  const ConstView known = view(past);
  py::gil_scoped_release nogil;
  std::vector<LimitRow> rows = limit_rows(self.own, known, self.horizon);
  if (permit) append_rows(rows, permit->rows, static_cast<int>(self.own.size()));
  return self.controller.step(predictor, u, known, rows);
}

// A gate and the width that its rows must have.
struct BoundGate {
  SpikeGate gate;
  long outputs;
};

void bind_gate(py::module_& m) {
  py::class_<BoundGate>(m, "SpikeGate", "Puts lone readings aside that lie far from what was forecast.")
      .def(py::init([](int outputs, double width) { return BoundGate{SpikeGate(outputs, width), outputs}; }),
           "outputs"_a, "width"_a = 4.0)
      .def(
          "expect",
          [](BoundGate& self, const Array& median, const Array& upper) {
            require_shape("SpikeGate.expect(median)", median, {{"O", self.outputs}});
            require_shape("SpikeGate.expect(upper)", upper, {{"O", self.outputs}});
            self.gate.expect(median.data(), upper.data());
          },
          "median"_a.noconvert(), "upper"_a.noconvert(), "(O,), (O,): the forecast for the coming row.")
      .def(
          "judge",
          [](BoundGate& self, const Array& measured) {
            require_shape("SpikeGate.judge(measured)", measured, {{"O", self.outputs}});
            self.gate.judge(measured.data());
          },
          "measured"_a.noconvert(), "(O,): the row that came, NaN where nothing did.")
      .def(
          "forget", [](BoundGate& self) { self.gate.forget(); }, "A row came that does not follow.")
      .def(
          "aside",
          [](const BoundGate& self, Index rows) {
            Matrix y(rows, self.outputs);
            self.gate.apply(y.view());
            py::array_t<bool> out({rows, static_cast<Index>(self.outputs)});
            std::transform(y.values.begin(), y.values.end(), out.mutable_data(),
                           [](double v) { return std::isnan(v); });
            return out;
          },
          "rows"_a, "(rows, O) bool, newest last: True where the reading was put aside.");
}

void bind_parts(py::module_& m) {
  bind_gate(m);
  const Setpoint s;
  py::class_<Setpoint>(m, "Setpoint", "A setpoint with its hard bounds and rate.")
      .def(py::init(&make_setpoint), py::kw_only(), "name"_a, "unit"_a, "low"_a, "high"_a, "rate"_a = s.rate,
           "price"_a = s.price, "move_weight"_a = s.move_weight, "safe"_a = s.safe)
      .def_readonly("name", &Setpoint::name)
      .def_readonly("low", &Setpoint::low)
      .def_readonly("high", &Setpoint::high)
      .def_readonly("rate", &Setpoint::rate, "Largest move per tick; NaN: free.");
  const FuelCostConfig f;
  py::class_<FuelCostConfig>(m, "FuelCost", "A fired unit's bill: fuel, reagent, fee.")
      .def(py::init(&make_fuel_cost), py::kw_only(), "period_s"_a = f.period_s, "efficiency"_a,
           "reagent_flow"_a = f.reagent_flow, "fee_output"_a = f.fee_output, "load"_a = f.load,
           "load_mw"_a = f.load_mw, "fuel_price_gj"_a = f.fuel_price_gj,
           "reagent_price_kg"_a = f.reagent_price_kg, "fee_per_kg"_a = f.fee_per_kg);
  const ControllerConfig c;
  py::class_<ControllerConfig>(m, "ControllerConfig", "How the controller searches.")
      .def(py::init(&make_controller_config), py::kw_only(), "blocks"_a = c.blocks,
           "max_iterations"_a = c.max_iterations, "deadline_s"_a = c.deadline_s, "trust"_a = c.trust,
           "bias"_a = "none", "bias_gain"_a = c.bias_gain, "max_hold"_a = c.max_hold,
           "limit_margin"_a = c.limit_margin, "slack_l1"_a = c.slack_l1, "kkt_tolerance"_a = c.kkt_tolerance);
  py::class_<Envelope>(m, "Envelope", "Where the training rows lay: mean and precision of (u, d).")
      .def(py::init<>())
      .def(py::init([](const Array& mean, const Array& precision, double radius2, double weight) {
             const long n = static_cast<long>(mean.size());
             require_shape("Envelope(precision)", precision, {{"U+D", n}, {"U+D", n}});
             return Envelope{to_vector(mean), to_matrix(precision), radius2, weight};
           }),
           py::kw_only(), "mean"_a.noconvert(), "precision"_a.noconvert(), "radius2"_a, "weight"_a);
}

void bind_decision(py::module_& m) {
  py::enum_<Status> status(m, "Status", "Outcome of a decision, from best to last resort.");
  for (const Status s : {Status::optimal, Status::feasible_deadline, Status::limit_slacked,
                         Status::previous_plan_shifted, Status::hold, Status::safe_ramp})
    status.value(to_string(s), s);
  py::class_<Slack>(m, "Slack", "A limit that does not hold in the plan.")
      .def_readonly("limit", &Slack::limit)
      .def_readonly("amount", &Slack::amount, "Largest excess, in the unit of the limit.")
      .def_readonly("first_step", &Slack::first_step)
      .def_readonly("last_step", &Slack::last_step);
  py::class_<Decision>(m, "Decision", "What to do now and why.")
      .def_property_readonly(
          "move", [](const Decision& d) { return to_array(d.move); }, "(U,) to apply now.")
      .def_readonly("status", &Decision::status)
      .def_property_readonly(
          "plan", [](const Decision& d) { return to_array(Matrix(d.plan)); }, "(H, U)")
      .def_property_readonly(
          "median", [](const Decision& d) { return to_array(Matrix(d.median)); },
          "(H, O) under the plan, bias included.")
      .def_property_readonly(
          "upper", [](const Decision& d) { return to_array(Matrix(d.upper)); },
          "(H, O) the quantile that limits are held by.")
      .def_readonly("slacks", &Decision::slacks)
      .def_readonly("cost", &Decision::cost, "Predicted money over the horizon.")
      .def_readonly("kkt", &Decision::kkt)
      .def_readonly("iterations", &Decision::iterations)
      .def_readonly("seconds", &Decision::seconds)
      .def_readonly("reason", &Decision::reason, "Why not OPTIMAL.");
}

}  // namespace

void bind_control(py::module_& m) {
  bind_parts(m);
  bind_decision(m);
  py::class_<Predictor>(m, "Predictor", "What the controller optimises over.");
  py::class_<MappedPredictor, Predictor>(m, "MappedPredictor", "A forecast through an output map.")
      .def(py::init([](Predictor& base, std::shared_ptr<SizedMap> map) {
             return std::make_unique<MappedPredictor>(base, std::move(map));
           }),
           "base"_a, "map"_a, py::keep_alive<1, 2>());
  py::class_<ForecastPredictor, Predictor>(m, "ForecastPredictor",
                                           "The forecaster as the controller sees it.")
      .def(py::init([](const Forecaster& forecaster, const std::vector<Limit>& limits, int threads) {
             const int outputs = static_cast<int>(forecaster.layout.outputs().size());
             return std::make_unique<ForecastPredictor>(forecaster, backoff_quantiles(limits, outputs),
                                                        threads);
           }),
           "forecaster"_a, "limits"_a, "threads"_a = 0)
      .def(
          "set_tick",
          [](ForecastPredictor& self, const History& history, Index end, const Array& known) {
            require_shape("Controller.step(known)", known, {{"H", long{self.horizon()}}, {"D", -1}});
            const ConstView coming = view(known);
            py::gil_scoped_release nogil;
            self.set_tick(history, end, coming);
          },
          "history"_a, "end"_a, "known"_a.noconvert(),
          "Reads the history that ends before row `end`; known (H, D), NaN = unknown.");
  py::class_<BoundController>(m, "Controller", "Sequential quadratic programming over a forecast.")
      .def(py::init(&make_controller), py::kw_only(), "setpoints"_a, "limits"_a, "price"_a, "fuel"_a,
           "currency"_a, "horizon"_a, "outputs"_a, "config"_a, "envelope"_a,
           "permit_limits"_a = std::vector<Limit>())
      .def("step", &step, "predictor"_a, "applied"_a.noconvert(), "past"_a.noconvert(), "permit"_a = nullptr,
           "applied (U,) commanded last tick; past (N, O) measured, newest last, NaN = invalid; permit: what "
           "it\n"
           "still asks of the coming steps, its limits those that the controller was made with.")
      .def(
          "step_blind",
          [](BoundController& self, const std::string& reason, const Array& applied, const Array& past) {
            NoForecast none(reason, self.horizon, static_cast<int>(self.setpoints),
                            static_cast<int>(self.outputs));
            return step(self, none, applied, past, nullptr);
          },
          "reason"_a, "applied"_a.noconvert(), "past"_a.noconvert(),
          "A decision without a forecast of this tick: the last plan shifted, hold, or a safe ramp.")
      .def(
          "observe",
          [](BoundController& self, const Array& forecast, const Array& measured, bool calibrating) {
            require_shape("Controller.observe(forecast)", forecast, {{"O", self.outputs}});
            require_shape("Controller.observe(measured)", measured, {{"O", self.outputs}});
            self.controller.observe(forecast.data(), measured.data(), calibrating);
          },
          "forecast"_a.noconvert(), "measured"_a.noconvert(), "calibrating"_a = false,
          "Feeds the bias filter with the forecast for a row (O,) and its measurement (O,).")
      .def_property_readonly(
          "bias", [](const BoundController& self) { return to_array(self.controller.bias()); },
          "(O,) offsets, or factors when multiplicative.")
      .def("reset", [](BoundController& self) { self.controller.reset(); }, "Forgets warm start and bias.");
}

}  // namespace emisopt::python
