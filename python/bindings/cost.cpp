// What a plan costs or should be like, as the controller is told: a unit's bill, tables, polynomials,
// targets.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "emisopt/control/controller.hpp"
#include "emisopt/control/cost_maps.hpp"
#include "emisopt/control/cost_tables.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

FuelCostConfig make_fuel_cost(double period_s, int efficiency, int reagent_flow, int fee_output, int load,
                              double load_mw, double fuel_price_gj, double reagent_price_kg,
                              double fee_per_kg) {
  FuelCostConfig c;
  c.period_s = period_s;
  c.efficiency = efficiency;
  c.reagent_flow = reagent_flow;
  c.fee_output = fee_output;
  c.load = load;
  c.load_mw = load_mw;
  c.fuel_price_gj = fuel_price_gj;
  c.reagent_price_kg = reagent_price_kg;
  c.fee_per_kg = fee_per_kg;
  return c;
}

}  // namespace

void bind_cost(py::module_& m) {
  const FuelCostConfig f;
  py::class_<FuelCostConfig>(m, "FuelCost", "A fired unit's bill: fuel, reagent, fee.")
      .def(py::init(&make_fuel_cost), py::kw_only(), "period_s"_a = f.period_s, "efficiency"_a,
           "reagent_flow"_a = f.reagent_flow, "fee_output"_a = f.fee_output, "load"_a = f.load,
           "load_mw"_a = f.load_mw, "fuel_price_gj"_a = f.fuel_price_gj,
           "reagent_price_kg"_a = f.reagent_price_kg, "fee_per_kg"_a = f.fee_per_kg);
  const Tracking t;
  py::class_<Tracking>(m, "Tracking", "A target for one output.")
      .def(py::init([](int output, double target, double weight, double zone, double scale) {
             return Tracking{output, target, weight, zone, scale};
           }),
           py::kw_only(), "output"_a, "target"_a, "weight"_a = t.weight, "zone"_a = t.zone,
           "scale"_a = t.scale);
  py::class_<OutputMap, std::shared_ptr<OutputMap>>(m, "CostMap", "A user's own cost per step.")
      .def_property_readonly("names", &OutputMap::names);
  py::class_<QuadraticMap, OutputMap, std::shared_ptr<QuadraticMap>>(
      m, "QuadraticCost", "constant + linear' v + 1/2 v' hessian v, v = (outputs, setpoints).")
      .def(py::init([](std::string name, int outputs, int setpoints, const Array& hessian,
                       const std::vector<double>& linear, double constant) {
             const long n = outputs + setpoints;
             require_shape("QuadraticCost(hessian)", hessian, {{"O+U", n}, {"O+U", n}});
             return std::make_shared<QuadraticMap>(std::move(name), outputs, setpoints, to_matrix(hessian),
                                                   linear, constant);
           }),
           py::kw_only(), "name"_a, "outputs"_a, "setpoints"_a, "hessian"_a.noconvert(), "linear"_a,
           "constant"_a = 0.0);
  py::class_<TableMap, OutputMap, std::shared_ptr<TableMap>>(m, "TableCost",
                                                             "Piecewise linear in one output or setpoint.")
      .def(py::init([](std::string name, bool setpoint, int column, std::vector<double> at,
                       std::vector<double> cost) {
             return std::make_shared<TableMap>(std::move(name),
                                               setpoint ? TableMap::Of::setpoint : TableMap::Of::output,
                                               column, std::move(at), std::move(cost));
           }),
           py::kw_only(), "name"_a, "setpoint"_a, "column"_a, "at"_a, "cost"_a);
}

}  // namespace emisopt::python
