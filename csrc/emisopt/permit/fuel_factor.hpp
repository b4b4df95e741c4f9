// F-factors: how much combustion gas a heat input makes, at 20 degC and 101.325 kPa without excess air.
//
//   Fd = 1e6 (3.64 H + 1.53 C + 0.57 S + 0.14 N - 0.46 O) / GCV               dry gas, dscf/MMBtu
//   Fw = 1e6 (5.57 H + 1.53 C + 0.57 S + 0.14 N - 0.46 O + 0.21 H2O) / GCV    wet gas, wscf/MMBtu
//   Fc = 1e6 0.321 C / GCV                                                    CO2, scf/MMBtu
//
// Fuel in weight %, GCV in Btu/lb (40 CFR 60 appendix A, Method 19, section 12.3.2.1). The form of Fd and the
// table were seen in their source; the coefficients of Fw and Fc were recalled, and all of them follow from
// the stoichiometry of complete combustion to 2 %, their rounding
// (tests/cpp/permit/fuel_factor_test.cpp).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// Ultimate analysis, weight % on one basis, and the gross calorific value on the same basis.
struct FuelAnalysis {
  double carbon = kMissing, hydrogen = kMissing, sulfur = 0, nitrogen = 0, oxygen = 0;
  double water = 0;       // only Fw looks at it
  double gcv = kMissing;  // Btu/lb
};

struct FuelFactors {
  double fd = kMissing;  // dscf/MMBtu
  double fw = kMissing;  // wscf/MMBtu; NaN in the table
  double fc = kMissing;  // scf CO2/MMBtu
};

/// Throws InputError naming the field that is missing, negative or beyond 100 %, a sum above 100.5 %, a GCV
/// that is not in [1000, 70000] Btu/lb (that of hydrogen is 61,000), or factors that are not positive.
FuelFactors fuel_factors(const FuelAnalysis& fuel);

/// Default factors (40 CFR 75 appendix F, table 1). Throws InputError for a fuel that is not in the table.
FuelFactors default_fuel_factors(std::string_view fuel);
std::vector<std::string> default_fuels();

inline constexpr double kM3PerFt3 = 0.028316846592;  // exact
inline constexpr double kJPerBtu = 1055.05585262;    // International Table
inline constexpr double kKgPerLb = 0.45359237;       // exact

/// m3/GJ (20 degC) that one scf/MMBtu is.
inline constexpr double kM3GjPerScfMmbtu = kM3PerFt3 / (kJPerBtu * 1e-3);

}  // namespace emisopt
