// Pollutants, their molar masses and the volume of a mole at the three reference temperatures in use.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace emisopt {

struct Pollutant {
  std::string_view name;        // e.g. "NOx"
  double molar_mass;            // g/mol of what is counted
  std::string_view counted_as;  // e.g. "NO2": NOx is reported as if all of it were NO2
};

/// Any case. Throws InputError "where: expected a pollutant, got 'NOY'; did you mean 'NOx'?".
const Pollutant& find_pollutant(std::string_view name, std::string_view where);
std::vector<std::string> pollutant_names();

/// l/mol of an ideal gas at 101.325 kPa: 22.414 at 0, 24.055 at 20, 24.465 at 25 degC.
/// Throws InputError for any other temperature: a permit names one of the three.
double molar_volume(double temperature_c, std::string_view where);

/// mg/m3 that 1 ppm by volume is, at 101.325 kPa and a reference temperature of 0, 20 or 25 degC.
double mg_m3_per_ppm(const Pollutant& pollutant, double temperature_c);

}  // namespace emisopt
