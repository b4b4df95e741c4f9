// The closed-form corrector: fit, labels in, forecasts out, the past as it was lived.
#include "emisopt/train/corrector.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <array>

#include "arrays.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

using Terms = std::vector<std::array<double, 3>>;
using Daily = std::array<double, 4>;
using Patterns = std::vector<std::array<double, 5>>;

Terms terms_of(const CorrectorConfig& c) {
  Terms out;
  for (const KernelTerm& t : c.kernel) out.push_back({t.variance, t.time, t.length});
  return out;
}

Daily daily_of(const CorrectorConfig& c) {
  return {c.daily.variance, c.daily.time, c.daily.length, c.daily.ripple};
}

Patterns patterns_of(const CorrectorConfig& c) {
  Patterns out;
  for (const KernelTerm& t : c.patterns) out.push_back({t.variance, t.time, t.length, t.ripple, t.weekend});
  return out;
}

CorrectorConfig make_config(const std::string& method, int delay, int window, const Terms& kernel,
                            const Daily& daily, double noise, double spike, int refactor, double forgetting,
                            double prior, double ridge, int waves, double wave_length, double wave_ridge,
                            std::uint64_t seed, Index most_rows, const std::vector<int>& lags, bool calendar,
                            const Patterns& patterns, bool calendar_distance, double utc_offset) {
  CorrectorConfig c;
  if (method != "gp" && method != "rls")
    throw InputError("CorrectorConfig.method: expected 'gp' or 'rls', got '" + method + "'");
  c.method = method == "gp" ? CorrectorConfig::Method::gp : CorrectorConfig::Method::rls;
  c.delay = delay;
  c.window = window;
  c.kernel.clear();
  for (const auto& t : kernel) c.kernel.push_back({t[0], t[1], t[2]});
  c.daily = {daily[0], daily[1], daily[2], 1, daily[3]};
  c.noise = noise;
  c.spike = spike;
  c.refactor = refactor;
  c.forgetting = forgetting;
  c.prior = prior;
  c.map = {ridge, waves, wave_length, wave_ridge, seed, most_rows};
  c.lags = lags;
  c.calendar = calendar;
  for (const auto& p : patterns) c.patterns.push_back({p[0], p[1], p[2], 1, p[3], p[4]});
  c.calendar_distance = calendar_distance;
  c.utc_offset = utc_offset;
  c.validate();
  return c;
}

void check_coming(const Corrector& c, const Array& plan, const Array& known) {
  require_shape("Corrector(plan)", plan, {{"H", -1}, {"U", static_cast<long>(c.tags().setpoints().size())}});
  require_shape(
      "Corrector(known)", known,
      {{"H", static_cast<long>(plan.shape(0))}, {"D", static_cast<long>(c.tags().disturbances().size())}});
}

py::tuple forecast(const Corrector& c, const History& history, const Array& plan, const Array& known,
                   Index first) {
  check_coming(c, plan, known);
  const auto outputs = static_cast<Index>(c.outputs().size());
  Matrix mean(plan.shape(0), outputs), variance(plan.shape(0), outputs);
  const ConstView p = view(plan), k = view(known);
  {
    py::gil_scoped_release nogil;
    View v = variance;
    c.forecast(mean, &v, history, p, k, first);
  }
  return py::make_tuple(to_array(std::move(mean)), to_array(std::move(variance)));
}

Array jacobian(const Corrector& c, const History& history, const Array& plan, const Array& known,
               Index first) {
  check_coming(c, plan, known);
  const Index h = plan.shape(0), u = plan.shape(1), outputs = static_cast<Index>(c.outputs().size());
  Matrix out(h * outputs, h * u);
  const ConstView p = view(plan), k = view(known);
  {
    py::gil_scoped_release nogil;
    c.jacobian(out, history, p, k, first);
  }
  return to_array(std::move(out)).reshape(std::vector<py::ssize_t>{h, outputs, h, u});
}

