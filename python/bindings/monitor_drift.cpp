// Drift: detectors over many tags, run lengths and limits, reference scores, false discoveries, distances.
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>

#include "arrays.hpp"
#include "emisopt/monitor/distribution_distance.hpp"
#include "emisopt/monitor/drift_bank.hpp"
#include "emisopt/monitor/false_discovery.hpp"
#include "emisopt/monitor/kolmogorov.hpp"
#include "emisopt/monitor/python_random.hpp"
#include "emisopt/monitor/run_length.hpp"
#include "emisopt/monitor/run_length_study.hpp"
#include "emisopt/monitor/score_bank.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

using Table = py::array_t<double, 0>;  // any strides: a DataFrame's memory is often (tags, rows)
using Flags = py::array_t<std::uint8_t, py::array::c_style>;

TagRows rows_of(const char* where, const Table& values) {
  require_shape(where, values, {{"N", -1}, {"tags", -1}});
  constexpr py::ssize_t kSize = sizeof(double);
  if (values.strides(0) % kSize != 0 || values.strides(1) % kSize != 0)
    throw ShapeError(std::string(where) + ": expected an array whose strides are whole numbers of values");
  if (reinterpret_cast<std::uintptr_t>(values.data()) % alignof(double) != 0)
    throw ShapeError(std::string(where) + ": expected an aligned array; pass a copy");
  return {values.data(), values.shape(0), values.shape(1), values.strides(0) / kSize,
          values.strides(1) / kSize};
}

const char* gap_of(const char* where, const std::optional<Flags>& gap, Index rows) {
  if (!gap) return nullptr;
  require_shape(where, *gap, {{"N", static_cast<long>(rows)}});
  return reinterpret_cast<const char*>(gap->data());
}

py::dict alarm_arrays(const std::vector<TagAlarm>& alarms) {
  const auto n = static_cast<py::ssize_t>(alarms.size());
  py::array_t<std::int64_t> row(n), tag(n), direction(n), delay(n);
  Array statistic(n), size(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    const TagAlarm& a = alarms[static_cast<std::size_t>(i)];
    row.mutable_at(i) = a.row;
    tag.mutable_at(i) = a.tag;
    direction.mutable_at(i) = a.alarm.direction;
    delay.mutable_at(i) = a.alarm.delay;
    statistic.mutable_at(i) = a.alarm.statistic;
    size.mutable_at(i) = a.alarm.size;
  }
  return py::dict("row"_a = row, "tag"_a = tag, "direction"_a = direction, "statistic"_a = statistic,
                  "size"_a = size, "delay"_a = delay);
}

py::array_t<std::int64_t> counts(const std::vector<Index>& values) {
  py::array_t<std::int64_t> out(static_cast<py::ssize_t>(values.size()));
  std::copy(values.begin(), values.end(), out.mutable_data());
  return out;
}

py::array_t<bool> marks(const std::vector<char>& values) {
  py::array_t<bool> out(static_cast<py::ssize_t>(values.size()));
  std::copy(values.begin(), values.end(), out.mutable_data());
  return out;
}

DriftVariant variant_of(const std::string& word) {
  if (word == "river") return DriftVariant::river;
  if (word == "moa") return DriftVariant::moa;
  throw InputError("variant: expected 'river' or 'moa', got '" + word + "'");
}

DriftMode mode_of(const std::string& word) {
  if (word == "up") return DriftMode::up;
  if (word == "down") return DriftMode::down;
  if (word == "both") return DriftMode::both;
  throw InputError("mode: expected 'up', 'down' or 'both', got '" + word + "'");
}

template <class Options>
Options checked(Options options) {
  options.validate();
  return options;
}

