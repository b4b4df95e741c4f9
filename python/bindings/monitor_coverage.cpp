// Coverage of quantile forecasts: its correction, its record.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "emisopt/monitor/cover_tally.hpp"
#include "emisopt/monitor/coverage.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

long fan_width(const CoverageConfig& c) {
  return static_cast<long>(c.outputs) * static_cast<long>(c.levels.size());
}

ConstView fans(const Array& a, Index rows) {
  return {a.data(), rows, rows ? static_cast<Index>(a.size()) / rows : 0};
}

// raw (H, O*Q) -> corrected, through a member of the corrector.
template <class Call>
Array corrected(const ConformalCorrector& self, const char* where, const Array& raw, const Call& call) {
  require_shape(where, raw, {{"H", self.config().horizon}, {"O*Q", fan_width(self.config())}});
  Array out({raw.shape(0), raw.shape(1)});
  const ConstView from = view(raw);
  const View to = mutable_view(out);
  {
    py::gil_scoped_release nogil;
    call(from, to);
  }
  return out;
}

Array replay_all(ConformalCorrector& self, const std::vector<Index>& origins, const Array& raw,
                 const Array& truth, CoverageMonitor* watch) {
  const CoverageConfig& c = self.config();
  require_shape("ConformalCorrector.replay(raw)", raw,
                {{"n", static_cast<long>(origins.size())},
                 {"H", c.horizon},
                 {"O", c.outputs},
                 {"Q", static_cast<long>(c.levels.size())}});
  require_shape("ConformalCorrector.replay(truth)", truth, {{"N", -1}, {"O", c.outputs}});
  Array out({raw.shape(0), raw.shape(1), raw.shape(2), raw.shape(3)});
  const Index rows = static_cast<Index>(origins.size()) * c.horizon;
  const ConstView from = fans(raw, rows), labels = view(truth);
  const View to(out.mutable_data(), rows, from.cols);
  {
    py::gil_scoped_release nogil;
    replay(self, origins, from, labels, to, watch);
  }
  return out;
}

Index observe(ConformalCorrector& self, Index row, const Array& y, Index now, CoverageMonitor* watch) {
  require_shape("ConformalCorrector.observe(y)", y, {{"O", self.config().outputs}});
  const double* labels = y.data();
  py::gil_scoped_release nogil;
  return self.observe(row, labels, now, watch);
}

py::dict row_of(const CoverTally& t) {
  return py::dict("rows"_a = t.rows(), "cover"_a = t.cover(), "recent"_a = t.recent(), "least"_a = t.least(),
                  "greatest"_a = t.greatest(), "width"_a = t.width(), "least_width"_a = t.least_width(),
                  "widest"_a = t.widest());
}

void add_all(CoverTally& self, const Array& inside, const Array& width) {
  require_shape("CoverTally.add(inside)", inside, {{"n", -1}});
  require_shape("CoverTally.add(width)", width, {{"n", inside.shape(0)}});
  const double *in = inside.data(), *w = width.data();
  py::gil_scoped_release nogil;
  for (py::ssize_t i = 0; i < inside.size(); ++i) self.add(in[i] != 0, w[i]);
}

void watch_fans(CoverageMonitor& self, int output, const Array& y, const Array& raw, const Array& corrected) {
  require_shape("CoverageMonitor.add(y)", y, {{"H", self.horizon()}});
  require_shape("CoverageMonitor.add(raw)", raw, {{"H", self.horizon()}, {"Q", -1}});
  require_shape("CoverageMonitor.add(corrected)", corrected,
                {{"H", self.horizon()}, {"Q", static_cast<long>(raw.shape(1))}});
  for (int h = 0; h < self.horizon(); ++h) self.add(h, output, y.at(h), raw.data(h, 0), corrected.data(h, 0));
}

}  // namespace

