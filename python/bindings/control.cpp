// The controller: setpoints, limits, objective, one decision per tick.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "arrays.hpp"
#include "emisopt/control/controller.hpp"
#include "emisopt/control/cost_maps.hpp"
#include "emisopt/control/cost_tables.hpp"
#include "emisopt/control/forecast_predictor.hpp"
#include "emisopt/control/mapped_predictor.hpp"
#include "emisopt/control/spike_gate.hpp"
#include "emisopt/control/window_backoff.hpp"
#include "emisopt/permit/coming_rows.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

Setpoint make_setpoint(std::string name, std::string unit, double low, double high, double rate, double price,
                       double move_weight, double safe, double dead_band, int hold_rows) {
  return {std::move(name), std::move(unit), low, high, rate, price, move_weight, safe, dead_band, hold_rows};
}

ControllerConfig make_controller_config(int blocks, int max_iterations, double deadline_s, double trust,
                                        const std::string& bias, double bias_gain, int max_hold,
                                        double limit_margin, double slack_l1, double kkt_tolerance,
                                        double max_move, const std::string& ranks, int adjoint_steps,
                                        double target_weight, std::optional<std::function<double()>> clock) {
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
  c.max_move = max_move;
  c.adjoint_steps = adjoint_steps;
  c.target_weight = target_weight;
  if (clock)  // called between tiles of work, with the GIL taken for it
    c.clock = [clock = std::move(*clock)] {
      py::gil_scoped_acquire gil;
      return clock();
    };
  if (ranks == "lexicographic")
    c.ranks = ControllerConfig::Ranks::lexicographic;
  else if (ranks != "penalty")
    throw InputError("Controller(ranks): expected penalty or lexicographic, got '" + ranks + "'");
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

std::unique_ptr<BoundController> make_controller(
    std::vector<Setpoint> setpoints, std::vector<Limit> limits, const std::vector<double>& price,
    const std::optional<FuelCostConfig>& fuel, std::string currency, int horizon, int outputs,
    const ControllerConfig& config, const Envelope& envelope, const std::vector<Limit>& permit_limits,
    const std::vector<Interlock>& interlocks, const std::vector<Tracking>& tracking,
    const std::vector<std::shared_ptr<OutputMap>>& costs) {
  Objective objective;
  std::vector<std::shared_ptr<const OutputMap>> maps;
  if (fuel) maps.push_back(std::make_shared<FuelCost>(*fuel, currency));
  if (!fuel && !costs.empty())
    maps.push_back(
        std::make_shared<IdentityMap>(std::vector<std::string>(static_cast<std::size_t>(outputs))));
  maps.insert(maps.end(), costs.begin(), costs.end());
  if (maps.size() == 1) objective.map = maps[0];
  if (maps.size() > 1) objective.map = std::make_shared<JoinedMap>(std::move(maps));
  objective.tracking = tracking;
  objective.price = price;
  objective.currency = std::move(currency);
  const long count = static_cast<long>(setpoints.size());
  std::vector<Limit> own = limits;
  limits.insert(limits.end(), permit_limits.begin(), permit_limits.end());
  return std::make_unique<BoundController>(
      BoundController{Controller(std::move(setpoints), std::move(limits), std::move(objective), horizon,
                                 outputs, config, envelope, interlocks),
                      count, outputs, horizon, std::move(own)});
}

Decision step(BoundController& self, Predictor& predictor, const Array& applied, const Array& past,
              const PermitRows* permit, const std::vector<bool>& manual, const std::optional<Array>& price,
              const std::optional<Array>& setpoint_price, const std::optional<Array>& target,
              const std::vector<double>& steady_target, const std::optional<Work>& replay,
              WindowBackoff* windows, Index row) {
  require_shape("Controller.step(applied)", applied, {{"U", self.setpoints}});
  require_shape("Controller.step(past)", past, {{"N", -1}, {"O", self.outputs}});
  const auto table = [](const char* what, const std::optional<Array>& given) {
    if (given)
      require_shape(std::string("Controller.step(") + what + ")", *given, {{"H", -1}, {"columns", -1}});
    return given ? view(*given) : ConstView{};
  };
  TickInput input;
  input.manual.assign(manual.begin(), manual.end());
  input.price = table("price", price);
  input.setpoint_price = table("setpoint_price", setpoint_price);
  input.target = table("target", target);
  input.steady_target = steady_target;
  input.replay = replay ? &*replay : nullptr;
  input.windows = windows;
  input.row = row;
  const std::vector<double> u = to_vector(applied);
  const ConstView known = view(past);
  py::gil_scoped_release nogil;
  std::vector<LimitRow> rows = limit_rows(self.own, known, self.horizon);
  if (permit) append_rows(rows, permit->rows, static_cast<int>(self.own.size()));
  return self.controller.step(predictor, u, known, rows, input);
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
           "price"_a = s.price, "move_weight"_a = s.move_weight, "safe"_a = s.safe,
           "dead_band"_a = s.dead_band, "hold_rows"_a = s.hold_rows)
      .def_readonly("name", &Setpoint::name)
      .def_readonly("low", &Setpoint::low)
      .def_readonly("high", &Setpoint::high)
      .def_readonly("rate", &Setpoint::rate, "Largest move per tick; NaN: free.");
  py::class_<Interlock>(m, "Interlock", "sum of weight[u] * setpoint u <= upper, hard.")
      .def(py::init([](std::string name, std::vector<double> weight, double upper) {
             return Interlock{std::move(name), std::move(weight), upper};
           }),
           py::kw_only(), "name"_a, "weight"_a, "upper"_a);
  const ControllerConfig c;
  py::class_<ControllerConfig>(m, "ControllerConfig", "How the controller searches.")
      .def(py::init(&make_controller_config), py::kw_only(), "blocks"_a = c.blocks,
           "max_iterations"_a = c.max_iterations, "deadline_s"_a = c.deadline_s, "trust"_a = c.trust,
           "bias"_a = "none", "bias_gain"_a = c.bias_gain, "max_hold"_a = c.max_hold,
           "limit_margin"_a = c.limit_margin, "slack_l1"_a = c.slack_l1, "kkt_tolerance"_a = c.kkt_tolerance,
           "max_move"_a = c.max_move, "ranks"_a = "penalty", "adjoint_steps"_a = c.adjoint_steps,
           "target_weight"_a = c.target_weight, "clock"_a = py::none());
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
      .def_readonly("last_step", &Slack::last_step)
      .def_readonly("output", &Slack::output, "Column of the forecast.")
      .def_readonly("worst_first", &Slack::worst_first, "First future step of the window that is worst.")
      .def_readonly("worst_step", &Slack::worst_step, "Step at whose end that window closes.");
  py::class_<Work>(m, "Work", "How much a decision did before the clock said stop.")
      .def(py::init([](int questions, bool stopped) { return Work{questions, stopped}; }), "questions"_a = 0,
           "stopped"_a = false)
      .def_readonly("questions", &Work::questions)
      .def_readonly("stopped", &Work::stopped);
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
      .def_readonly("adjoint", &Decision::adjoint)
      .def_readonly("work", &Decision::work)
      .def_readonly("seconds", &Decision::seconds)
      .def_readonly("reason", &Decision::reason, "Why not OPTIMAL.");
}

