// Compliance arithmetic: conversions and their maps, substitution, statistics of tests, audit records.
#include <pybind11/stl.h>

#include <optional>

#include "arrays.hpp"
#include "emisopt/permit/audit_log.hpp"
#include "emisopt/permit/calibration.hpp"
#include "emisopt/permit/conversion_map.hpp"
#include "emisopt/permit/emission_rate.hpp"
#include "emisopt/permit/fuel_factor.hpp"
#include "emisopt/permit/gas_conversion.hpp"
#include "emisopt/permit/rate_maps.hpp"
#include "emisopt/permit/relative_accuracy.hpp"
#include "emisopt/permit/substitution.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

// (n) or (1,) for all rows; (0,) where the caller has none.
Column column(const char* where, const Array& a, long n) {
  if (a.ndim() == 1 && a.size() == 0) return {};
  if (!(a.ndim() == 1 && a.size() == 1)) require_shape(where, a, {{"n", n}});
  return {a.data(), a.size() == 1};
}

RowLabel row_label(std::string tag, const Array& time, long n) {
  if (time.size() == 0) return {std::move(tag), nullptr};
  require_shape("time", time, {{"n", n}});
  return {std::move(tag), time.data()};
}

void bind_gas(py::module_& m) {
  m.def("pollutant_names", &pollutant_names);
  m.def(
      "molar_mass", [](const std::string& name) { return find_pollutant(name, "molar_mass").molar_mass; },
      "pollutant"_a, "g/mol of what is counted; NOx as NO2.");
  m.def(
      "mg_m3_per_ppm",
      [](const std::string& name, double temperature_c) {
        return mg_m3_per_ppm(find_pollutant(name, "mg_m3_per_ppm"), temperature_c);
      },
      "pollutant"_a, "temperature_c"_a);

  py::class_<GasBasis>(m, "GasBasis",
                       "What a concentration refers to: unit, temperature, wet or dry, oxygen.")
      .def(py::init([](std::string unit, double temperature_c, bool dry, double o2_reference) {
             return GasBasis{std::move(unit), temperature_c, dry, o2_reference};
           }),
           "unit"_a, "temperature_c"_a, "dry"_a, "o2_reference"_a, "o2_reference: %, NaN: as measured.")
      .def("__str__", &GasBasis::text);

  py::class_<GasConversion>(m, "GasConversion", "Concentrations from one basis to another.")
      .def(
          py::init([](std::string pollutant, GasBasis from, GasBasis to, double o2_constant, bool o2_dry) {
            return GasConversion({std::move(pollutant), std::move(from), std::move(to), o2_constant, o2_dry});
          }),
          "pollutant"_a, "source"_a, "target"_a, "o2_constant"_a, "o2_dry"_a)
      .def_property_readonly("needs_o2", &GasConversion::needs_o2)
      .def_property_readonly("needs_moisture", &GasConversion::needs_moisture)
      .def("inverse", &GasConversion::inverse)
      .def("factor", &GasConversion::factor, "o2"_a, "moisture"_a)
      .def(
          "apply",
          [](const GasConversion& self, const Array& value, const Array& o2, const Array& moisture,
             std::string tag, const Array& time) {
            require_shape("GasConversion.apply(value)", value, {{"n", -1}});
            const long n = value.shape(0);
            const Column o = column("GasConversion.apply(o2)", o2, n),
                         h = column("GasConversion.apply(moisture)", moisture, n);
            const RowLabel label = row_label(std::move(tag), time, n);
            Array out(n);
            double* to = out.mutable_data();
            {
              const py::gil_scoped_release nogil;
              self.apply(to, n, value.data(), o, h, label);
            }
            return out;
          },
          "value"_a.noconvert(), "o2"_a.noconvert(), "moisture"_a.noconvert(), "tag"_a, "time"_a.noconvert(),
          "(n) -> (n); o2 and moisture in %: (n), (1,) or (0,) for none; time: (n) s since 1970 UTC or "
          "(0,).");
}

