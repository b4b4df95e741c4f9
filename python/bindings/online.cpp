// Online learning: the learner row by row, and the same over a past.
#include "emisopt/train/online.hpp"

#include <pybind11/stl.h>

#include <span>

#include "arrays.hpp"
#include "emisopt/loop/prequential.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

// Each field once, so that constructor and attributes cannot disagree.
void bind_online_config(py::class_<OnlineConfig>& cls) {
  cls.def(py::init([](const py::kwargs& given) {
            OnlineConfig c;
            py::object self = py::cast(&c, py::return_value_policy::reference);
            for (const auto& item : given) {
              const auto name = item.first.cast<std::string>();
              if (!py::hasattr(self, name.c_str()))
                throw InputError("OnlineConfig: expected one of its fields, got '" + name + "'");
              py::setattr(self, name.c_str(), item.second);
            }
            c.validate();
            return c;
          }),
          "Fields by name; InputError names the one that is out of range.")
      .def_readwrite("update", &OnlineConfig::update)
      .def_readwrite("rank", &OnlineConfig::rank)
      .def_readwrite("lora_blocks", &OnlineConfig::lora_blocks)
      .def_readwrite("delay", &OnlineConfig::delay)
      .def_readwrite("every", &OnlineConfig::every)
      .def_readwrite("steps", &OnlineConfig::steps)
      .def_readwrite("batch", &OnlineConfig::batch)
      .def_readwrite("rate", &OnlineConfig::rate)
      .def_readwrite("clip", &OnlineConfig::clip)
      .def_readwrite("replay", &OnlineConfig::replay)
      .def_readwrite("recent_rows", &OnlineConfig::recent_rows)
      .def_readwrite("memory", &OnlineConfig::memory)
      .def_readwrite("regimes", &OnlineConfig::regimes)
      .def_readwrite("l2sp", &OnlineConfig::l2sp)
      .def_readwrite("ewc", &OnlineConfig::ewc)
      .def_readwrite("distill", &OnlineConfig::distill)
      .def_readwrite("pace", &OnlineConfig::pace)
      .def_readwrite("pace_most", &OnlineConfig::pace_most)
      .def_readwrite("level_shift", &OnlineConfig::level_shift)
      .def_readwrite("input_shift", &OnlineConfig::input_shift)
      .def_readwrite("gain_shift", &OnlineConfig::gain_shift)
      .def_readwrite("slope_shift", &OnlineConfig::slope_shift)
      .def_readwrite("unknown_plan", &OnlineConfig::unknown_plan)
      .def_readwrite("tolerance", &OnlineConfig::tolerance)
      .def_readwrite("guard", &OnlineConfig::guard)
      .def_readwrite("snapshots", &OnlineConfig::snapshots)
      .def_readwrite("learn", &OnlineConfig::learn)
      .def_readwrite("threads", &OnlineConfig::threads)
      .def_readwrite("seed", &OnlineConfig::seed);
}

// A row (tags) as a span; the learner checks its length.
std::span<const double> row_of(const Array& a) { return {a.data(), static_cast<std::size_t>(a.size())}; }

