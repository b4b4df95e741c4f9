// Sensor checks, the envelope of what was seen, and the monitor of the process as a whole.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "emisopt/monitor/input_envelope.hpp"
#include "emisopt/monitor/process_monitor.hpp"
#include "emisopt/monitor/sensor_stream.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;
using Flags = py::array_t<bool, py::array::c_style>;
using Codes = py::array_t<std::uint8_t, py::array::c_style>;

std::vector<char> gaps_of(const Flags& gap, py::ssize_t rows, const char* where) {
  require_shape(where, gap, {{"N", static_cast<long>(rows)}});
  return {gap.data(), gap.data() + gap.size()};
}

/// Null for an array without cells.
const std::uint8_t* codes_of(const Codes& status, const Array& rows, const char* where) {
  if (status.size() == 0) return nullptr;
  require_shape(where, status,
                {{"N", static_cast<long>(rows.shape(0))}, {"tags", static_cast<long>(rows.shape(1))}});
  return status.data();
}

py::dict findings_of(const SensorStream& stream) {
  const std::vector<Finding> found = stream.findings();
  const auto n = static_cast<py::ssize_t>(found.size());
  py::array_t<Index> tag(n), first(n), last(n), alarm(n);
  Array averaged(n), value(n), expected(n), sd(n), strength(n);
  py::array_t<bool> open(n);
  py::list kind;
  for (py::ssize_t i = 0; i < n; ++i) {
    const Finding& f = found[static_cast<std::size_t>(i)];
    kind.append(to_string(f.kind));
    tag.mutable_at(i) = f.tag;
    first.mutable_at(i) = f.first_row;
    last.mutable_at(i) = f.last_row;
    alarm.mutable_at(i) = f.alarm_row;
    averaged.mutable_at(i) = f.averaged;
    value.mutable_at(i) = f.value;
    expected.mutable_at(i) = f.expected;
    sd.mutable_at(i) = f.sd;
    strength.mutable_at(i) = f.strength;
    open.mutable_at(i) = f.open;
  }
  return py::dict("kind"_a = kind, "tag"_a = tag, "first_row"_a = first, "last_row"_a = last,
                  "alarm_row"_a = alarm, "averaged"_a = averaged, "value"_a = value, "expected"_a = expected,
                  "sd"_a = sd, "strength"_a = strength, "open"_a = open);
}

