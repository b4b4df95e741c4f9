// OutputMaps of the objective: what outputs, setpoints and disturbances of one step cost.
#pragma once
#include "emisopt/base/output_map.hpp"

namespace emisopt {

/// q = y: the outputs themselves, under their names.
class IdentityMap : public OutputMap {
 public:
  explicit IdentityMap(std::vector<std::string> names) : names_(std::move(names)) {}
  const std::vector<std::string>& names() const override { return names_; }
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;

 private:
  std::vector<std::string> names_;
};

/// A fired unit's bill per tick, in the currency of the prices. With heat = load * period / efficiency (MJ):
///   fuel = fuel_price * heat,  reagent = reagent_price * flow * period,
///   fee  = fee_per_kg * concentration * gas_volume * heat
struct FuelCostConfig {
  double period_s = 300;
  int efficiency = -1;         // output column, % net of the unit; required
  int reagent_flow = -1;       // output column, kg/h; -1: none
  int fee_output = -1;         // output column, mg/Nm3 at the reference of gas_nm3_mj; -1: none
  int load = -1;               // column of the known disturbances, MW; -1, or unknown at a step: load_mw
  double load_mw = 0;          // > 0 when load is -1
  double fuel_price_gj = 3.2;  // EUR/GJ, on the heating value that efficiency refers to
  double reagent_price_kg = 0.65;
  double fee_per_kg = 0;      // EUR per kg emitted
  double gas_nm3_mj = 0.361;  // dry flue gas at 6 % O2 per MJ fired; this: coal of 60 % C, 23.2 MJ/kg
};

/// Quantities: fuel, reagent, fee. Efficiency below 1 % is taken as 1 %, where the bill's slope ends.
class FuelCost : public OutputMap {
 public:
  /// Throws InputError naming the field.
  explicit FuelCost(FuelCostConfig config, const std::string& currency = "EUR");
  const std::vector<std::string>& names() const override { return names_; }
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;

 private:
  double load(const double* d) const;

  FuelCostConfig config_;
  std::vector<std::string> names_;
};

}  // namespace emisopt