void bind_explanation(py::module_& m) {
  py::class_<Reason>(m, "Reason", "A price: what one more unit of something would be worth.")
      .def_property_readonly(
          "kind",
          [](const Reason& r) {
            constexpr const char* kKinds[] = {"limit", "bound", "rate", "interlock", "held"};
            return std::string(kKinds[static_cast<int>(r.kind)]);
          },
          "limit, bound, rate, interlock or held.")
      .def_readonly("name", &Reason::name)
      .def_readonly("price", &Reason::price)
      .def_readonly("given_up", &Reason::given_up)
      .def_readonly("first_step", &Reason::first_step)
      .def_readonly("last_step", &Reason::last_step);
  py::class_<Alternative>(m, "Alternative", "A plan that was not chosen.")
      .def_readonly("held", &Alternative::held, "Setpoint that stays; empty: the move asked about.")
      .def_property_readonly(
          "move", [](const Alternative& a) { return to_array(a.move); }, "(U,)")
      .def_readonly("cost", &Alternative::cost)
      .def_readonly("extra", &Alternative::extra, "Above the plan's cost, shaping included.")
      .def_readonly("slacks", &Alternative::slacks);
  py::class_<Explanation>(m, "Explanation", "Why a plan is as it is.")
      .def_readonly("reasons", &Explanation::reasons)
      .def_readonly("alternatives", &Explanation::alternatives);
}

}  // namespace