void bind_options(py::module_& m) {
  py::class_<CusumOptions>(m, "CusumOptions", "Two-sided tabular CUSUM of standardised values.")
      .def(py::init([](double slack, double limit) { return checked(CusumOptions{slack, limit}); }),
           py::kw_only(), "slack"_a = 0.5, "limit"_a = 5.0)
      .def_readonly("slack", &CusumOptions::slack)
      .def_readonly("limit", &CusumOptions::limit);
  py::class_<EwmaOptions>(m, "EwmaOptions", "EWMA chart of standardised values.")
      .def(py::init([](double weight, double limit) { return checked(EwmaOptions{weight, limit}); }),
           py::kw_only(), "weight"_a = 0.1, "limit"_a = 2.8)
      .def_readonly("weight", &EwmaOptions::weight)
      .def_readonly("limit", &EwmaOptions::limit);
  py::class_<PageHinkleyOptions>(m, "PageHinkleyOptions", "Page-Hinkley test of values as they are.")
      .def(py::init([](Index min_instances, double delta, double limit, double alpha, const std::string& mode,
                       const std::string& variant) {
             return checked(
                 PageHinkleyOptions{min_instances, delta, limit, alpha, mode_of(mode), variant_of(variant)});
           }),
           py::kw_only(), "min_instances"_a = 30, "delta"_a = 0.005, "limit"_a = 50.0, "alpha"_a = 1 - 0.0001,
           "mode"_a = "both", "variant"_a = "river")
      .def_readonly("limit", &PageHinkleyOptions::limit);
  py::class_<AdwinOptions>(m, "AdwinOptions", "ADWIN2, adaptive windowing.")
      .def(py::init([](double delta, int clock, int max_buckets, int min_window, int grace,
                       const std::string& variant) {
             return checked(AdwinOptions{delta, clock, max_buckets, min_window, grace, variant_of(variant)});
           }),
           py::kw_only(), "delta"_a = 0.002, "clock"_a = 32, "max_buckets"_a = 5, "min_window"_a = 5,
           "grace"_a = 10, "variant"_a = "river")
      .def_readonly("delta", &AdwinOptions::delta);
  py::class_<KswinOptions>(m, "KswinOptions", "KSWIN, a windowed Kolmogorov-Smirnov test on drawn samples.")
      .def(py::init([](double alpha, int window, int sample, std::uint64_t seed) {
             return checked(KswinOptions{alpha, window, sample, seed});
           }),
           py::kw_only(), "alpha"_a = 0.005, "window"_a = 100, "sample"_a = 30, "seed"_a = 0)
      .def_readonly("alpha", &KswinOptions::alpha)
      .def_property_readonly("critical", &KswinOptions::critical, "Least distance that alarms, in samples.");
  py::class_<TwoWindowKsOptions>(m, "TwoWindowKsOptions", "Exact incremental Kolmogorov-Smirnov distance.")
      .def(py::init([](int reference, int recent, double limit) {
             return checked(TwoWindowKsOptions{reference, recent, limit});
           }),
           py::kw_only(), "reference"_a = 500, "recent"_a = 100, "limit"_a = 0.25)
      .def_readonly("limit", &TwoWindowKsOptions::limit);
}