void bind_monitor_coverage(py::module_& m) {
  py::class_<CoverTally>(m, "CoverTally", "How often one interval covers, overall and over any window.")
      .def(py::init<int>(), "window"_a = 500)
      .def("add", &add_all, "inside"_a.noconvert(), "width"_a.noconvert(), "(n,) 1 or 0, and widths.")
      .def("record", &row_of, "rows, cover, recent, least, greatest, width, least_width, widest.");
  py::class_<CoverageMonitor>(m, "CoverageMonitor", "Raw and corrected intervals side by side.")
      .def(py::init<int, int, std::vector<double>, double, double, int>(), "horizon"_a, "outputs"_a,
           "levels"_a, "low"_a = 0.1, "high"_a = 0.9, "window"_a = 500)
      .def("add", &watch_fans, "output"_a, "y"_a.noconvert(), "raw"_a.noconvert(), "corrected"_a.noconvert(),
           "One forecast of an output: (H,), (H, Q), (H, Q); NaN is passed over.")
      .def_property_readonly("nominal", &CoverageMonitor::nominal)
      .def(
          "raw",
          [](const CoverageMonitor& self, int step, int output) { return row_of(self.raw(step, output)); },
          "step"_a, "output"_a)
      .def(
          "corrected",
          [](const CoverageMonitor& self, int step, int output) {
            return row_of(self.corrected(step, output));
          },
          "step"_a, "output"_a);
  py::class_<CoverageConfig>(m, "CoverageConfig", "csrc/emisopt/monitor/coverage.hpp")
      .def(py::init<>())
      .def_readwrite("outputs", &CoverageConfig::outputs)
      .def_readwrite("horizon", &CoverageConfig::horizon)
      .def_readwrite("levels", &CoverageConfig::levels)
      .def_readwrite("delay", &CoverageConfig::delay)
      .def_readwrite("lateness", &CoverageConfig::lateness)
      .def_readwrite("scale_gain", &CoverageConfig::scale_gain)
      .def_readwrite("side_gain", &CoverageConfig::side_gain)
      .def_readwrite("memory", &CoverageConfig::memory)
      .def_readwrite("follow", &CoverageConfig::follow)
      .def_readwrite("temper", &CoverageConfig::temper)
      .def_readwrite("width_gain", &CoverageConfig::width_gain)
      .def_readwrite("move_median", &CoverageConfig::move_median)
      .def_readwrite("median_gain", &CoverageConfig::median_gain);
  py::class_<ConformalCorrector>(m, "ConformalCorrector", "Adaptive conformal correction of forecasts.")
      .def(py::init<CoverageConfig>(), "config"_a)
      .def_property_readonly("config", &ConformalCorrector::config)
      .def_property_readonly("row", &ConformalCorrector::row)
      .def("covers", &ConformalCorrector::covers, "row"_a)
      .def(
          "issue",
          [](ConformalCorrector& self, Index row, const Array& raw) {
            return corrected(self, "ConformalCorrector.issue(raw)", raw,
                             [&](ConstView from, View to) { self.issue(row, from, to); });
          },
          "row"_a, "raw"_a.noconvert(), "(H, O*Q) -> corrected, and remembered for its labels.")
      .def(
          "correct",
          [](const ConformalCorrector& self, const Array& raw) {
            return corrected(self, "ConformalCorrector.correct(raw)", raw,
                             [&](ConstView from, View to) { self.correct(from, to); });
          },
          "raw"_a.noconvert(), "(H, O*Q) -> corrected, not remembered.")
      .def("observe", &observe, "row"_a, "y"_a.noconvert(), "now"_a, "watch"_a = nullptr,
           "Labels (O,) of a row; how many (step, output) pairs learnt.")
      .def("replay", &replay_all, "origins"_a, "raw"_a.noconvert(), "truth"_a.noconvert(),
           "watch"_a = nullptr, "(n, H, O, Q) and (N, O) -> corrected (n, H, O, Q), labels as they came in.")
      .def("factor", &ConformalCorrector::factor, "step"_a, "output"_a, "level"_a)
      .def("burst", &ConformalCorrector::burst, "step"_a, "output"_a)
      .def("to_bytes", [](const ConformalCorrector& self) { return py::bytes(self.state().to_bytes()); })
      .def_static(
          "from_bytes",
          [](const std::string& bytes) {
            const char* where = "ConformalCorrector.from_bytes";
            return ConformalCorrector::from_state(SafeTensors::from_bytes(bytes, where), where);
          },
          "bytes"_a)
      .def("save", &ConformalCorrector::save, "path"_a, py::call_guard<py::gil_scoped_release>())
      .def_static("load", &ConformalCorrector::load, "path"_a, py::call_guard<py::gil_scoped_release>());
}

}  // namespace emisopt::python