template <class F>
void bind_rate(py::module_& m, const char* name, const F& function, const char* doc) {
  m.def(
      name,
      [function, name](const Array& value, double k, const Array& a, const Array& b, std::string tag,
                       const Array& time) {
        require_shape(name, value, {{"n", -1}});
        const long n = value.shape(0);
        const Column x = column(name, a, n), y = column(name, b, n);
        const RowLabel label = row_label(std::move(tag), time, n);
        Array out(n);
        double* to = out.mutable_data();
        {
          const py::gil_scoped_release nogil;
          function(to, n, value.data(), k, x, y, label);
        }
        return out;
      },
      "value"_a.noconvert(), "k"_a, "a"_a.noconvert(), "b"_a.noconvert(), "tag"_a, "time"_a.noconvert(), doc);
}

using KTwo = void (*)(double*, Index, const double*, double, Column, Column, const RowLabel&);
using KOne = void (*)(double*, Index, const double*, double, Column, const RowLabel&);
using One = void (*)(double*, Index, const double*, Column, const RowLabel&);

void bind_rate(py::module_& m, const char* name, KTwo f, const char* doc) {
  bind_rate(
      m, name,
      [f](double* out, Index n, const double* v, double k, Column a, Column b, const RowLabel& l) {
        f(out, n, v, k, a, b, l);
      },
      doc);
}
void bind_rate(py::module_& m, const char* name, KOne f, const char* doc) {
  bind_rate(
      m, name,
      [f](double* out, Index n, const double* v, double k, Column a, Column, const RowLabel& l) {
        f(out, n, v, k, a, l);
      },
      doc);
}
void bind_rate(py::module_& m, const char* name, One f, const char* doc) {
  bind_rate(
      m, name,
      [f](double* out, Index n, const double* v, double, Column a, Column, const RowLabel& l) {
        f(out, n, v, a, l);
      },
      doc);
}

void bind_rates(py::module_& m) {
  m.def("lb_scf_per_ppm", &lb_scf_per_ppm, "pollutant"_a);
  m.def("lb_scf_per_ppm_of_mass", &lb_scf_per_ppm_of_mass, "pollutant"_a);
  bind_rate(m, "lb_mmbtu_from_ppm", &lb_mmbtu_from_ppm, "k, a: Fd, b: O2 in %.");
  bind_rate(m, "ppm_from_lb_mmbtu", &ppm_from_lb_mmbtu, "k, a: Fd, b: O2 in %.");
  bind_rate(m, "lb_mmbtu_from_ppm_co2", &lb_mmbtu_from_ppm_co2, "k, a: Fc, b: CO2 in %.");
  bind_rate(m, "lb_h_from_ppm", &lb_h_from_ppm, "k, a: dscf/min.");
  bind_rate(m, "ppm_from_lb_h", &ppm_from_lb_h, "k, a: dscf/min.");
  bind_rate(m, "kg_h_from_mg_m3", &kg_h_from_mg_m3, "a: m3/h.");
  bind_rate(m, "mg_m3_from_kg_h", &mg_m3_from_kg_h, "a: m3/h.");
  bind_rate(m, "lb_h_from_lb_mmbtu", &lb_h_from_lb_mmbtu, "a: MMBtu/h.");
  bind_rate(m, "t_a_from_kg_h", &t_a_from_kg_h, "a: hours per year.");
  bind_rate(m, "kg_h_from_t_a", &kg_h_from_t_a, "a: hours per year.");

  m.def(
      "fuel_factors",
      [](double carbon, double hydrogen, double sulfur, double nitrogen, double oxygen, double water,
         double gcv) {
        const FuelFactors f = fuel_factors({carbon, hydrogen, sulfur, nitrogen, oxygen, water, gcv});
        return py::make_tuple(f.fd, f.fw, f.fc);
      },
      "carbon"_a, "hydrogen"_a, "sulfur"_a, "nitrogen"_a, "oxygen"_a, "water"_a, "gcv"_a,
      "(Fd, Fw, Fc) in scf/MMBtu from wt% and Btu/lb.");
  m.def(
      "default_fuel_factors",
      [](const std::string& fuel) {
        const FuelFactors f = default_fuel_factors(fuel);
        return py::make_tuple(f.fd, f.fw, f.fc);
      },
      "fuel"_a);
  m.def("default_fuels", &default_fuels);
}

