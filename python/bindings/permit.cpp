// Permits as data and their evaluation, streamed or at once.
#include <pybind11/stl.h>

#include <algorithm>

#include "arrays.hpp"
#include "emisopt/permit/evaluation.hpp"
#include "emisopt/permit/exact_sum.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

using Bytes = py::array_t<std::uint8_t, py::array::c_style>;

// A vector of the core as an array that keeps its owner alive.
template <class T, class A>
py::array_t<T> shared_array(const std::vector<T, A>& values, const std::shared_ptr<const Averages>& owner) {
  auto* held = new std::shared_ptr<const Averages>(owner);
  const py::capsule capsule(held, [](void* p) { delete static_cast<std::shared_ptr<const Averages>*>(p); });
  py::array_t<T> array(static_cast<py::ssize_t>(values.size()), values.data(), capsule);
  array.attr("flags").attr("writeable") = false;
  return array;
}

template <class T>
const T* row_pointer(const char* where, const py::handle& item, py::ssize_t rows) {
  using Typed = py::array_t<T, py::array::c_style>;
  if (!Typed::check_(item))
    throw ShapeError(std::string(where) + ": expected a contiguous array of " +
                     std::string(py::str(py::dtype::of<T>())));
  const auto array = py::reinterpret_borrow<Typed>(item);
  require_shape(where, array, {{"N", static_cast<long>(rows)}});
  return array.data();
}

// Pointers into the arrays, which the caller keeps alive.
Samples samples_of(Stamps time, py::ssize_t n, const py::list& columns, const py::list& status,
                   const py::object& plant) {
  Samples rows;
  rows.rows = n;
  rows.time = time;
  for (const py::handle& item : columns)
    rows.columns.push_back(row_pointer<double>("push(columns)", item, n));
  for (const py::handle& item : status)
    rows.status.push_back(item.is_none() ? nullptr : row_pointer<std::uint8_t>("push(status)", item, n));
  if (!plant.is_none()) rows.plant = row_pointer<std::uint8_t>("push(plant)", plant, n);
  return rows;
}

Evaluation run(Evaluator& self, const Samples& rows) {
  py::gil_scoped_release nogil;
  return self.run(rows);
}

void push(Evaluator& self, const Samples& rows) {
  py::gil_scoped_release nogil;
  self.push(rows);
}

EvaluationOptions make_options(bool allow_unverified, double period_s, double lateness_s, bool stamp_is_end,
                               bool negative_is_missing, int threads) {
  return {allow_unverified,    period_s, lateness_s, stamp_is_end ? Stamp::end : Stamp::start,
          negative_is_missing, threads};
}

Zone make_zone(std::string name, std::vector<Second> since, std::vector<int> offset_s, Second first,
               Second last) {
  Zone zone{std::move(name), std::move(since), std::move(offset_s), first, last};
  zone.validate();
  return zone;
}

Signal make_signal(std::string tag, std::string pollutant, std::string unit, std::string moisture,
                   double oxygen, std::string oxygen_tag) {
  Signal signal{std::move(tag), std::move(pollutant), std::move(unit), std::move(moisture),
                oxygen,         std::move(oxygen_tag)};
  signal.validate();
  return signal;
}

bool needs_period(const Rule& rule) {
  return rule.base.length_s == 0 || rule.base.validity.need == Need::share;
}