void bind_sensors(py::module_& m) {
  py::class_<SensorModel, std::shared_ptr<SensorModel>>(m, "SensorModel", "A plant's sensors in health.")
      .def_static(
          "fit",
          [](const TagMap& tags, const Array& values, const Codes& status, const Flags& gap,
             double false_alarms, double rows_per_month, std::vector<double> memory, double baseline,
             int factors, int blocks, int settle_rows, double most_accused, double confidence) {
            require_shape("SensorMonitor.fit(values)", values,
                          {{"N", -1}, {"tags", static_cast<long>(tags.tags.size())}});
            const std::vector<char> gaps = gaps_of(gap, values.shape(0), "SensorMonitor.fit(gap)");
            const std::uint8_t* codes = codes_of(status, values, "SensorMonitor.fit(status)");
            const SensorOptions options{false_alarms, rows_per_month, std::move(memory), baseline,  factors,
                                        blocks,       settle_rows,    most_accused,      confidence};
            const ConstView rows = view(values);
            py::gil_scoped_release nogil;
            return std::make_shared<SensorModel>(SensorModel::fit(tags, rows, codes, gaps, options));
          },
          "tags"_a, "values"_a.noconvert(), "status"_a.noconvert(), "gap"_a.noconvert(), py::kw_only(),
          "false_alarms"_a, "rows_per_month"_a, "memory"_a, "baseline"_a, "factors"_a, "blocks"_a,
          "settle_rows"_a, "most_accused"_a, "confidence"_a,
          "Reference rows (N, tags), NaN = missing; status (N, tags) uint8 or (0, 0); gap (N,).")
      .def_property_readonly(
          "factor_count", [](const SensorModel& s) { return s.factors.factors(); }, "Common causes.")
      .def_property_readonly(
          "modelled", [](const SensorModel& s) { return s.modelled; }, "Columns that are reconstructed.")
      .def_property_readonly(
          "judged", [](const SensorModel& s) { return std::vector<bool>(s.judged.begin(), s.judged.end()); },
          "Of those, which may be accused.")
      .def_property_readonly(
          "frozen_rows",
          [](const SensorModel& s) {
            std::vector<int> rows;
            for (const RunLimits& r : s.runs) rows.push_back(r.frozen_rows);
            return rows;
          },
          "Per tag, rows with one value that are a freeze; 0: never judged.")
      .def_property_readonly(
          "stuck_rows",
          [](const SensorModel& s) {
            std::vector<int> rows;
            for (const RunLimits& r : s.runs) rows.push_back(r.stuck_rows);
            return rows;
          },
          "Per tag, rows at an end that are stuck; 0: never judged.")
      .def_property_readonly(
          "limits",
          [](const SensorModel& s) {
            const auto views = static_cast<Index>(2 * s.options.memory.size());
            Matrix out(s.size(), 2 + views);
            for (Index t = 0; t < s.size(); ++t) {
              const ResidualLimits& l = s.limits[static_cast<std::size_t>(t)];
              out(t, 0) = l.spread;
              out(t, 1) = l.jump;
              for (Index v = 0; v < views; ++v) out(t, 2 + v) = l.shift[static_cast<std::size_t>(v)];
            }
            return to_array(std::move(out));
          },
          "(T, 2 + 2 memories): spread, limits of a jump, of each mean, of its change; model standard "
          "deviations.")
      .def(
          "reconstruct",
          [](const SensorModel& self, const Array& values, const Codes& status, const Flags& gap) {
            require_shape("SensorMonitor.reconstruct(values)", values,
                          {{"N", -1}, {"tags", static_cast<long>(self.columns())}});
            const std::vector<char> gaps = gaps_of(gap, values.shape(0), "SensorMonitor.reconstruct(gap)");
            const std::uint8_t* codes = codes_of(status, values, "SensorMonitor.reconstruct(status)");
            Array expected({values.shape(0), values.shape(1)}), sd({values.shape(0), values.shape(1)});
            const ConstView rows = view(values);
            const View e = mutable_view(expected), s = mutable_view(sd);
            {
              py::gil_scoped_release nogil;
              self.reconstruct(rows, codes, gaps.data(), e, s);
            }
            return py::make_tuple(expected, sd);
          },
          "values"_a.noconvert(), "status"_a.noconvert(), "gap"_a.noconvert(),
          "(N, tags) expected by the other tags and its sd; NaN where not modelled.");

  py::class_<SensorStream>(m, "SensorStream", "Sensors watched row by row.")
      .def(py::init([](std::shared_ptr<SensorModel> model) { return SensorStream(std::move(model)); }),
           "model"_a)
      .def(
          "push",
          [](SensorStream& self, const Array& values, const Codes& status, const Flags& gap) {
            require_shape("SensorStream.push(values)", values, {{"N", -1}, {"tags", -1}});
            const std::vector<char> gaps = gaps_of(gap, values.shape(0), "SensorStream.push(gap)");
            const std::uint8_t* codes = codes_of(status, values, "SensorStream.push(status)");
            const ConstView rows = view(values);
            py::gil_scoped_release nogil;
            self.push(rows, codes, gaps.data());
          },
          "values"_a.noconvert(), "status"_a.noconvert(), "gap"_a.noconvert(),
          "More rows (n, tags); status (n, tags) uint8 or (0, 0); gap (n,).")
      .def("findings", &findings_of, "All findings so far as arrays by name.")
      .def_property_readonly("rows", &SensorStream::rows);
}

