// The forecaster: sizes, weights, checkpoint, and the sessions that answer in physical units.
#include "emisopt/model/forecaster.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "arrays.hpp"
#include "emisopt/features/windows.hpp"
#include "module.hpp"
#include "prior.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;
using std::pair;

// A session and the sizes that its arguments must have.
struct BoundSession {
  ForecastSession session;
  long horizon, outputs, setpoints, disturbances, levels, history_tokens, history_width, future_width;

  BoundSession(const Forecaster& f, int threads, kernels::Precision precision)
      : session(f, kernels::isa_level(), threads, precision),
        horizon(f.config.horizon),
        outputs(static_cast<long>(f.layout.outputs().size())),
        setpoints(static_cast<long>(f.layout.setpoints().size())),
        disturbances(static_cast<long>(f.layout.disturbances().size())),
        levels(f.config.levels()),
        history_tokens(f.layout.history_tokens()),
        history_width(f.layout.history_width()),
        future_width(f.layout.future_width()) {}

  void check_plan(const char* where, const Array& plan) const {
    require_shape(where, plan, {{"H", horizon}, {"U", setpoints}});
  }
  void check_known(const char* where, const Array& known) const {
    require_shape(where, known, {{"H", horizon}, {"D", disturbances}});
  }
  void check_levels(const char* where, const std::vector<int>& asked) const {
    for (const int level : asked)
      if (level < 0 || level >= levels)
        throw InputError(std::string(where) + ": expected 0.." + std::to_string(levels - 1) + ", got " +
                         std::to_string(level));
  }
};

Array predict(BoundSession& self, const std::optional<Array>& plan, const Array& known) {
  if (plan) self.check_plan("predict(plan)", *plan);
  self.check_known("predict(known)", known);
  Array quantiles({self.horizon, self.outputs, self.levels});
  {
    View out(quantiles.mutable_data(), self.horizon, self.outputs * self.levels);
    const ConstView given = plan ? view(*plan) : ConstView{};
    const ConstView coming = view(known);
    py::gil_scoped_release nogil;
    self.session.predict(out, plan ? &given : nullptr, coming);
  }
  return quantiles;
}

Array predict_batch(BoundSession& self, const Array& plans, const Array& known) {
  require_shape("predict_batch(plans)", plans, {{"B", -1}, {"H", self.horizon}, {"U", self.setpoints}});
  self.check_known("predict_batch(known)", known);
  const long batch = plans.shape(0);
  Array quantiles({batch, self.horizon, self.outputs, self.levels});
  {
    View out(quantiles.mutable_data(), batch * self.horizon, self.outputs * self.levels);
    const ConstView given(plans.data(), batch * self.horizon, self.setpoints);
    const ConstView coming = view(known);
    py::gil_scoped_release nogil;
    self.session.predict_batch(out, given, coming, static_cast<int>(batch));
  }
  return quantiles;
}

Array jacobian(BoundSession& self, const Array& plan, const Array& known, const std::vector<int>& levels) {
  self.check_plan("jacobian(plan)", plan);
  self.check_known("jacobian(known)", known);
  self.check_levels("jacobian(levels)", levels);
  const auto count = static_cast<py::ssize_t>(levels.size());
  Array out({count, py::ssize_t{self.horizon}, py::ssize_t{self.outputs}, py::ssize_t{self.horizon},
             py::ssize_t{self.setpoints}});
  {
    View j(out.mutable_data(), count * self.horizon * self.outputs, self.horizon * self.setpoints);
    const ConstView given = view(plan), coming = view(known);
    py::gil_scoped_release nogil;
    self.session.jacobian(j, given, coming, levels);
  }
  return out;
}

Array sensitivities(BoundSession& self, const Array& plan, const Array& known,
                    const std::vector<std::tuple<int, int, int>>& moves, const std::vector<int>& levels) {
  self.check_plan("sensitivities(plan)", plan);
  self.check_known("sensitivities(known)", known);
  self.check_levels("sensitivities(levels)", levels);
  std::vector<PlanMove> list;
  for (const auto& [setpoint, first, last] : moves) list.push_back({setpoint, first, last});
  const auto count = static_cast<py::ssize_t>(levels.size()), width = static_cast<py::ssize_t>(list.size());
  Array out({count, py::ssize_t{self.horizon}, py::ssize_t{self.outputs}, width});
  {
    View s(out.mutable_data(), count * self.horizon * self.outputs, width);
    const ConstView given = view(plan), coming = view(known);
    py::gil_scoped_release nogil;
    self.session.sensitivities(s, given, coming, list, levels);
  }
  return out;
}