void bind_permit_data(py::module_& m) {
  py::class_<Rule>(m, "PermitRule", "One limit of a permit; read-only, made by Permit.from_json.")
      .def_readonly("name", &Rule::name)
      .def_readonly("pollutant", &Rule::pollutant)
      .def_readonly("unit", &Rule::unit)
      .def_readonly("tag", &Rule::tag, "Judged on this tag alone; '': on every tag of the pollutant.")
      .def_readonly("limit", &Rule::limit, "In `unit`.")
      .def_readonly("verified", &Rule::verified, "Somebody read the limit in its source.")
      .def_readonly("source", &Rule::source)
      .def_readonly("article", &Rule::article)
      .def_readonly("either", &Rule::either, "Of the rules with the same text one must hold.")
      .def_property_readonly("base_length_s", [](const Rule& r) { return r.base.length_s; })
      .def_property_readonly("needs_period", &needs_period)
      .def_property_readonly("over", [](const Rule& r) { return std::string(to_string(r.average.over)); })
      .def_property_readonly("limit_text", &limit_text, "With unit, basis and, where it is, UNVERIFIED.")
      .def_property_readonly("words", &Permit::in_words, "The rule for people who answer for it.")
      .def("__repr__", [](const Rule& r) { return "PermitRule(" + r.name + ": " + limit_text(r) + ")"; });

  py::class_<Signal>(m, "Signal", "What a column measures.")
      .def(py::init(&make_signal), py::kw_only(), "tag"_a, "pollutant"_a, "unit"_a, "moisture"_a = "",
           "oxygen"_a = kMissing, "oxygen_tag"_a = "")
      .def_readonly("tag", &Signal::tag)
      .def_readonly("pollutant", &Signal::pollutant)
      .def_readonly("unit", &Signal::unit)
      .def_readonly("moisture", &Signal::moisture)
      .def_readonly("oxygen", &Signal::oxygen, "Reference that the values are at, vol %; NaN: not said.")
      .def_readonly("oxygen_tag", &Signal::oxygen_tag, "Column with the oxygen that they were measured at.");

  py::class_<Permit>(m, "Permit", "Rules as data, with the hash that names them.")
      .def_static("from_json", &Permit::from_json, "text"_a,
                  "Reads the JSON form; InputError names the field.")
      .def("to_json", &Permit::to_json, "Canonical JSON: sorted keys, shortest round-trip numbers.")
      .def_property_readonly("hash", &Permit::hash, "SHA-256 of to_json(), 64 hexadecimal digits.")
      .def_readonly("name", &Permit::name)
      .def_readonly("source", &Permit::source)
      .def_readonly("zone", &Permit::zone, "IANA name of the zone of civil days.")
      .def_readonly("rules", &Permit::rules)
      .def_readonly("signals", &Permit::signals)
      .def_property_readonly(
          "needs_period",
          [](const Permit& p) { return std::any_of(p.rules.begin(), p.rules.end(), needs_period); },
          "A rule counts samples, so that the seconds between them must be known.")
      .def_property_readonly("unverified", &Permit::unverified,
                             "Names of rules that nobody read in their source.")
      .def("with_rules", &Permit::with_rules, "names"_a, "The same permit with these rules only.")
      .def(py::pickle([](const Permit& p) { return py::make_tuple(p.to_json()); },
                      [](const py::tuple& t) { return Permit::from_json(t[0].cast<std::string>()); }));
  m.def("known_pollutants", &known_pollutants, "Pollutants that a permit may name.");
  m.def("known_units", &known_units, "Units that a permit may name.");

  py::class_<Zone>(m, "Zone", "Offsets of civil time from UTC, as a table.")
      .def(py::init(&make_zone), "name"_a, "since"_a, "offset_s"_a, "first"_a, "last"_a,
           "since (n): UTC seconds of changes; offset_s (n + 1); the table is right from first to last.")
      .def("to_json", &Zone::to_json, "For programs without a zone database.")
      .def_static("from_json", &Zone::from_json, "text"_a)
      .def_readonly("name", &Zone::name);
}