void bind_learner(py::module_& m) {
  py::class_<OnlineLearner>(m, "OnlineLearner", "Learns row by row; one thread at a time, weights() any.")
      .def(py::init<const Forecaster&, const History&, const OnlineConfig&>(), "forecaster"_a, "past"_a,
           "config"_a, py::call_guard<py::gil_scoped_release>())
      .def(
          "observe",
          [](OnlineLearner& self, const Array& row, double time_s, bool breaks) {
            const std::span<const double> values = row_of(row);
            py::gil_scoped_release nogil;
            return self.observe(values, time_s, breaks);
          },
          "row"_a.noconvert(), "time_s"_a = kMissing, "breaks"_a = false,
          "The newest row (tags); returns the report of the update that was due, or None.")
      .def(
          "label",
          [](OnlineLearner& self, std::int64_t row, const Array& outputs) {
            self.label(row, row_of(outputs));
          },
          "row"_a, "outputs"_a.noconvert(), "Outputs (O) of an earlier row, once its delay has passed.")
      .def("update", &OnlineLearner::update, py::call_guard<py::gil_scoped_release>(), "An update now.")
      .def("rollback", &OnlineLearner::rollback, "version"_a, "Serves a kept version again, as a new one.")
      .def_property_readonly("snapshots", &OnlineLearner::snapshots, "Versions kept, rising.")
      .def_property_readonly("version", &OnlineLearner::version)
      .def_property_readonly("rows", &OnlineLearner::rows, "Rows seen, those of the past included.")
      .def_property_readonly("first_row", &OnlineLearner::first_row, "Number of the history's first row.")
      .def_property_readonly("history", &OnlineLearner::history,
                             "Rows with the labels that are known (a copy).")
      .def_property_readonly(
          "remembered", [](const OnlineLearner& l) { return l.memory().size(); }, "Windows in the memory.")
      .def_property_readonly("forecaster", &OnlineLearner::forecaster,
                             "With the weights that serve (a copy).")
      .def("keep_rows", &OnlineLearner::keep_rows, "rows"_a, "Rows that are kept for others.")
      .def(
          "attach",
          [](OnlineLearner& l, const std::string& name, const py::bytes& content) {
            l.attached()[name] = content;
          },
          "name"_a, "content"_a, "Bytes that go into the learner's file under a name.")
      .def_property_readonly(
          "attached",
          [](const OnlineLearner& l) {
            py::dict out;
            for (const auto& [name, bytes] : l.attached()) out[py::str(name)] = py::bytes(bytes);
            return out;
          },
          "The same, by name.")
      .def_property_readonly("config", &OnlineLearner::config)
      .def("save", &OnlineLearner::save, "path"_a, py::call_guard<py::gil_scoped_release>())
      .def_static("load", &OnlineLearner::load, "path"_a, py::call_guard<py::gil_scoped_release>());
}

}  // namespace

void bind_online(py::module_& m) {
  py::enum_<UpdateScope>(m, "UpdateScope", "Which weights an update may move.")
      .value("full", UpdateScope::full)
      .value("lora", UpdateScope::lora)
      .value("head", UpdateScope::head);
  py::class_<OnlineConfig> config(m, "OnlineConfig", "How to learn online.");
  bind_online_config(config);
  py::class_<UpdateReport>(m, "UpdateReport", "What one update did, and why.")
      .def_readonly("row", &UpdateReport::row)
      .def_readonly("version", &UpdateReport::version)
      .def_readonly("accepted", &UpdateReport::accepted)
      .def_readonly("reason", &UpdateReport::reason)
      .def_readonly("steps", &UpdateReport::steps)
      .def_readonly("pace", &UpdateReport::pace)
      .def_readonly("newest_loss", &UpdateReport::newest_loss)
      .def_readonly("distill", &UpdateReport::distill)
      .def_readonly("recent_loss", &UpdateReport::recent_loss)
      .def_readonly("replay_loss", &UpdateReport::replay_loss)
      .def_readonly("l2sp", &UpdateReport::l2sp)
      .def_readonly("ewc", &UpdateReport::ewc)
      .def_readonly("gradient_norm", &UpdateReport::gradient_norm)
      .def_readonly("guard_before", &UpdateReport::guard_before)
      .def_readonly("guard_after", &UpdateReport::guard_after)
      .def_readonly("seconds", &UpdateReport::seconds);
  bind_learner(m);
  m.def(
      "run_prequential",
      [](const Forecaster& forecaster, const History& history, Index first, Index last,
         const OnlineConfig& config, bool operation_known, Index stride) {
        Prequential result;
        {
          py::gil_scoped_release nogil;
          result = run_prequential(forecaster, history, first, last, config,
                                   operation_known ? Known::operation : Known::nothing, stride);
        }
        const auto n = static_cast<py::ssize_t>(result.origins.size());
        const Array flat = to_array(std::move(result.quantiles));
        const Array quantiles = flat.attr("reshape")(py::make_tuple(
            n, forecaster.config.horizon, forecaster.layout.outputs().size(), forecaster.config.levels()));
        return py::make_tuple(result.origins, quantiles, result.reports, std::move(result.last));
      },
      "forecaster"_a, "history"_a, "first"_a, "last"_a, "config"_a, "operation_known"_a, "stride"_a = 1,
      "(origins, quantiles (n, H, O, Q), reports, the forecaster as it served at the end).");
}

}  // namespace emisopt::python