// One step's arrays as pointers; d may be empty (not known).
struct Step {
  const double *y, *u, *d;
};
Step step(const std::string& where, const SizedMap& map, const Array& y, const Array& u, const Array& d) {
  require_shape(where + "(y)", y, {{"O", map.reads().outputs}});
  const auto at_least = [&](const char* name, const Array& a, int least) {
    if (a.ndim() != 1 || a.size() < least) require_shape(where + name, a, {{"at least", least}});
  };
  at_least("(u)", u, map.reads().setpoints);
  at_least("(d)", d, d.size() ? map.reads().disturbances : 0);
  return {y.data(), u.data(), d.size() ? d.data() : nullptr};
}

void bind_maps(py::module_& m) {
  py::class_<Source>(m, "Source", "Where an input of an output map comes from at each step.")
      .def_static("constant", &Source::of_constant, "value"_a)
      .def_static("output", &Source::of_output, "column"_a)
      .def_static("setpoint", &Source::of_setpoint, "column"_a)
      .def_static("disturbance", &Source::of_disturbance, "column"_a);

  py::class_<SizedMap, std::shared_ptr<SizedMap>>(
      m, "OutputMap", "Quantities q (Q) from outputs y (O), setpoints u (U), disturbances d (D) of a step.")
      .def_property_readonly("names", &SizedMap::names)
      .def(
          "value",
          [](const SizedMap& self, const Array& y, const Array& u, const Array& d) {
            const Step at = step("OutputMap.value", self, y, u, d);
            Array q(static_cast<py::ssize_t>(self.names().size()));
            self.value(q.mutable_data(), at.y, at.u, at.d);
            return q;
          },
          "y"_a.noconvert(), "u"_a.noconvert(), "d"_a.noconvert())
      .def(
          "vjp",
          [](const SizedMap& self, const Array& seed, const Array& y, const Array& u, const Array& d) {
            require_shape("OutputMap.vjp(seed)", seed, {{"Q", static_cast<long>(self.names().size())}});
            const Step at = step("OutputMap.vjp", self, y, u, d);
            Array dy(y.size()), du(u.size());
            std::fill_n(dy.mutable_data(), y.size(), 0.0);
            std::fill_n(du.mutable_data(), u.size(), 0.0);
            self.vjp(dy.mutable_data(), du.mutable_data(), seed.data(), at.y, at.u, at.d);
            return py::make_tuple(dy, du);
          },
          "seed"_a.noconvert(), "y"_a.noconvert(), "u"_a.noconvert(), "d"_a.noconvert(), "-> (dy, du).");

  py::class_<ConversionMap, SizedMap, std::shared_ptr<ConversionMap>>(m, "ConversionMap")
      .def(py::init([](std::vector<std::string> outputs,
                       const std::vector<std::tuple<int, GasConversion, Source, Source>>& conversions) {
             std::vector<OutputConversion> list;
             for (const auto& [output, conversion, o2, moisture] : conversions)
               list.push_back({output, conversion, o2, moisture});
             return std::make_shared<ConversionMap>(std::move(outputs), std::move(list));
           }),
           "outputs"_a, "conversions"_a, "conversions: (output, conversion, o2 source, moisture source).");
  py::class_<RateMap, SizedMap, std::shared_ptr<RateMap>>(m, "RateMap")
      .def(py::init<std::vector<std::string>, std::string, double, Source, Source>(), "outputs"_a, "name"_a,
           "factor"_a, "concentration"_a, "flow"_a);
  py::class_<ChainMap, SizedMap, std::shared_ptr<ChainMap>>(m, "ChainMap")
      .def(py::init([](std::shared_ptr<SizedMap> first, std::shared_ptr<SizedMap> second) {
             return std::make_shared<ChainMap>(std::move(first), std::move(second));
           }),
           "first"_a, "second"_a);
}