void bind_banks(py::module_& m) {
  py::class_<DriftBank>(m, "DriftBank", "One detector per tag over (rows, tags) tables.")
      .def(py::init<const DetectorOptions&, std::vector<std::string>, bool>(), "options"_a, "names"_a,
           "keep_peaks"_a = false)
      .def(
          "push",
          [](DriftBank& self, const Table& values, const std::optional<Array>& time, int threads) {
            TagRows rows = rows_of("DriftBank.push(values)", values);
            if (time) {
              require_shape("DriftBank.push(time)", *time, {{"N", static_cast<long>(rows.rows)}});
              rows.time = time->data();
            }
            std::vector<TagAlarm> alarms;
            {
              py::gil_scoped_release nogil;
              alarms = self.push(rows, threads);
            }
            return alarm_arrays(alarms);
          },
          "values"_a.noconvert(), "time"_a = py::none(), "threads"_a = 1,
          "values (N, tags), NaN = missing; time (N) UTC seconds for messages. Alarms as arrays.")
      .def("set_limits", &DriftBank::set_limits, "limits"_a, "Per tag; NaN: not judged.")
      .def_property_readonly("limits", [](const DriftBank& b) { return to_array(b.limits()); })
      .def("take_peaks", [](DriftBank& b) { return alarm_arrays(b.take_peaks()); })
      .def("restart", &DriftBank::restart, "tag"_a)
      .def("restart_all", &DriftBank::restart_all)
      .def_property_readonly("rows", &DriftBank::rows)
      .def_property_readonly("names", &DriftBank::names)
      .def_property_readonly("missing", [](const DriftBank& b) { return counts(b.missing()); })
      .def_property_readonly("alarms", [](const DriftBank& b) { return counts(b.alarms()); });

  py::class_<ScoreBank>(m, "ScoreBank", "Values as pre-whitened normal scores against a reference period.")
      .def(py::init([](const Table& reference, const std::optional<Flags>& gap,
                       std::vector<std::string> names, int max_order, Index least_values, int threads) {
             const TagRows rows = rows_of("ScoreBank(reference)", reference);
             const char* gaps = gap_of("ScoreBank(gap)", gap, rows.rows);
             py::gil_scoped_release nogil;
             return ScoreBank(rows, gaps, std::move(names), {max_order, least_values}, threads);
           }),
           "reference"_a.noconvert(), "gap"_a, "names"_a, py::kw_only(), "max_order"_a = 8,
           "least_values"_a = 100, "threads"_a = 1)
      .def(
          "push",
          [](ScoreBank& self, const Table& values, const std::optional<Flags>& gap, int threads) {
            const TagRows rows = rows_of("ScoreBank.push(values)", values);
            const char* gaps = gap_of("ScoreBank.push(gap)", gap, rows.rows);
            Matrix scores;
            {
              py::gil_scoped_release nogil;
              scores = self.push(rows, gaps, threads);
            }
            return to_array(std::move(scores));
          },
          "values"_a.noconvert(), "gap"_a = py::none(), "threads"_a = 1)
      .def(
          "inflations",
          [](const ScoreBank& self, const Table& reference, const std::optional<Flags>& gap,
             const DetectorOptions& chart, double run_length, Index block, Index values, std::uint64_t seed,
             int threads) {
            const TagRows rows = rows_of("ScoreBank.inflations(reference)", reference);
            const char* gaps = gap_of("ScoreBank.inflations(gap)", gap, rows.rows);
            std::vector<double> factors;
            {
              py::gil_scoped_release nogil;
              factors = self.inflations(rows, gaps, chart, run_length, block, values, seed, threads);
            }
            return to_array(factors);
          },
          "reference"_a.noconvert(), "gap"_a, "chart"_a, py::kw_only(), "run_length"_a, "block"_a = 0,
          "values"_a = 100000, "seed"_a = 0, "threads"_a = 1)
      .def_property_readonly("table", [](const ScoreBank& self) {
        const auto n = static_cast<py::ssize_t>(self.references().size());
        py::array_t<int> state(n), order(n);
        Array mean(n), spread(n), gain(n);
        for (py::ssize_t i = 0; i < n; ++i) {
          const ReferenceScore& r = self.references()[static_cast<std::size_t>(i)];
          state.mutable_at(i) = static_cast<int>(r.state);
          order.mutable_at(i) = static_cast<int>(r.phi.size());
          mean.mutable_at(i) = r.mean;
          spread.mutable_at(i) = r.spread;
          gain.mutable_at(i) = r.gain();
        }
        return py::dict("state"_a = state, "order"_a = order, "mean"_a = mean, "spread"_a = spread,
                        "gain"_a = gain);
      });
}

ValueSource source_of(const std::string& kind, double phi, const std::optional<Array>& series, Index block) {
  ValueSource source;
  source.phi = phi;
  source.block = block;
  if (kind == "normal")
    source.kind = ValueSource::Kind::normal;
  else if (kind == "uniform")
    source.kind = ValueSource::Kind::uniform;
  else if (kind == "ar1")
    source.kind = ValueSource::Kind::ar1;
  else if (kind == "blocks")
    source.kind = ValueSource::Kind::blocks;
  else
    throw InputError("source: expected normal, uniform, ar1 or blocks, got '" + kind + "'");
  if (series) {
    require_shape("source(series)", *series, {{"n", -1}});
    source.series = to_vector(*series);
  }
  return source;
}

