#include "emisopt/permit/pollutant.hpp"

#include <algorithm>
#include <cctype>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

// Molar masses as chemical tables print them; those of NOx, SO2, CO, HCl and NH3 give the ppm to mg/m3
// factors of the reference to all printed digits (tests/cpp/permit/pollutant_test.cpp).
constexpr Pollutant kPollutants[] = {
    {"NOx", 46.0055, "NO2"}, {"NO", 30.006, "NO"},     {"NO2", 46.0055, "NO2"}, {"N2O", 44.013, "N2O"},
    {"SO2", 64.066, "SO2"},  {"SO3", 80.06, "SO3"},    {"CO", 28.010, "CO"},    {"CO2", 44.009, "CO2"},
    {"HCl", 36.458, "HCl"},  {"HF", 20.006, "HF"},     {"NH3", 17.031, "NH3"},  {"H2S", 34.08, "H2S"},
    {"CH4", 16.043, "CH4"},  {"C3H8", 44.097, "C3H8"}, {"TOC", 12.011, "C"},    {"Hg", 200.592, "Hg"},
};

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

std::vector<std::string> pollutant_names() {
  std::vector<std::string> names;
  for (const Pollutant& p : kPollutants) names.emplace_back(p.name);
  return names;
}

const Pollutant& find_pollutant(std::string_view name, std::string_view where) {
  for (const Pollutant& p : kPollutants)
    if (same_letters(p.name, name)) return p;
  throw InputError(std::string(where) + ": expected a pollutant, got " + quote(name) +
                   did_you_mean(name, pollutant_names()));
}

double molar_volume(double temperature_c, std::string_view where) {
  if (temperature_c == 0) return 22.414;
  if (temperature_c == 20) return 24.055;
  if (temperature_c == 25) return 24.465;
  throw InputError(std::string(where) + ": expected a reference temperature of 0, 20 or 25 degC, got " +
                   number_text(temperature_c));
}

double mg_m3_per_ppm(const Pollutant& pollutant, double temperature_c) {
  return pollutant.molar_mass / molar_volume(temperature_c, "mg_m3_per_ppm");
}

}  // namespace emisopt
