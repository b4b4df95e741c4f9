// Closed loops on the synthetic boiler, and forecasts as they would have been issued in the past.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <functional>
#include <map>

#include "arrays.hpp"
#include "emisopt/loop/backtest.hpp"
#include "emisopt/loop/closed_loop.hpp"
#include "emisopt/loop/faults.hpp"
#include "emisopt/loop/mpc_policy.hpp"
#include "emisopt/loop/operator_policy.hpp"
#include "emisopt/loop/oracle.hpp"
#include "emisopt/loop/permit_watch.hpp"
#include "emisopt/loop/plant_control.hpp"
#include "emisopt/loop/scenario.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

Array forecasts(const Forecaster& forecaster, const History& history, const std::vector<Index>& origins,
                bool operation_known, int threads, int hidden, kernels::Precision precision) {
  Matrix out;
  {
    py::gil_scoped_release nogil;
    out = forecast_origins(forecaster, history, origins, operation_known ? Known::operation : Known::nothing,
                           threads, hidden, precision);
  }
  const auto n = static_cast<py::ssize_t>(origins.size());
  const auto outputs = static_cast<py::ssize_t>(forecaster.layout.outputs().size());
  const py::ssize_t horizon = forecaster.config.horizon, levels = forecaster.config.levels();
  return to_array(std::move(out)).reshape({n, horizon, outputs, levels});
}

Scenario make_scenario(const std::string& name, std::uint64_t seed, std::optional<std::uint64_t> plant_seed,
                       std::optional<Index> rows, double nox_fee) {
  const BoilerParameters plant = plant_seed ? BoilerParameters::draw(*plant_seed) : BoilerParameters{};
  const std::map<std::string, std::function<Scenario()>> makers = {
      {"boiler-48h",
       [&] { return nox_fee > 0 ? boiler_48h_fee(seed, plant, nox_fee) : boiler_48h(seed, plant); }},
      {"boiler-48h-fan", [&] { return boiler_48h_fan(seed, plant); }},
      {"boiler-48h-no-scr", [&] { return boiler_48h_no_scr(seed, plant); }},
      {"boiler-60d", [&] { return boiler_60d(seed, plant); }}};
  const auto maker = makers.find(name);
  if (maker == makers.end()) {
    std::string names;
    for (const auto& [known, make] : makers) names += (names.empty() ? "" : ", ") + known;
    throw InputError("Scenario(name): expected " + names + ", got '" + name + "'");
  }
  if (nox_fee > 0 && name != "boiler-48h")
    throw InputError("Scenario(nox_fee): expected none but with boiler-48h, got one with " + name);
  Scenario s = maker->second();
  if (rows) s.rows = *rows;
  return s;
}

// The start is made once and shared: every policy meets the same disturbances and the same noise.
struct BoundScenario {
  Scenario scenario;
  LoopStart start;
};

LoopLog run(const BoundScenario& self, Policy& policy, py::object progress) {
  LoopOptions options;
  options.rows = self.scenario.rows;
  options.tamper = tamper_of(self.scenario);
  options.progress = [&](Index done, Index rows) {
    py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    return progress.is_none() || !progress(done, rows).is(py::bool_(false));
  };
  py::gil_scoped_release nogil;
  return run_closed_loop(self.start, policy, options);
}

// A Python callable in the controller's place: (predictor, applied (U), coefficient (m, H), rhs (m), limit
// (m), bias (O)) -> plan (H, U).
PlanSolver plan_solver(const py::object& solver, int horizon) {
  // The callable is dropped where no GIL is held.
  const std::shared_ptr<py::object> call(new py::object(solver), [](py::object* o) {
    py::gil_scoped_acquire gil;
    delete o;
  });
  return [call, horizon](Predictor& predictor, const std::vector<double>& applied,
                         const std::vector<LimitRow>& rows, const std::vector<double>& bias) {
    Matrix coefficient(static_cast<Index>(rows.size()), horizon);
    std::vector<double> rhs, limit;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy(rows[i].coefficient.begin(), rows[i].coefficient.end(),
                coefficient.row(static_cast<Index>(i)) + rows[i].first_step);
      rhs.push_back(rows[i].rhs);
      limit.push_back(rows[i].limit);
    }
    py::gil_scoped_acquire gil;
    const py::object plan =
        (*call)(py::cast(&predictor, py::return_value_policy::reference), to_array(applied),
                to_array(std::move(coefficient)), to_array(rhs), to_array(limit), to_array(bias));
    return to_matrix(plan.cast<Array>());
  };
}