void bind_rate_maps(py::module_& m) {
  m.def("lb_mmbtu_map", &lb_mmbtu_map, "outputs"_a, "output"_a, "k"_a, "fd"_a, "o2"_a);
  m.def("lb_mmbtu_co2_map", &lb_mmbtu_co2_map, "outputs"_a, "output"_a, "k"_a, "fc"_a, "co2"_a);
  m.def("lb_h_map", &lb_h_map, "outputs"_a, "output"_a, "k"_a, "dscf_min"_a);
  m.def("kg_h_map", &kg_h_map, "outputs"_a, "output"_a, "m3_h"_a);
  m.def("t_a_map", &t_a_map, "outputs"_a, "output"_a, "m3_h"_a, "hours"_a);
}

using Flags = py::array_t<bool, py::array::c_style>;
using Integers = py::array_t<int, py::array::c_style>;

std::vector<char> to_flags(const Flags& a) { return {a.data(), a.data() + a.size()}; }

SubstitutionRule make_substitution_rule(double max_potential, bool load_ranges, int lookback_hours,
                                        const std::string& percentile_convention, bool count_operating_hours,
                                        Index availability_hours, Index oldest_hours, bool allow_unverified) {
  SubstitutionRule rule;
  rule.max_potential = max_potential;
  rule.load_ranges = load_ranges;
  rule.lookback_hours = lookback_hours;
  rule.count_operating_hours = count_operating_hours;
  rule.availability = {availability_hours, oldest_hours};
  rule.allow_unverified = allow_unverified;
  if (percentile_convention == "linear")
    rule.convention = PercentileConvention::linear;
  else if (percentile_convention != "nearest rank")
    throw InputError("substitute(percentile): expected 'nearest rank' or 'linear', got '" +
                     percentile_convention + "'");
  return rule;
}

void bind_substitution(py::module_& m) {
  py::class_<SubstitutionRule>(m, "SubstitutionRule", "40 CFR 75 subpart D; see emisopt.compliance.")
      .def(py::init(&make_substitution_rule), "max_potential"_a, "load_ranges"_a, "lookback_hours"_a,
           "percentile"_a, "count_operating_hours"_a, "availability_hours"_a, "oldest_hours"_a,
           "allow_unverified"_a)
      .def_property_readonly("verified", &SubstitutionRule::verified);
  py::class_<SubstitutedHour>(m, "SubstitutedHour", "What one substituted hour's value rests on.")
      .def_readonly("row", &SubstitutedHour::row)
      .def_readonly("value", &SubstitutedHour::value)
      .def_readonly("original", &SubstitutedHour::original)
      .def_property_readonly("method",
                             [](const SubstitutedHour& h) { return std::string(to_string(h.method)); })
      .def_readonly("availability", &SubstitutedHour::availability)
      .def_readonly("gap_first", &SubstitutedHour::gap_first)
      .def_readonly("gap_hours", &SubstitutedHour::gap_hours)
      .def_readonly("before", &SubstitutedHour::before)
      .def_readonly("after", &SubstitutedHour::after)
      .def_readonly("before_row", &SubstitutedHour::before_row)
      .def_readonly("after_row", &SubstitutedHour::after_row)
      .def_readonly("lookback_first", &SubstitutedHour::lookback_first)
      .def_readonly("lookback_last", &SubstitutedHour::lookback_last)
      .def_readonly("lookback_count", &SubstitutedHour::lookback_count)
      .def_readonly("lookback_value", &SubstitutedHour::lookback_value)
      .def_readonly("verified", &SubstitutedHour::verified);
  m.def(
      "substitute_missing",
      [](const Array& values, const Flags& operating, const Flags& assured, const Integers& load_range,
         const SubstitutionRule& rule, std::string tag, const Array& time) {
        require_shape("substitute_missing(values)", values, {{"hours", -1}});
        const RowLabel label = row_label(std::move(tag), time, values.shape(0));
        const std::vector<double> v = to_vector(values);
        const std::vector<char> ran = to_flags(operating), good = to_flags(assured);
        const std::vector<int> range(load_range.data(), load_range.data() + load_range.size());
        Substitution s;
        {
          const py::gil_scoped_release nogil;
          s = substitute_missing(v, ran, good, range, rule, label);
        }
        return py::make_tuple(to_array(s.values), to_array(s.availability), s.hours);
      },
      "values"_a.noconvert(), "operating"_a.noconvert(), "assured"_a.noconvert(), "load_range"_a.noconvert(),
      "rule"_a, "tag"_a, "time"_a.noconvert(),
      "(n) hours -> (values, availability, records); assured and load_range: (n) or (0,).");
  m.def(
      "remove_substitution",
      [](const Array& values, const std::vector<SubstitutedHour>& hours, std::string tag, const Array& time) {
        require_shape("remove_substitution(values)", values, {{"hours", -1}});
        return to_array(
            remove_substitution(to_vector(values), hours, row_label(std::move(tag), time, values.shape(0))));
      },
      "values"_a.noconvert(), "hours"_a, "tag"_a, "time"_a.noconvert());
  m.def(
      "monitor_availability",
      [](const Flags& operating, const Flags& assured, Index operating_hours, Index oldest_hours) {
        return to_array(
            monitor_availability(to_flags(operating), to_flags(assured), {operating_hours, oldest_hours}));
      },
      "operating"_a.noconvert(), "assured"_a.noconvert(), "operating_hours"_a, "oldest_hours"_a);
}

