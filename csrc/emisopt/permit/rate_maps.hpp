// Emission rates as differentiable maps: what emission_rate.hpp computes of columns, of a forecast's step.
// Each passes the outputs on and adds one quantity, named "nox [lb/MMBtu]"; where there is no answer (oxygen
// at or above 20.9 %, no CO2) it is NaN.
#pragma once
#include <memory>

#include "emisopt/permit/conversion_map.hpp"

namespace emisopt {

/// K C F 20.9 / (20.9 - O2), or K C F 100 / CO2: a concentration per heat input.
class HeatInputMap : public SizedMap {
 public:
  enum class Diluent { oxygen, carbon_dioxide };
  /// Throws InputError for a column outside the outputs, a factor that is not finite and above 0, a constant
  /// diluent outside its range.
  HeatInputMap(std::vector<std::string> outputs, std::string name, double factor, int concentration,
               Source diluent, Diluent kind);
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;

 private:
  /// What the concentration is multiplied by, and its slope per % of the diluent.
  std::pair<double, double> rate(double diluent) const;

  double factor_;
  int concentration_;
  Source diluent_;
  Diluent kind_;
};

/// lb/MMBtu of outputs[output], ppm dry; k: lb/scf per ppm; fd: dscf/MMBtu; o2: % dry.
std::shared_ptr<SizedMap> lb_mmbtu_map(std::vector<std::string> outputs, int output, double k, double fd,
                                       Source o2);
/// The same by CO2 (%, on the concentration's basis); fc: scf CO2/MMBtu.
std::shared_ptr<SizedMap> lb_mmbtu_co2_map(std::vector<std::string> outputs, int output, double k, double fc,
                                           Source co2);
/// lb/h of outputs[output], ppm; flow: dscf/min.
std::shared_ptr<SizedMap> lb_h_map(std::vector<std::string> outputs, int output, double k, Source dscf_min);
/// kg/h of outputs[output], mg/m3; flow: m3/h on one basis.
std::shared_ptr<SizedMap> kg_h_map(std::vector<std::string> outputs, int output, Source m3_h);
/// t/a of outputs[output], mg/m3, were the step's flow held for so many hours of the year, in [0, 8784].
std::shared_ptr<SizedMap> t_a_map(std::vector<std::string> outputs, int output, Source m3_h, double hours);

}  // namespace emisopt