// Forecast of each row's decision, (N, H, O): one of Action::median, low, high; NaN where there is none.
Array action_field(const LoopLog& log, Matrix Action::* field) {
  py::ssize_t horizon = 0, width = 0;
  for (const Action& a : log.actions)
    if ((a.*field).rows > 0) horizon = (a.*field).rows, width = (a.*field).cols;
  Array out({static_cast<py::ssize_t>(log.actions.size()), horizon, width});
  std::fill(out.mutable_data(), out.mutable_data() + out.size(), kMissing);
  for (std::size_t i = 0; i < log.actions.size(); ++i) {
    const Matrix& m = log.actions[i].*field;
    if (m.rows > 0 && m.rows == horizon && m.cols == width)
      std::copy(m.values.begin(), m.values.end(), out.mutable_data(static_cast<py::ssize_t>(i), 0, 0));
  }
  return out;
}

template <class T, class F>
std::vector<T> per_action(const LoopLog& log, F&& f) {
  std::vector<T> out;
  for (const Action& a : log.actions) out.push_back(f(a));
  return out;
}

void bind_log(py::module_& m) {
  py::class_<LoopLog>(m, "LoopLog", "A closed-loop run, row by row: N rows.")
      .def_readonly("policy", &LoopLog::policy)
      .def_readonly("tags", &LoopLog::tags)
      .def_property_readonly(
          "time", [](const LoopLog& l) { return to_array(l.time); }, "(N,) s since 1970 UTC.")
      .def_property_readonly(
          "setpoints", [](const LoopLog& l) { return to_array(Matrix(l.setpoints)); }, "(N, U)")
      .def_property_readonly(
          "measured", [](const LoopLog& l) { return to_array(Matrix(l.measured)); }, "(N, tags)")
      .def_property_readonly(
          "truth", [](const LoopLog& l) { return to_array(Matrix(l.truth)); }, "(N, O)")
      .def_property_readonly(
          "disturbances", [](const LoopLog& l) { return to_array(Matrix(l.disturbances)); }, "(N, D) true.")
      .def_property_readonly(
          "before", [](const LoopLog& l) { return to_array(Matrix(l.before)); },
          "(W, O) truth of the warm-up rows.")
      .def_property_readonly(
          "median", [](const LoopLog& l) { return action_field(l, &Action::median); },
          "(N, H, O) forecast of each decision; NaN: none.")
      .def_property_readonly(
          "low", [](const LoopLog& l) { return action_field(l, &Action::low); }, "(N, H, O)")
      .def_property_readonly(
          "high", [](const LoopLog& l) { return action_field(l, &Action::high); }, "(N, H, O)")
      .def_property_readonly(
          "plan", [](const LoopLog& l) { return action_field(l, &Action::plan); },
          "(N, H, U) plan of each decision.")
      .def_property_readonly("status",
                             [](const LoopLog& l) {
                               return per_action<std::string>(
                                   l, [](const Action& a) { return std::string(to_string(a.status)); });
                             })
      .def_property_readonly("reason",
                             [](const LoopLog& l) {
                               return per_action<std::string>(l, [](const Action& a) { return a.reason; });
                             })
      .def_property_readonly(
          "seconds",
          [](const LoopLog& l) {
            return to_array(per_action<double>(l, [](const Action& a) { return a.seconds; }));
          },
          "(N,) decision times.")
      .def("__len__", &LoopLog::rows);
}