void bind_control(py::module_& m) {
  bind_parts(m);
  bind_decision(m);
  bind_explanation(m);
  py::class_<Predictor>(m, "Predictor", "What the controller optimises over.")
      .def(
          "predict",
          [](Predictor& self, const Array& plan) {
            require_shape("Predictor.predict(plan)", plan,
                          {{"H", long{self.horizon()}}, {"U", long{self.setpoints()}}});
            Matrix median(self.horizon(), self.outputs()), upper = median;
            self.predict(median, upper, view(plan));
            return py::make_tuple(to_array(std::move(median)), to_array(std::move(upper)));
          },
          "plan"_a.noconvert(), "(H, U) -> median, upper (H, O).")
      .def_property_readonly(
          "known",
          [](const Predictor& self) {
            const ConstView known = self.known();
            Matrix out(known.rows, known.cols);
            for (Index r = 0; r < known.rows; ++r) std::copy_n(known.row(r), known.cols, out.row(r));
            return to_array(std::move(out));
          },
          "(H, D) of this tick; NaN: unknown.")
      .def(
          "sensitivities",
          [](Predictor& self, const Array& plan, const std::vector<std::array<int, 3>>& moves) {
            require_shape("Predictor.sensitivities(plan)", plan,
                          {{"H", long{self.horizon()}}, {"U", long{self.setpoints()}}});
            std::vector<PlanMove> list;
            for (const auto& [u, first, last] : moves) {
              if (u < 0 || u >= self.setpoints() || first < 0 || last < first || last >= self.horizon())
                throw InputError("Predictor.sensitivities(moves): expected (setpoint, first, last) inside");
              list.push_back({u, first, last});
            }
            Matrix median(Index{self.horizon()} * self.outputs(), static_cast<Index>(list.size()));
            Matrix upper = median;
            self.sensitivities(median, upper, view(plan), list);
            return py::make_tuple(to_array(std::move(median)), to_array(std::move(upper)));
          },
          "plan"_a.noconvert(), "moves"_a,
          "Derivatives (H*O, moves) of median and upper by raising setpoint u in steps first to last.");
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
           "permit_limits"_a = std::vector<Limit>(), "interlocks"_a = std::vector<Interlock>(),
           "tracking"_a = std::vector<Tracking>(), "costs"_a = std::vector<std::shared_ptr<OutputMap>>())
      .def("step", &step, "predictor"_a, "applied"_a.noconvert(), "past"_a.noconvert(), "permit"_a = nullptr,
           py::kw_only(), "manual"_a = std::vector<bool>(), "price"_a = py::none(),
           "setpoint_price"_a = py::none(), "target"_a = py::none(),
           "steady_target"_a = std::vector<double>(), "replay"_a = py::none(), "windows"_a = nullptr,
           "row"_a = 0,
           "applied (U,) commanded last tick; past (N, O) measured, newest last, NaN = invalid; permit: what "
           "it\n"
           "still asks of the coming steps, its limits those that the controller was made with; windows: "
           "back-off of averages,\n"
           "told of the plan under the number `row` of its first step.")
      .def(
          "step_blind",
          [](BoundController& self, const std::string& reason, const Array& applied, const Array& past,
             const std::vector<bool>& manual) {
            NoForecast none(reason, self.horizon, static_cast<int>(self.setpoints),
                            static_cast<int>(self.outputs));
            return step(self, none, applied, past, nullptr, manual, {}, {}, {}, {}, std::nullopt, nullptr, 0);
          },
          "reason"_a, "applied"_a.noconvert(), "past"_a.noconvert(), "manual"_a = std::vector<bool>(),
          "A decision without a forecast of this tick: the last plan shifted, hold, or a safe ramp.")
      .def(
          "prepare",
          [](BoundController& self, Predictor& predictor) { return self.controller.prepare(predictor); },
          "predictor"_a, py::call_guard<py::gil_scoped_release>(),
          "The Jacobian for the next step, between two ticks; False when there is none to prepare.")
      .def(
          "explain",
          [](BoundController& self, Predictor& predictor, const std::vector<double>& move) {
            return self.controller.explain(predictor, move);
          },
          "predictor"_a, "move"_a = std::vector<double>(), py::call_guard<py::gil_scoped_release>(),
          "Prices and alternatives of the last plan; move (U): what that one would lead to.")
      .def_property_readonly(
          "steady_target", [](const BoundController& self) { return self.controller.steady_target(); },
          "[U] steady-state optimum of the last linear model; empty: none.")
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