py::tuple replay(Corrector& c, const History& history, Index begin, Index end, Index stride,
                 const std::vector<int>& leads, bool variance) {
  const auto outputs = static_cast<Index>(c.outputs().size()), count = static_cast<Index>(leads.size());
  const Index origins = stride >= 1 && end > begin ? (end - begin + stride - 1) / stride : 0;
  Matrix mean(origins, count * outputs), spread(variance ? origins : 0, count * outputs);
  {
    py::gil_scoped_release nogil;
    View v = spread;
    c.replay(mean, variance ? &v : nullptr, history, begin, end, stride, leads);
  }
  const std::vector<py::ssize_t> shape{origins, count, outputs};
  py::object second = py::none();
  if (variance) second = to_array(std::move(spread)).reshape(shape);
  return py::make_tuple(to_array(std::move(mean)).reshape(shape), second);
}

// (..., O) normalised mean and variance as (..., O, Q) physical quantiles.
Array quantiles(const Corrector& c, const Array& mean, const Array& variance,
                const std::vector<double>& levels) {
  const auto outputs = static_cast<py::ssize_t>(c.outputs().size());
  if (mean.ndim() < 1 || mean.shape(mean.ndim() - 1) != outputs || shape_of(mean) != shape_of(variance))
    throw ShapeError("Corrector.quantiles: expected mean and variance of one shape that ends with O=" +
                     std::to_string(outputs));
  for (const double level : levels)
    if (!(level > 0 && level < 1))
      throw InputError("Corrector.quantiles(levels): expected levels between 0 and 1, got " +
                       std::to_string(level));
  const Index rows = outputs > 0 ? mean.size() / outputs : 0, q = static_cast<Index>(levels.size());
  std::vector<py::ssize_t> shape(mean.shape(), mean.shape() + mean.ndim());
  shape.push_back(q);
  Array out(shape);
  c.quantiles(View(out.mutable_data(), rows, outputs * q), ConstView(mean.data(), rows, outputs),
              ConstView(variance.data(), rows, outputs), levels);
  return out;
}

}  // namespace