void bind_summary(py::module_& m) {
  py::class_<LimitSummary>(m, "LimitSummary", "How one limit was kept.")
      .def_readonly("name", &LimitSummary::name)
      .def_readonly("rank", &LimitSummary::rank)
      .def_readonly("hours_above", &LimitSummary::hours_above)
      .def_readonly("worst", &LimitSummary::worst, "Largest rolling mean of the truth.");
  py::class_<PermitSummary>(m, "PermitSummary", "How one rule of a permit was kept.")
      .def_readonly("rule", &PermitSummary::rule)
      .def_readonly("averages", &PermitSummary::averages, "That count.")
      .def_readonly("above", &PermitSummary::above)
      .def_readonly("hours_above", &PermitSummary::hours_above,
                    "Of the time that those above stand for; where a share may be, of what goes beyond it.")
      .def_readonly("worst", &PermitSummary::worst)
      .def_readonly("holds", &PermitSummary::holds);
  py::class_<LoopSummary>(m, "LoopSummary", "What a run came to, by the truth.")
      .def_readonly("policy", &LoopSummary::policy)
      .def_readonly("hours", &LoopSummary::hours)
      .def_readonly("fuel_eur", &LoopSummary::fuel_eur)
      .def_readonly("nh3_eur", &LoopSummary::nh3_eur)
      .def_readonly("fee_eur", &LoopSummary::fee_eur)
      .def_readonly("total_eur", &LoopSummary::total_eur)
      .def_readonly("mean", &LoopSummary::mean, "(O)")
      .def_readonly("worst", &LoopSummary::worst, "(O) largest hourly mean.")
      .def_readonly("limits", &LoopSummary::limits)
      .def_readonly("hours_above_permit", &LoopSummary::hours_above_permit)
      .def_readonly("p50_s", &LoopSummary::p50_s)
      .def_readonly("p99_s", &LoopSummary::p99_s)
      .def_readonly("max_s", &LoopSummary::max_s)
      .def_property_readonly(
          "status_count",
          [](const LoopSummary& s) {
            std::map<std::string, int> counts;
            for (std::size_t i = 0; i < s.status_count.size(); ++i)
              counts[to_string(static_cast<Status>(i))] = s.status_count[i];
            return counts;
          },
          "Status name -> rows.")
      .def_readonly("illegal_moves", &LoopSummary::illegal_moves)
      .def_readonly("travel", &LoopSummary::travel, "Sum of |move| / (high - low).");
}

}  // namespace

