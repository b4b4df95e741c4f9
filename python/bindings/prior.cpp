// Mechanistic priors: tables from arrays, C++ functions by their registered name.
#include "prior.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

BoundPrior bound(std::shared_ptr<const Prior> prior, const TagMap& tags) {
  return {std::move(prior), static_cast<py::ssize_t>(tags.setpoints().size()),
          static_cast<py::ssize_t>(tags.disturbances().size()),
          static_cast<py::ssize_t>(tags.outputs().size())};
}

using Axes = std::vector<std::pair<std::string, std::vector<double>>>;

BoundPrior table_prior(const TagMap& tags,
                       const std::vector<std::tuple<std::string, Axes, std::vector<double>>>& tables) {
  std::vector<TablePrior::Table> list;
  for (const auto& [output, axes, values] : tables) {
    TablePrior::Table& table = list.emplace_back(TablePrior::Table{output, {}, values});
    for (const auto& [tag, points] : axes) table.axes.push_back({tag, points});
  }
  return bound(std::make_shared<TablePrior>(tags, std::move(list)), tags);
}

py::tuple evaluate(const BoundPrior& self, const Array& setpoints, const Array& disturbances) {
  require_shape("Prior.evaluate(setpoints)", setpoints,
                {{"N", -1}, {"U", static_cast<long>(self.setpoints)}});
  const py::ssize_t rows = setpoints.shape(0);
  require_shape("Prior.evaluate(disturbances)", disturbances,
                {{"N", static_cast<long>(rows)}, {"D", static_cast<long>(self.disturbances)}});
  Array value({rows, self.outputs}), slope({rows, self.outputs, self.setpoints});
  const auto size = [](py::ssize_t n) { return static_cast<std::size_t>(n); };
  double *v = value.mutable_data(), *s = slope.mutable_data();
  const double *u = setpoints.data(), *d = disturbances.data();
  {
    py::gil_scoped_release nogil;
    for (py::ssize_t r = 0; r < rows; ++r)
      self.prior->evaluate({u + r * self.setpoints, size(self.setpoints)},
                           {d + r * self.disturbances, size(self.disturbances)},
                           {v + r * self.outputs, size(self.outputs)},
                           {s + r * self.outputs * self.setpoints, size(self.outputs * self.setpoints)});
  }
  return py::make_tuple(value, slope);
}

}  // namespace

void bind_prior(py::module_& m) {
  py::class_<BoundPrior>(m, "Prior", "What is known of outputs without data, of one row's operation.")
      .def_static("table", &table_prior, "tags"_a, "tables"_a,
                  "From [(output, [(tag, points), ...], values row-major), ...].")
      .def_static(
          "function",
          [](const TagMap& tags, const std::string& name) { return bound(function_prior(name), tags); },
          "tags"_a, "name"_a, "A function that C++ code of this process registered.")
      .def("evaluate", &evaluate, "setpoints"_a.noconvert(), "disturbances"_a.noconvert(),
           "(N, U), (N, D) physical -> value (N, O), d value / d setpoint (N, O, U); NaN: not known.")
      .def_property_readonly(
          "json", [](const BoundPrior& self) { return self.prior->to_json().write(); },
          "What a checkpoint keeps of it.");
}

}  // namespace emisopt::python