void bind_results(py::module_& m) {
  using Shared = std::shared_ptr<const Averages>;
  py::class_<Averages, std::shared_ptr<Averages>>(m, "Averages",
                                                  "Averages of one kind in order of their end.");
  const auto arrays = [](const Shared& a) {
    std::vector<std::uint8_t> reasons(a->size());
    std::transform(a->reason.begin(), a->reason.end(), reasons.begin(),
                   [](Reason r) { return static_cast<std::uint8_t>(r); });
    return py::make_tuple(
        shared_array(a->windows->begin, a), shared_array(a->windows->end, a), shared_array(a->value, a),
        Bytes(static_cast<py::ssize_t>(reasons.size()), reasons.data()), shared_array(a->used, a));
  };
  const char* arrays_doc =
      "begin (n), end (n) in UTC seconds; value (n), NaN where it does not count; reason (n), an index of\n"
      "average_reasons(); used (n): valid base means in the window.";

  py::class_<PeriodCount>(m, "PeriodCount", "Good and bad averages of one civil period.")
      .def_readonly("label", &PeriodCount::label)
      .def_readonly("good", &PeriodCount::good)
      .def_readonly("bad", &PeriodCount::bad)
      .def_readonly("holds", &PeriodCount::holds);

  py::class_<StepBack>(m, "StepBack", "A row whose stamp lies before an earlier row's.")
      .def_readonly("row", &StepBack::row)
      .def_readonly("from_s", &StepBack::from_s)
      .def_readonly("to_s", &StepBack::to_s);

  py::class_<RuleResult>(m, "RuleResult", "One rule on one tag.")
      .def_property_readonly("rule", [](const RuleResult& r) -> const Rule& { return *r.rule; })
      .def_readonly("tag", &RuleResult::tag)
      .def_property_readonly(
          "verdict", [](const RuleResult& r) { return std::string(to_string(r.verdict)); },
          "holds, broken or not judged; by itself, whatever an alternative says.")
      .def_readonly("held_by", &RuleResult::held_by, "The alternative that holds in its place, or ''.")
      .def_readonly("total", &RuleResult::total, "Averages of operating time.")
      .def_readonly("valid", &RuleResult::valid, "Of these, those that count.")
      .def_readonly("above", &RuleResult::above, "Of these, those above the limit.")
      .def_readonly("hours_above", &RuleResult::hours_above)
      .def_readonly("worst", &RuleResult::worst, "Index of the highest valid average; -1: none.")
      .def_property_readonly("worst_value", &RuleResult::worst_value)
      .def_readonly("periods", &RuleResult::periods)
      .def_readonly("availability", &RuleResult::availability)
      .def_readonly("negatives", &RuleResult::negatives, "Samples left out as negative.")
      .def_property_readonly("reasons",
                             [](const RuleResult& r) {
                               py::dict out;
                               for (const auto& [reason, count] : r.reasons) out[to_string(reason)] = count;
                               return out;
                             })
      .def_property_readonly(
          "judged",
          [](const RuleResult& r) {
            py::array_t<bool> judged(static_cast<py::ssize_t>(r.judged.size()));
            std::copy(r.judged.begin(), r.judged.end(), judged.mutable_data());
            return judged;
          },
          "(n) bool per average: it counts and the rule is in force.")
      .def_property_readonly(
          "averages", [arrays](const RuleResult& r) { return arrays(r.averages); }, arrays_doc)
      .def_property_readonly("base", [arrays](const RuleResult& r) { return arrays(r.base); }, arrays_doc);

  py::class_<Evaluation>(m, "Evaluation", "A permit judged on data.")
      .def_readonly("permit", &Evaluation::permit)
      .def_property_readonly("permit_hash", &Evaluation::permit_hash)
      .def_readonly("zone", &Evaluation::zone)
      .def("__len__", [](const Evaluation& e) { return e.results.size(); })
      .def(
          "result", [](const Evaluation& e, std::size_t i) -> const RuleResult& { return e.results.at(i); },
          "i"_a, py::return_value_policy::reference_internal,
          "In the permit's order of rules, then of signals; IndexError beyond the last.")
      .def_readonly("rows", &Evaluation::rows)
      .def_readonly("steps_back", &Evaluation::steps_back)
      .def_readonly("first_steps_back", &Evaluation::first_steps_back)
      .def_property_readonly("verdict",
                             [](const Evaluation& e) { return std::string(to_string(e.verdict())); })
      .def("to_json", &Evaluation::to_json, "Counts, worst averages and verdicts as canonical JSON.");

  m.def(
      "average_reasons",
      [] {
        std::vector<std::string> words;
        for (int i = 0; i < kReasons; ++i) words.emplace_back(to_string(static_cast<Reason>(i)));
        return words;
      },
      "Words for the codes of Averages: 'valid' and why one is not.");
}

Limit make_limit(std::string name, int output, double limit, int window, int rank, double quantile,
                 double min_valid) {
  return {std::move(name), output, limit, window, rank, quantile, min_valid};
}

// Rows as a table of arrays: one entry per row, coefficients (n, H).
py::dict rows_table(const PermitRows& self, int horizon) {
  const auto n = static_cast<py::ssize_t>(self.rows.size());
  py::array_t<int> limit(n), first(n), last(n), spare(n), rule(n);
  py::array_t<std::int64_t> begin(n), end(n);
  py::array_t<bool> closes(n);
  Array rhs(n), coefficient({n, static_cast<py::ssize_t>(horizon)});
  std::fill_n(coefficient.mutable_data(), coefficient.size(), 0.0);
  py::list tags;
  for (py::ssize_t i = 0; i < n; ++i) {
    const LimitRow& row = self.rows[static_cast<std::size_t>(i)];
    const ComingRow& about = self.about[static_cast<std::size_t>(i)];
    limit.mutable_at(i) = row.limit;
    first.mutable_at(i) = row.first_step;
    last.mutable_at(i) = row.end_step;
    rhs.mutable_at(i) = row.rhs;
    std::copy(row.coefficient.begin(), row.coefficient.end(), coefficient.mutable_data(i, row.first_step));
    rule.mutable_at(i) = static_cast<int>(about.rule);
    begin.mutable_at(i) = about.window.begin;
    end.mutable_at(i) = about.window.end;
    closes.mutable_at(i) = about.closes;
    spare.mutable_at(i) = about.spare;
    tags.append(about.tag);
  }
  return py::dict("limit"_a = limit, "rule"_a = rule, "tag"_a = tags, "begin"_a = begin, "end"_a = end,
                  "closes"_a = closes, "spare"_a = spare, "first_step"_a = first, "end_step"_a = last,
                  "rhs"_a = rhs, "coefficient"_a = coefficient);
}

