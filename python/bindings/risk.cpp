// How likely running averages are to break their limits.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "emisopt/permit/break_probability.hpp"
#include "emisopt/permit/coming_rows.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

py::dict table(const BreakProbability& self, const std::vector<LimitRow>& rows,
               const std::vector<Limit>& limits, const std::vector<double>& levels, const Array& quantiles,
               double confidence) {
  require_shape("BreakProbability.assess(quantiles)", quantiles,
                {{"H", self.horizon()}, {"Q", static_cast<long>(levels.size())}});
  const ConstView values = view(quantiles);
  std::vector<BreakRisk> risks;
  double any = 0;
  {
    py::gil_scoped_release nogil;
    risks = self.assess(rows, limits, {levels, values}, confidence);
    any = self.any(rows, {levels, values});
  }
  const auto n = static_cast<py::ssize_t>(risks.size());
  py::array_t<int> limit(n), end_step(n), coming(n);
  Array probability(n), median(n), high(n), headroom(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    const BreakRisk& r = risks[static_cast<std::size_t>(i)];
    limit.mutable_at(i) = r.limit;
    end_step.mutable_at(i) = r.end_step;
    coming.mutable_at(i) = static_cast<int>(rows[static_cast<std::size_t>(i)].coefficient.size());
    probability.mutable_at(i) = r.probability;
    median.mutable_at(i) = r.median;
    high.mutable_at(i) = r.high;
    headroom.mutable_at(i) = r.headroom;
  }
  return py::dict("limit"_a = limit, "end_step"_a = end_step, "coming_rows"_a = coming,
                  "probability"_a = probability, "median"_a = median, "high"_a = high,
                  "headroom"_a = headroom, "any"_a = any);
}

py::dict assess(const BreakProbability& self, const std::vector<Limit>& limits, const Array& past,
                const std::vector<double>& levels, const Array& quantiles, double confidence) {
  require_shape("BreakProbability.assess(past)", past, {{"N", -1}, {"O", -1}});
  return table(self, limit_rows(limits, view(past), self.horizon()), limits, levels, quantiles, confidence);
}

// The rows of a permit that are on one output, in their order.
py::dict assess_rows(const BreakProbability& self, const PermitRows& permit, int output,
                     const std::vector<double>& levels, const Array& quantiles, double confidence) {
  std::vector<LimitRow> rows;
  for (const LimitRow& row : permit.rows)
    if (permit.limits[static_cast<std::size_t>(row.limit)].output == output) rows.push_back(row);
  return table(self, rows, permit.limits, levels, quantiles, confidence);
}

Array scores(const std::vector<double>& levels, const Array& quantiles, const Array& came) {
  require_shape("normal_scores(quantiles)", quantiles, {{"n", -1}, {"Q", static_cast<long>(levels.size())}});
  require_shape("normal_scores(came)", came, {{"n", quantiles.shape(0)}});
  Array out(came.shape(0));
  for (py::ssize_t i = 0; i < came.shape(0); ++i)
    out.mutable_at(i) = normal_score(levels, quantiles.data(i, 0), came.at(i));
  return out;
}

}  // namespace

void bind_risk(py::module_& m) {
  py::class_<ErrorDependence>(m, "ErrorDependence", "How the forecast errors of H steps hang together.")
      .def_static("independent", &ErrorDependence::independent, "horizon"_a)
      .def_static("exponential", &ErrorDependence::exponential, "horizon"_a, "memory"_a)
      .def_static(
          "fit",
          [](const Array& z) {
            require_shape("ErrorDependence.fit(scores)", z, {{"n", -1}, {"H", -1}});
            return ErrorDependence::fit(view(z));
          },
          "scores"_a.noconvert(), "(n, H) normal scores of past forecasts, NaN where nothing came.")
      .def_property_readonly(
          "mean", [](const ErrorDependence& d) { return to_array(d.mean); }, "(H,)")
      .def_property_readonly(
          "spread", [](const ErrorDependence& d) { return to_array(d.spread); }, "(H,)")
      .def_property_readonly(
          "correlation", [](const ErrorDependence& d) { return to_array(Matrix(d.correlation)); }, "(H, H)");
  py::class_<BreakProbability>(m, "BreakProbability", "Probabilities that running averages break limits.")
      .def(py::init<ErrorDependence, int>(), "dependence"_a, "samples"_a = 2048)
      .def_property_readonly("horizon", &BreakProbability::horizon)
      .def("assess", &assess, "limits"_a, "past"_a.noconvert(), "levels"_a, "quantiles"_a.noconvert(),
           "confidence"_a = 0.95,
           "Limits on one output, measured outputs (N, O), its quantiles (H, Q): arrays by limit row, and "
           "`any`.")
      .def("assess_rows", &assess_rows, "permit"_a, "output"_a, "levels"_a, "quantiles"_a.noconvert(),
           "confidence"_a = 0.95, "The same for a permit's rows on one output.");
  m.def("normal_scores", &scores, "levels"_a, "quantiles"_a.noconvert(), "came"_a.noconvert(),
        "(n,) normal score of what came in its own forecast (n, Q).");
}

}  // namespace emisopt::python