// Names are those of the statistics that an AcceptanceLimit judges.
using Statistics = std::map<std::string, double>;

Statistics relative_accuracy_statistics(const RelativeAccuracy& ra) {
  return {{"runs", ra.n},
          {"mean_reference", ra.mean_reference},
          {"mean_monitor", ra.mean_monitor},
          {"mean_difference", ra.mean_difference},
          {"absolute_mean_difference", std::abs(ra.mean_difference)},
          {"sd", ra.sd},
          {"t_critical", ra.t},
          {"confidence_coefficient", ra.confidence},
          {"relative_accuracy_pct", ra.relative_accuracy_pct},
          {"biased", ra.biased},
          {"bias_adjustment_factor", ra.bias_factor}};
}

Statistics comparison_statistics(const MethodComparison& c) {
  return {{"runs", c.n},
          {"f", c.f},
          {"f_critical", c.f_critical},
          {"t", c.t},
          {"t_critical", c.t_critical},
          {"r", c.r},
          {"mean_difference", c.mean_difference}};
}

Statistics variability_statistics(const CalibrationFunction& f, const Variability& v) {
  return {{"runs", v.n},
          {"intercept", f.intercept},
          {"slope", f.slope},
          {"r", f.r},
          {"mean_difference", v.mean_difference},
          {"sd", v.sd},
          {"sigma0", v.sigma0},
          {"kv", v.kv},
          {"allowed_sd", v.allowed}};
}