PermitRows coming(const Evaluator& self, Second from, int step_s, int steps, const ForecastNames& names,
                  double sample_s, std::map<std::string, int> rank, int spared_rank, double quantile,
                  bool to_date, bool skip) {
  return self.coming({from, step_s, steps, sample_s}, names,
                     {std::move(rank), spared_rank, quantile, to_date, skip});
}

void bind_coming(py::module_& m) {
  const Limit l;
  py::class_<Limit>(m, "Limit", "A limit on the rolling mean of one output over `window` rows; 1: spot.")
      .def(py::init(&make_limit), py::kw_only(), "name"_a, "output"_a, "limit"_a, "window"_a = l.window,
           "rank"_a = l.rank, "quantile"_a = l.quantile, "min_valid"_a = l.min_valid)
      .def_readonly("name", &Limit::name)
      .def_readonly("output", &Limit::output, "Column of the forecast.")
      .def_readonly("limit", &Limit::limit, "In the output's unit.")
      .def_readonly("window", &Limit::window, "Rows.")
      .def_readonly("rank", &Limit::rank, "1 is most important.")
      .def_readonly("quantile", &Limit::quantile, "The forecast quantile that must hold.");
  py::class_<ForecastNames>(m, "ForecastNames", "Names of a forecast's outputs, setpoints, disturbances.")
      .def(py::init([](std::vector<std::string> outputs, std::vector<std::string> setpoints,
                       std::vector<std::string> disturbances) {
             return ForecastNames{std::move(outputs), std::move(setpoints), std::move(disturbances)};
           }),
           "outputs"_a, "setpoints"_a, "disturbances"_a);
  py::class_<BasisMap, SizedMap, std::shared_ptr<BasisMap>>(
      m, "BasisMap", "Outputs, and after them those that a permit judges at a reference oxygen.")
      .def_property_readonly(
          "columns",
          [](const BasisMap& self) {
            std::vector<int> columns;
            for (const BasisMap::Quantity& q : self.quantities()) columns.push_back(q.output);
            return columns;
          },
          "Output that each converted quantity is made of.")
      .def_property_readonly(
          "oxygen",
          [](const BasisMap& self) {
            std::vector<int> columns;
            for (const BasisMap::Quantity& q : self.quantities())
              columns.push_back(q.o2.kind == Source::Kind::output ? q.o2.column : -1);
            return columns;
          },
          "Output that its oxygen is; -1: a setpoint or a disturbance.");
  py::class_<PermitRows>(m, "PermitRows", "A permit's limits as linear rows over the coming steps.")
      .def_readonly("limits", &PermitRows::limits, "What the rows belong to; `output`: of basis_map().")
      .def_readonly("left_out", &PermitRows::left_out, "(rule, why) of rules that are no linear rows.")
      .def("__len__", [](const PermitRows& self) { return self.rows.size(); })
      .def("table", &rows_table, "horizon"_a, "Arrays by row; coefficient (n, H).");
}

}  // namespace