void bind_envelope(py::module_& m) {
  py::class_<InputEnvelope>(m, "InputEnvelope", "A calibrated distance from training rows.")
      .def_static(
          "fit",
          [](const Array& rows, const std::vector<std::string>& names, const std::string& distance,
             int neighbours, int blocks, Index most_rows) {
            require_shape("Envelope.fit(rows)", rows, {{"N", -1}, {"tags", static_cast<long>(names.size())}});
            EnvelopeOptions options;
            if (distance != "mahalanobis" && distance != "neighbours")
              throw InputError("Envelope: distance: expected mahalanobis or neighbours, got '" + distance +
                               "'");
            options.distance =
                distance == "mahalanobis" ? EnvelopeDistance::mahalanobis : EnvelopeDistance::neighbours;
            options.neighbours = neighbours;
            options.blocks = blocks;
            options.most_rows = most_rows;
            const ConstView x = view(rows);
            py::gil_scoped_release nogil;
            return InputEnvelope::fit(x, names, options);
          },
          "rows"_a.noconvert(), "names"_a, py::kw_only(), "distance"_a, "neighbours"_a, "blocks"_a,
          "most_rows"_a)
      .def_property_readonly(
          "calibration", [](const InputEnvelope& e) { return to_array(e.calibration()); },
          "Sorted distances of held-out training rows.")
      .def(
          "place",
          [](const InputEnvelope& self, const Array& rows, bool contributions) {
            require_shape("Envelope.score(rows)", rows,
                          {{"n", -1}, {"tags", static_cast<long>(self.size())}});
            Array parts({contributions ? rows.shape(0) : 0, rows.shape(1)});
            double* into = contributions ? parts.mutable_data() : nullptr;
            const ConstView x = view(rows);
            std::vector<EnvelopePlace> places;
            {
              py::gil_scoped_release nogil;
              places = self.place(x, into);
            }
            Array distance(rows.shape(0)), p(rows.shape(0));
            for (py::ssize_t r = 0; r < rows.shape(0); ++r) {
              distance.mutable_at(r) = places[static_cast<std::size_t>(r)].distance;
              p.mutable_at(r) = places[static_cast<std::size_t>(r)].p;
            }
            return py::make_tuple(distance, p, parts);
          },
          "rows"_a.noconvert(), "contributions"_a = false,
          "(distance (n,), p (n,), contributions (n or 0, tags)).");
}

void bind_process(py::module_& m) {
  py::class_<ProcessState>(m, "ProcessState",
                           "What a stream of rows has left in a ProcessMonitor's filters.");
  py::class_<ProcessMonitor>(m, "ProcessMonitor", "Filtered distances of lagged rows from normal operation.")
      .def_static(
          "fit",
          [](const Array& rows, const Flags& gap, const std::vector<std::string>& names, int lags,
             std::vector<double> memory, double false_alarms, int blocks, double confidence) {
            require_shape("ProcessMonitor.fit(rows)", rows,
                          {{"N", -1}, {"tags", static_cast<long>(names.size())}});
            const std::vector<char> gaps = gaps_of(gap, rows.shape(0), "ProcessMonitor.fit(gap)");
            const ProcessMonitorOptions options{lags, std::move(memory), false_alarms, blocks, confidence};
            const ConstView x = view(rows);
            py::gil_scoped_release nogil;
            return ProcessMonitor::fit(x, gaps, names, options);
          },
          "rows"_a.noconvert(), "gap"_a.noconvert(), "names"_a, py::kw_only(), "lags"_a, "memory"_a,
          "false_alarms"_a, "blocks"_a, "confidence"_a)
      .def("start", &ProcessMonitor::start)
      .def_property_readonly(
          "limits",
          [](const ProcessMonitor& p) {
            std::vector<double> limits;
            for (const ProcessStatistic& s : p.statistics()) limits.push_back(s.limit);
            return limits;
          },
          "Of each statistic, in mean squares.")
      .def_property_readonly(
          "shrinkage",
          [](const ProcessMonitor& p) {
            std::vector<double> out;
            for (const ProcessStatistic& s : p.statistics()) out.push_back(s.precision.shrinkage);
            return out;
          },
          "Of each statistic's covariance.")
      .def(
          "push",
          [](const ProcessMonitor& self, ProcessState& state, const Array& rows, const Flags& gap,
             bool contributions) {
            require_shape("ProcessMonitor.push(rows)", rows,
                          {{"N", -1}, {"tags", static_cast<long>(self.size())}});
            const std::vector<char> gaps = gaps_of(gap, rows.shape(0), "ProcessMonitor.push(gap)");
            Array score({rows.shape(0), static_cast<py::ssize_t>(self.statistics().size())});
            Array parts({contributions ? rows.shape(0) : 0, rows.shape(1)});
            double* into = contributions ? parts.mutable_data() : nullptr;
            const ConstView x = view(rows);
            const View s = mutable_view(score);
            {
              py::gil_scoped_release nogil;
              self.push(state, x, gaps.data(), s, into);
            }
            return py::make_tuple(score, parts);
          },
          "state"_a, "rows"_a.noconvert(), "gap"_a.noconvert(), "contributions"_a = false,
          "(score (N, statistics) over their limits, contributions (N or 0, tags)).");
}

}  // namespace

void bind_monitor_sensors(py::module_& m) {
  bind_sensors(m);
  bind_envelope(m);
  bind_process(m);
}

}  // namespace emisopt::python