void bind_run_lengths(py::module_& m) {
  m.def("cusum_run_length", &cusum_run_length, "slack"_a, "limit"_a, "shift"_a = 0.0);
  m.def("ewma_run_length", &ewma_run_length, "weight"_a, "limit"_a, "shift"_a = 0.0);
  m.def("cusum_limit", &cusum_limit, "run_length"_a, "slack"_a);
  m.def("ewma_limit", &ewma_limit, "run_length"_a, "weight"_a);
  py::class_<RunLengthCurve>(m, "RunLengthCurve", "In-control run length by limit.")
      .def_static("cusum", &RunLengthCurve::cusum, "slack"_a)
      .def_static("ewma", &RunLengthCurve::ewma, "weight"_a)
      .def("run_length", &RunLengthCurve::run_length, "limit"_a)
      .def("p_value", &RunLengthCurve::p_value, "peak"_a, "rows"_a);
  m.def(
      "simulated_run_lengths",
      [](const std::vector<DetectorOptions>& detectors, const std::string& source, double phi,
         const std::optional<Array>& series, Index block, Index values, std::uint64_t seed) {
        const ValueSource from = source_of(source, phi, series, block);
        std::vector<RunLength> got;
        {
          py::gil_scoped_release nogil;
          got = simulated_run_lengths(detectors, from, values, seed);
        }
        std::vector<std::pair<double, Index>> out;
        for (const RunLength& r : got) out.emplace_back(r.mean, r.alarms);
        return out;
      },
      "detectors"_a, py::kw_only(), "source"_a = "normal", "phi"_a = 0.0, "series"_a = py::none(),
      "block"_a = 1, "values"_a = 100000, "seed"_a = 0, "(mean values per alarm, alarms) of each detector.");
}

void bind_discoveries(py::module_& m) {
  m.def(
      "benjamini_hochberg",
      [](const std::vector<double>& p, double level) { return marks(benjamini_hochberg(p, level)); },
      "p_values"_a, "level"_a);
  m.def(
      "e_benjamini_hochberg",
      [](const std::vector<double>& e, double level) { return marks(e_benjamini_hochberg(e, level)); },
      "e_values"_a, "level"_a);
  py::class_<LordPlusPlus>(m, "LordPlusPlus", "LORD++, online control of false discoveries.")
      .def(py::init<double, double>(), "level"_a, "start_wealth"_a = 0.5)
      .def("test", &LordPlusPlus::test, "p_value"_a)
      .def_property_readonly("next_level", &LordPlusPlus::next_level)
      .def_property_readonly("tests", &LordPlusPlus::tests)
      .def_property_readonly("discoveries", &LordPlusPlus::discoveries);
  m.def("population_stability", &population_stability, "p"_a, "q"_a);
  m.def("hellinger_distance", &hellinger_distance, "p"_a, "q"_a);
  m.def("jensen_shannon_distance", &jensen_shannon_distance, "p"_a, "q"_a);
  m.def("earth_mover_distance", &earth_mover_distance, "x"_a, "y"_a);
  m.def(
      "categories_differ",
      [](const std::vector<double>& first, const std::vector<double>& second) {
        const ChiSquared c = categories_differ(first, second);
        return py::make_tuple(c.statistic, c.p_value, c.dof);
      },
      "first"_a, "second"_a, "(statistic, p-value, degrees of freedom).");
  m.def("ks_p_value", &ks_p_value, "n"_a, "h"_a);
  m.def(
      "python_random_samples",
      [](std::uint64_t seed, std::uint32_t n, std::uint32_t k, int times) {
        if (k > n || times < 0 || n < 1)
          throw InputError("python_random_samples: expected 0 <= k <= n, n > 0");
        PythonRandom random(seed);
        std::vector<std::uint32_t> pool;
        std::vector<std::vector<std::uint32_t>> out;
        for (int i = 0; i < times; ++i) {
          out.emplace_back(k);
          random.sample(n, k, out.back().data(), pool);
        }
        return out;
      },
      "seed"_a, "n"_a, "k"_a, "times"_a,
      "What random.Random(seed).sample(range(n), k) gives, `times` times.");
}

}  // namespace

void bind_monitor_drift(py::module_& m) {
  bind_options(m);
  bind_banks(m);
  bind_run_lengths(m);
  bind_discoveries(m);
}

}  // namespace emisopt::python