void bind_permit(py::module_& m) {
  bind_permit_data(m);
  bind_results(m);
  bind_coming(m);

  py::class_<SteadyTime>(m, "SteadyTime", "Stamps at a steady pace of whole seconds, UTC.")
      .def_readonly("first_s", &SteadyTime::first_s)
      .def_readonly("step_s", &SteadyTime::step_s)
      .def_readonly("rows", &SteadyTime::rows)
      .def_property_readonly("last_s", &SteadyTime::last_s)
      .def_static(
          "of",
          [](const py::array_t<std::int64_t, py::array::c_style>& ticks, std::int64_t per_second) {
            return SteadyTime::of(ticks.data(), ticks.size(), per_second);
          },
          "ticks"_a.noconvert(), "per_second"_a,
          "ticks (N) since 1970, of which a second has per_second; None where the pace is not steady.")
      .def_static("between", &SteadyTime::between, "first"_a, "second"_a, "last"_a, "rows"_a, "per_second"_a,
                  "The same of ticks that are known to rise evenly, by three of them; None where they do not "
                  "agree.");

  py::class_<Evaluator>(m, "Evaluator", "Judges a permit on rows as they come.")
      .def(py::init([](const Permit& permit, std::vector<Signal> signals, std::vector<std::string> columns,
                       const Zone& zone, bool allow_unverified, double period_s, double lateness_s,
                       bool stamp_is_end, bool negative_is_missing, int threads) {
             return Evaluator(permit, std::move(signals), std::move(columns), zone,
                              make_options(allow_unverified, period_s, lateness_s, stamp_is_end,
                                           negative_is_missing, threads));
           }),
           "permit"_a, "signals"_a, "columns"_a, "zone"_a, py::kw_only(), "allow_unverified"_a = false,
           "period_s"_a = 0.0, "lateness_s"_a = 0.0, "stamp_is_end"_a = false,
           "negative_is_missing"_a = false, "threads"_a = 1)
      .def(
          "push",
          [](Evaluator& self, const Array& time, const py::list& columns, const py::list& status,
             const py::object& plant) {
            require_shape("push(time)", time, {{"N", -1}});
            push(self, samples_of(time.data(), time.shape(0), columns, status, plant));
          },
          "time"_a.noconvert(), "columns"_a, "status"_a = py::list(), "plant"_a = py::none(),
          "time (N) in UTC seconds; columns: (N) float64 each, NaN = missing; status: per column (N) uint8 "
          "or\n"
          "None (valid, calibration, maintenance, invalid); plant (N) uint8 or None (off, on, startup, "
          "shutdown,\n"
          "malfunction).")
      .def(
          "push",
          [](Evaluator& self, const SteadyTime& time, const py::list& columns, const py::list& status,
             const py::object& plant) {
            push(self, samples_of({time.first_s, time.step_s}, time.rows, columns, status, plant));
          },
          "time"_a, "columns"_a, "status"_a = py::list(), "plant"_a = py::none(),
          "The same of rows at a steady pace.")
      .def(
          "run",
          [](Evaluator& self, const Array& time, const py::list& columns, const py::list& status,
             const py::object& plant) {
            require_shape("run(time)", time, {{"N", -1}});
            return run(self, samples_of(time.data(), time.shape(0), columns, status, plant));
          },
          "time"_a.noconvert(), "columns"_a, "status"_a = py::list(), "plant"_a = py::none(),
          "push() of all rows, finish() and result() at once.")
      .def(
          "run",
          [](Evaluator& self, const SteadyTime& time, const py::list& columns, const py::list& status,
             const py::object& plant) {
            return run(self, samples_of({time.first_s, time.step_s}, time.rows, columns, status, plant));
          },
          "time"_a, "columns"_a, "status"_a = py::list(), "plant"_a = py::none(),
          "The same of rows at a steady pace.")
      .def("finish", &Evaluator::finish, py::call_guard<py::gil_scoped_release>())
      .def("result", &Evaluator::result, py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("newest", &Evaluator::newest, "Stamp of the newest row, UTC seconds.")
      .def("basis_map", &Evaluator::basis_map, "names"_a)
      .def("coming", &coming, "from_s"_a, "step_s"_a, "steps"_a, "names"_a, py::kw_only(), "sample_s"_a = 0.0,
           "rank"_a = std::map<std::string, int>(), "spared_rank"_a = 3, "quantile"_a = 0.95,
           "to_date"_a = true, "skip"_a = false, py::call_guard<py::gil_scoped_release>(),
           "What the permit still asks of the steps from `from_s` (UTC seconds) on.");

  m.def(
      "rolling_sum",
      [](const Array& values, Index window) {
        require_shape("rolling_sum(values)", values, {{"N", -1}});
        const double* data = values.data();
        const Index rows = values.shape(0);
        std::vector<double> sums;
        {
          py::gil_scoped_release nogil;
          sums = rolling_sum(data, rows, window);
        }
        return to_array(sums);
      },
      "values"_a.noconvert(), "window"_a,
      "(N) sums of the last `window` rows, each correctly rounded, as math.fsum; NaN is passed over.");
}

}  // namespace emisopt::python