void bind_corrector(py::module_& m) {
  const CorrectorConfig d;  // the defaults that the signature shows
  py::class_<CorrectorConfig>(m, "CorrectorConfig", "Settings of the corrector; checked when made.")
      .def(py::init(&make_config), py::kw_only(), "method"_a = to_string(d.method), "delay"_a = d.delay,
           "window"_a = d.window, "kernel"_a = terms_of(d), "daily"_a = daily_of(d), "noise"_a = d.noise,
           "spike"_a = d.spike, "refactor"_a = d.refactor, "forgetting"_a = d.forgetting, "prior"_a = d.prior,
           "ridge"_a = d.map.ridge, "waves"_a = d.map.waves, "wave_length"_a = d.map.wave_length,
           "wave_ridge"_a = d.map.wave_ridge, "seed"_a = d.map.seed, "most_rows"_a = d.map.most_rows,
           "lags"_a = d.lags, "calendar"_a = d.calendar, "patterns"_a = patterns_of(d),
           "calendar_distance"_a = d.calendar_distance, "utc_offset"_a = d.utc_offset)
      .def_readonly("delay", &CorrectorConfig::delay)
      .def_readonly("window", &CorrectorConfig::window)
      .def_readonly("noise", &CorrectorConfig::noise)
      .def_readonly("spike", &CorrectorConfig::spike)
      .def_readonly("forgetting", &CorrectorConfig::forgetting)
      .def_readonly("prior", &CorrectorConfig::prior)
      .def_readonly("calendar", &CorrectorConfig::calendar)
      .def_readonly("calendar_distance", &CorrectorConfig::calendar_distance)
      .def_readonly("utc_offset", &CorrectorConfig::utc_offset)
      .def_property_readonly("patterns", &patterns_of,
                             "(variance, days, length, ripple, weekend) of more such terms.")
      .def_property_readonly("ridge", [](const CorrectorConfig& c) { return c.map.ridge; })
      .def_property_readonly("waves", [](const CorrectorConfig& c) { return c.map.waves; })
      .def_property_readonly("wave_length", [](const CorrectorConfig& c) { return c.map.wave_length; })
      .def_property_readonly("wave_ridge", [](const CorrectorConfig& c) { return c.map.wave_ridge; })
      .def_property_readonly("seed", [](const CorrectorConfig& c) { return c.map.seed; })
      .def_readonly("lags", &CorrectorConfig::lags)
      .def_property_readonly("kernel", &terms_of, "(variance, time, length) of each term.")
      .def_property_readonly("daily", &daily_of, "(variance, days, length, ripple) of the daily term.")
      .def_property_readonly("method",
                             [](const CorrectorConfig& c) { return std::string(to_string(c.method)); });
  py::class_<Corrector>(m, "Corrector", "Operation map and closed-form correction; see emisopt.Corrector.")
      .def_static(
          "fit",
          [](const History& history, Index rows, const CorrectorConfig& config) {
            py::gil_scoped_release nogil;
            return Corrector::fit(history, rows, config);
          },
          "history"_a, "rows"_a, "config"_a)
      .def_static(
          "transfer",
          [](const Corrector& source, const History& history, Index rows, const CorrectorConfig& config,
             double pull, const std::vector<std::pair<std::string, std::string>>& match) {
            py::gil_scoped_release nogil;
            return Corrector::transfer(source, history, rows, config, pull, match);
          },
          "source"_a, "history"_a, "rows"_a, "config"_a, "pull"_a = 1.0,
          "match"_a = std::vector<std::pair<std::string, std::string>>{},
          "A corrector for another plant whose map of operation is shrunk towards the source's.")
      .def("__copy__", [](const Corrector& c) { return Corrector(c); })
      .def_property_readonly("config", &Corrector::config)
      .def_property_readonly("tags", &Corrector::tags)
      .def_property_readonly("labels", &Corrector::labels)
      .def_property_readonly(
          "rows_needed",
          [](const Corrector& c) {
            return kHeldRows + *std::max_element(c.config().lags.begin(), c.config().lags.end());
          },
          "Rows of history that a forecast may look back at.")
      .def_property_readonly("column_names", [](const Corrector& c) { return c.columns().names(c.tags()); })
      .def(
          "observe",
          [](Corrector& c, const History& history, Index row, Index now, Index first) {
            if (row < 0 || row >= history.rows())
              throw InputError("Corrector.observe(row): expected a row of the history, 0.." +
                               std::to_string(history.rows() - 1) + ", got " + std::to_string(row));
            py::gil_scoped_release nogil;
            return c.observe(history, row, now, first);
          },
          "history"_a, "row"_a, "now"_a, "first"_a = 0)
      .def(
          "catch_up",
          [](Corrector& c, const History& history, Index now, Index first) {
            py::gil_scoped_release nogil;
            return c.catch_up(history, now, first);
          },
          "history"_a, "now"_a, "first"_a = 0, "Takes in all labels that are new by row `now`; how many.")
      .def("restart", &Corrector::restart, "Forgets all labels; keeps what fit learnt of operation.")
      .def("forecast", &forecast, "history"_a, "plan"_a.noconvert(), "known"_a.noconvert(), "first"_a = 0,
           "Normalised mean and variance (H, O) of the rows after the history.")
      .def("jacobian", &jacobian, "history"_a, "plan"_a.noconvert(), "known"_a.noconvert(), "first"_a = 0,
           "(H, O, H, U): d physical median / d setpoint.")
      .def("replay", &replay, "history"_a, "begin"_a, "end"_a, "stride"_a, "leads"_a, "variance"_a = true,
           "Normalised mean and variance (origins, leads, O); the corrector moves on.")
      .def("quantiles", &quantiles, "mean"_a.noconvert(), "variance"_a.noconvert(), "levels"_a,
           "(..., O, Q), physical.")
      .def(
          "save",
          [](const Corrector& c, const std::string& path) {
            py::gil_scoped_release nogil;
            c.save(path);
          },
          "path"_a)
      .def_static(
          "load",
          [](const std::string& path) {
            py::gil_scoped_release nogil;
            return Corrector::load(path);
          },
          "path"_a);
}

}  // namespace emisopt::python