pair<py::array_t<float>, py::array_t<float>> tokens(BoundSession& self, const std::optional<Array>& plan,
                                                    const Array& known) {
  if (plan) self.check_plan("tokens(plan)", *plan);
  self.check_known("tokens(known)", known);
  std::vector<float> history, future;
  {
    const ConstView given = plan ? view(*plan) : ConstView{};
    const ConstView coming = view(known);
    py::gil_scoped_release nogil;
    self.session.tokens(history, future, plan ? &given : nullptr, coming);
  }
  return {py::array_t<float>({self.history_tokens, self.history_width}, history.data()),
          py::array_t<float>({self.horizon, self.future_width}, future.data())};
}

ForecasterConfig make_config(int context, int horizon, int patch, int width, int heads, int kv_heads,
                             int layers, int feedforward, double anchor_tau, int season,
                             std::vector<double> quantiles, std::uint64_t seed) {
  ForecasterConfig c;
  c.context = context;
  c.horizon = horizon;
  c.patch = patch;
  c.width = width;
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.layers = layers;
  c.feedforward = feedforward;
  c.anchor_tau = anchor_tau;
  c.season = season;
  c.quantiles = std::move(quantiles);
  c.seed = seed;
  c.validate();
  return c;
}

void bind_config(py::module_& m) {
  const ForecasterConfig d;  // the defaults that the signature shows
  py::class_<ForecasterConfig>(m, "ForecasterConfig", "Sizes of a forecaster; checked when made.")
      .def(py::init(&make_config), py::kw_only(), "context"_a = d.context, "horizon"_a = d.horizon,
           "patch"_a = d.patch, "width"_a = d.width, "heads"_a = d.heads, "kv_heads"_a = d.kv_heads,
           "layers"_a = d.layers, "feedforward"_a = d.feedforward, "anchor_tau"_a = d.anchor_tau,
           "season"_a = d.season, "quantiles"_a = d.quantiles, "seed"_a = d.seed)
      .def_readonly("context", &ForecasterConfig::context, "Rows of history.")
      .def_readonly("horizon", &ForecasterConfig::horizon, "Rows ahead.")
      .def_readonly("patch", &ForecasterConfig::patch, "Rows per history token.")
      .def_readonly("width", &ForecasterConfig::width, "Model width.")
      .def_readonly("heads", &ForecasterConfig::heads)
      .def_readonly("kv_heads", &ForecasterConfig::kv_heads)
      .def_readonly("layers", &ForecasterConfig::layers)
      .def_readonly("feedforward", &ForecasterConfig::feedforward)
      .def_readonly("anchor_tau", &ForecasterConfig::anchor_tau, "Rows.")
      .def_readonly("season", &ForecasterConfig::season, "Rows of a cycle; 0: none.")
      .def_readonly("quantiles", &ForecasterConfig::quantiles)
      .def_readonly("seed", &ForecasterConfig::seed);
}

}  // namespace