void bind_loop(py::module_& m) {
  m.def("forecast_origins", &forecasts, "forecaster"_a, "history"_a, "origins"_a, "operation_known"_a,
        "threads"_a = 0, "hidden"_a = 0, "precision"_a = kernels::Precision::float32,
        "Quantiles (n, H, O, Q), physical, as issued at each origin (index of the first row forecast); NaN "
        "where "
        "none can be. operation_known: realised setpoints and known-ahead disturbances are given.");
  m.def("training_envelope", &training_envelope, "history"_a, "rows"_a, "share"_a, "weight"_a,
        "Where the first `rows` rows lay: setpoints and what is known ahead; beyond it a plan is penalised.");
  py::class_<FaultyPredictor, Predictor>(m, "FaultyPredictor", "Fails on purpose, and times its calls.")
      .def(py::init([](Predictor& base, double gain, double nan_forecast, double nan_sensitivity,
                       double interrupt, std::uint64_t seed) {
             return std::make_unique<FaultyPredictor>(
                 base, Faults{gain, nan_forecast, nan_sensitivity, interrupt, seed});
           }),
           "base"_a, py::kw_only(), "gain"_a = 1.0, "nan_forecast"_a = 0.0, "nan_sensitivity"_a = 0.0,
           "interrupt"_a = 0.0, "seed"_a = 0, py::keep_alive<1, 2>())
      .def("set_held", &FaultyPredictor::set_held, "applied"_a,
           "A new tick: setpoints (U) that the gain counts from.")
      .def_property_readonly("longest", &FaultyPredictor::longest,
                             "Longest call since set_held, s of thread CPU time.");
  bind_log(m);
  bind_summary(m);
  py::class_<Policy>(m, "Policy", "Whatever chooses setpoints once a row.")
      .def_property_readonly("name", &Policy::name);
  m.attr("weak_fans") = kWeakFans;
  m.def(
      "permit_limits",
      [](const Permit& permit, const TagMap& tags) { return PermitWatch(permit, tags).limits(); }, "permit"_a,
      "tags"_a, "The limits that a permit's rows belong to, as mpc_policy holds them.");
  m.def("spot_limits_60d", &spot_limits_60d, "The averages' numbers of boiler-60d, on every row.");
  m.def(
      "mpc_policy",
      [](const Forecaster& forecaster, const std::vector<Limit>& limits, const ControllerConfig& config,
         const Envelope& envelope, double move_weight, int threads, std::string name, double nox_fee,
         const std::optional<ConformalBackoff>& conformal, const std::optional<Permit>& permit,
         std::vector<double> quantiles, double permit_margin,
         const py::object& solver) -> std::unique_ptr<Policy> {
        MpcConfig mpc;
        mpc.controller = config;
        mpc.envelope = envelope;
        mpc.move_weight = move_weight;
        mpc.threads = threads;
        mpc.conformal = conformal;
        mpc.permit = permit;
        mpc.quantiles = std::move(quantiles);
        mpc.permit_margin = permit_margin;
        if (!solver.is_none()) mpc.solver = plan_solver(solver, forecaster.config.horizon);
        return std::make_unique<MpcPolicy>(forecaster, limits, Prices{.nox_fee_eur_per_kg = nox_fee}, mpc,
                                           std::move(name));
      },
      "forecaster"_a, "limits"_a, py::kw_only(), "config"_a, "envelope"_a,
      "move_weight"_a = MpcConfig{}.move_weight, "threads"_a = 0, "name"_a = "MPC", "nox_fee"_a = 0.0,
      "conformal"_a = py::none(), "permit"_a = py::none(), "quantiles"_a = std::vector<double>(),
      "permit_margin"_a = 0.0, "solver"_a = py::none(), "The forecaster and the controller as a policy.");
  py::class_<BoundScenario>(m, "Scenario", "A closed-loop scenario of one seed, warmed up.")
      .def(py::init([](const std::string& name, std::uint64_t seed, std::optional<std::uint64_t> plant_seed,
                       std::optional<Index> rows, double nox_fee) {
             Scenario scenario = make_scenario(name, seed, plant_seed, rows, nox_fee);
             LoopStart start = start_scenario(scenario);
             return std::make_unique<BoundScenario>(BoundScenario{std::move(scenario), std::move(start)});
           }),
           "name"_a = "boiler-48h", py::kw_only(), "seed"_a, "plant_seed"_a = py::none(),
           "rows"_a = py::none(), "nox_fee"_a = 0.0)
      .def_property_readonly("name", [](const BoundScenario& s) { return s.scenario.name; })
      .def_property_readonly("limits", [](const BoundScenario& s) { return s.scenario.limits; })
      .def_property_readonly(
          "prices",
          [](const BoundScenario& s) {
            return std::pair(s.scenario.prices.fuel_eur_per_gj, s.scenario.prices.nh3_eur_per_kg);
          },
          "EUR per GJ of fuel, EUR per kg of NH3.")
      .def_property_readonly(
          "nox_fee", [](const BoundScenario& s) { return s.scenario.prices.nox_fee_eur_per_kg; },
          "EUR per kg of NOx.")
      .def_property_readonly("rows", [](const BoundScenario& s) { return s.scenario.rows; })
      .def_property_readonly("tags", [](const BoundScenario& s) { return s.start.history.tags; })
      .def_property_readonly(
          "history", [](const BoundScenario& s) { return s.start.history; }, "Measured warm-up rows.")
      .def_property_readonly(
          "permit", [](const BoundScenario& s) { return s.scenario.permit; }, "Judged beside the limits.")
      .def(
          "operator",
          [](const BoundScenario& s) -> std::unique_ptr<Policy> {
            return std::make_unique<OperatorPolicy>(s.scenario.warm_rules);
          },
          "The operator's rules, tuned for this scenario on other seeds.")
      .def(
          "oracle",
          [](const BoundScenario& s, int threads, int iterations,
             int fresh_every) -> std::unique_ptr<Policy> {
            OracleConfig config;
            config.iterations = iterations;
            config.fresh_every = fresh_every;
            config.threads = threads > 0 ? threads : kernels::default_threads();
            config.permit = s.scenario.permit;
            return std::make_unique<OraclePolicy>(s.scenario.limits, s.scenario.prices, config);
          },
          "threads"_a = 0, py::kw_only(), "iterations"_a = OracleConfig{}.iterations,
          "fresh_every"_a = OracleConfig{}.fresh_every,
          "The upper bound: the controller over the true equations and the true future.")
      .def(
          "judge",
          [](const BoundScenario& s, const LoopLog& log) {
            return s.scenario.permit ? judge_permit(log, *s.scenario.permit) : std::vector<PermitSummary>{};
          },
          "log"_a, "The permit on the truth of a run, rule by rule.")
      .def("run", &run, "policy"_a, "progress"_a = py::none(),
           "Runs a policy from the common start; progress(done, rows) may return False to stop.")
      .def(
          "summarise",
          [](const BoundScenario& s, const LoopLog& log) {
            return summarise(log, s.scenario.limits, s.scenario.prices);
          },
          "log"_a);
}

}  // namespace emisopt::python