void bind_statistics(py::module_& m) {
  m.def(
      "relative_accuracy",
      [](const std::vector<double>& reference, const std::vector<double>& monitor, int least_runs,
         std::optional<double> denominator, int t_decimals) {
        return relative_accuracy_statistics(
            relative_accuracy(reference, monitor, {least_runs, denominator, t_decimals}));
      },
      "reference"_a, "monitor"_a, "least_runs"_a, "denominator"_a, "t_decimals"_a);
  m.def("audit_accuracy_pct", &audit_accuracy_pct, "reference"_a, "monitor"_a);
  m.def(
      "compare_methods",
      [](const std::vector<double>& reference, const std::vector<double>& monitor, int least_runs) {
        return comparison_statistics(compare_methods(reference, monitor, least_runs));
      },
      "reference"_a, "monitor"_a, "least_runs"_a);
  m.def(
      "variability",
      [](const std::vector<double>& x, const std::vector<double>& y, std::optional<double> zero, double limit,
         double confidence_pct) {
        const CalibrationFunction f = zero ? calibrate_through_zero(x, y, *zero) : calibrate(x, y);
        return variability_statistics(f, variability(f, x, y, limit, confidence_pct));
      },
      "x"_a, "y"_a, "zero"_a, "limit"_a, "confidence_pct"_a, "zero: None for least squares.");
  m.def("confidence_interval_pct", &confidence_interval_pct, "pollutant"_a);

  py::class_<AcceptanceLimit>(m, "AcceptanceLimit", "A limit on a statistic, with its source.")
      .def(py::init([](std::string statistic, double limit, bool at_most, std::string source, bool verified) {
             return AcceptanceLimit{std::move(statistic), limit, at_most, std::move(source), verified};
           }),
           "statistic"_a, "limit"_a, "at_most"_a, "source"_a, "verified"_a)
      .def_readonly("statistic", &AcceptanceLimit::statistic)
      .def_readonly("limit", &AcceptanceLimit::limit)
      .def_readonly("at_most", &AcceptanceLimit::at_most)
      .def_readonly("source", &AcceptanceLimit::source)
      .def_readonly("verified", &AcceptanceLimit::verified);
  m.def("ps16_limits", &ps16_limits, "mean_reference_ppm"_a, "f_critical"_a);
  m.def(
      "judge",
      [](const Statistics& statistics, const std::vector<AcceptanceLimit>& limits, bool allow_unverified) {
        std::vector<std::pair<double, bool>> verdicts;
        for (const Verdict& v : judge(statistics, limits, allow_unverified))
          verdicts.emplace_back(v.value, v.met);
        return verdicts;
      },
      "statistics"_a, "limits"_a, "allow_unverified"_a, "-> (value, met) of each limit.");
}

// Columns as the core wants them, on memory that `columns` keeps alive.
std::vector<AuditInput> audit_inputs(const std::vector<std::pair<std::string, Array>>& columns) {
  std::vector<AuditInput> inputs;
  for (const auto& [name, values] : columns) {
    require_shape("audit input '" + name + "'", values, {{"rows", -1}});
    inputs.push_back({name, values.data(), values.shape(0)});
  }
  return inputs;
}

void bind_audit(py::module_& m) {
  using Columns = std::vector<std::pair<std::string, Array>>;
  m.def(
      "append_audit_record",
      [](const std::string& path, std::string subject, std::string maker, double made_s,
         const Columns& columns, const std::string& rule, const std::string& result, Index block_rows) {
        const AuditEntry entry = {
            std::move(subject),    std::move(maker),          made_s,
            audit_inputs(columns), Json::parse(rule, "rule"), Json::parse(result, "result")};
        const py::gil_scoped_release nogil;
        return append_audit_record(path, entry, block_rows);
      },
      "path"_a, "subject"_a, "maker"_a, "made_s"_a, "inputs"_a, "rule"_a, "result"_a,
      "block_rows"_a = kAuditBlockRows, "rule, result: JSON texts; -> the record's line.");
  m.def("verify_audit_file", &verify_audit_file, "path"_a, "head"_a);
  py::class_<AuditRecord>(m, "AuditRecord", "A record as read back; see emisopt.compliance.audit.")
      .def(py::init<std::string_view>(), "text"_a)
      .def_property_readonly("sha256", &AuditRecord::sha256)
      .def_property_readonly("previous", &AuditRecord::previous)
      .def_property_readonly("sequence", &AuditRecord::sequence)
      .def_property_readonly("json", [](const AuditRecord& r) { return r.json().write(); })
      .def("verify", &AuditRecord::verify)
      .def(
          "verify_inputs",
          [](const AuditRecord& self, const Columns& columns) {
            const std::vector<AuditInput> inputs = audit_inputs(columns);
            const py::gil_scoped_release nogil;
            return self.verify_inputs(inputs);
          },
          "inputs"_a)
      .def(
          "verify_result",
          [](const AuditRecord& self, const std::string& now, double tolerance) {
            return self.verify_result(Json::parse(now, "result"), tolerance);
          },
          "now"_a, "tolerance"_a);
  m.def("read_audit_log", &read_audit_log, "path"_a);
}

}  // namespace

void bind_compliance(py::module_& m) {
  bind_gas(m);
  bind_rates(m);
  bind_maps(m);
  bind_rate_maps(m);
  bind_substitution(m);
  bind_statistics(m);
  bind_audit(m);
}

}  // namespace emisopt::python