void bind_forecaster(py::module_& m) {
  bind_config(m);
  py::class_<Forecaster>(m, "Forecaster", "Tags, scales, network and weights.")
      .def_static(
          "make",
          [](const History& history, const ForecasterConfig& config, Index train_rows,
             const std::optional<BoundPrior>& prior) {
            const std::shared_ptr<const Prior> known = prior ? prior->prior : nullptr;
            py::gil_scoped_release nogil;
            return Forecaster::make(history, config, train_rows, known);
          },
          "history"_a, "config"_a, "train_rows"_a, "prior"_a = py::none(),
          "Fixes scales on the first train_rows rows and draws initial weights.")
      .def_static("load", &Forecaster::load, "path"_a,
                  "Reads a checkpoint; FileError says what is wrong with it.")
      .def("save", &Forecaster::save, "path"_a, "Writes a checkpoint (safetensors), atomically.")
      .def_readonly("config", &Forecaster::config)
      .def_readonly("tags", &Forecaster::tags)
      .def_property_readonly(
          "prior", [](const Forecaster& f) { return f.prior ? f.prior->to_json().write() : std::string(); },
          "What its checkpoint keeps of the mechanistic prior, as JSON; empty: there is none.")
      .def_readonly("notes", &Forecaster::notes, "Provenance: list of (name, text).")
      .def(
          "add_note",
          [](Forecaster& f, std::string name, std::string text) {
            f.notes.emplace_back(std::move(name), std::move(text));
          },
          "name"_a, "text"_a, "Adds a line of provenance to the checkpoint.")
      .def_property_readonly(
          "theta",
          [](const py::object& self) {
            auto& f = self.cast<Forecaster&>();
            return borrow<float>(f.theta.data(), {static_cast<py::ssize_t>(f.theta.size())}, self);
          },
          "Weights in canonical order (parameter_count), float32, writable, no copy.")
      .def_property_readonly("parameter_count", [](const Forecaster& f) { return f.theta.size(); })
      .def_readonly("network", &Forecaster::network, "The network as data, for the engine.")
      .def_property_readonly(
          "history_names", [](const Forecaster& f) { return f.layout.history_names(); },
          "What each column of one history row holds, normalised.")
      .def_property_readonly(
          "future_names", [](const Forecaster& f) { return f.layout.future_names(); },
          "What each column of one future row holds, normalised.")
      .def(
          "training_origins",
          [](const Forecaster& f, const History& h, Index begin, Index end) {
            return training_origins(h, f.layout, begin, end);
          },
          "history"_a, "begin"_a, "end"_a,
          "Origins whose context is unbroken and whose targets lie in rows [begin, end).")
      .def_property_readonly(
          "hull",
          [](const Forecaster& f) {
            Array box({static_cast<py::ssize_t>(f.scaler.tags.size()), py::ssize_t{2}});
            for (std::size_t i = 0; i < f.scaler.tags.size(); ++i) {
              box.mutable_at(i, 0) = f.scaler.tags[i].low;
              box.mutable_at(i, 1) = f.scaler.tags[i].high;
            }
            return box;
          },
          "(tags, 2): where the training rows lay, 0.5 % and 99.5 %, physical.")
      .def_property_readonly(
          "scales",
          [](const Forecaster& f) {
            Array out({static_cast<py::ssize_t>(f.scaler.tags.size()), py::ssize_t{4}});
            for (std::size_t i = 0; i < f.scaler.tags.size(); ++i) {
              const TagScale& scale = f.scaler.tags[i];
              const double columns[] = {scale.log ? 1.0 : 0.0, scale.offset, scale.mean, scale.sd};
              std::copy_n(columns, 4, out.mutable_data(static_cast<py::ssize_t>(i)));
            }
            return out;
          },
          "(tags, 4): log, offset, mean, sd. z = (g(y) - mean) / sd with g(y) = y where log is 0, else\n"
          "g(y) = log(max(y, 0) + offset).");
  py::class_<BoundSession>(m, "ForecastSession", "Compiled programs of one forecaster; one thread at a time.")
      .def(py::init<const Forecaster&, int, kernels::Precision>(), "forecaster"_a, "threads"_a = 0,
           "precision"_a = kernels::Precision::float32)
      .def(
          "set_history",
          [](BoundSession& self, const History& h, Index end, int hidden) {
            self.session.set_history(h, end, hidden);
          },
          "history"_a, "end"_a, "hidden"_a = 0, py::call_guard<py::gil_scoped_release>(),
          "Reads the `context` rows that end before row `end`; the newest `hidden` without their outputs.")
      .def("predict", &predict, "plan"_a.noconvert(), "known"_a.noconvert(),
           "plan (H, U) or None, known (H, D), NaN = unknown -> quantiles (H, O, Q), physical.")
      .def("predict_batch", &predict_batch, "plans"_a.noconvert(), "known"_a.noconvert(),
           "plans (B, H, U), known (H, D) -> quantiles (B, H, O, Q), physical.")
      .def("jacobian", &jacobian, "plan"_a.noconvert(), "known"_a.noconvert(), "levels"_a,
           "d quantile / d setpoint, physical: (levels, H, O, H, U); exactly 0 for later setpoints.")
      .def("sensitivities", &sensitivities, "plan"_a.noconvert(), "known"_a.noconvert(), "moves"_a,
           "levels"_a,
           "moves: (setpoint, first step, last step), raised by one amount -> (levels, H, O, moves), "
           "physical.")
      .def("tokens", &tokens, "plan"_a.noconvert(), "known"_a.noconvert(),
           "What the network is given, normalised: history (tokens, width) and, for a plan, future (H, "
           "width);\ncolumns as history_names and future_names of the forecaster have them.")
      .def_property_readonly(
          "anchors", [](const BoundSession& s) { return to_array(s.session.anchors()); },
          "(O,) physical: what the forecast is a change from.");
}

}  // namespace emisopt::python
