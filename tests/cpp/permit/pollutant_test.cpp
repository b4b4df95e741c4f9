#include "emisopt/permit/pollutant.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

double four_decimals(double x) { return std::round(x * 1e4) / 1e4; }

// Reference numbers, recomputed from molar mass and molar volume: mg/m3 of 1 ppm, to four decimals.
TEST(Pollutant, OnePpmInMilligramsAtThreeTemperatures) {
  const struct {
    const char* name;
    double at_0, at_20, at_25;
  } cases[] = {{"NOx", 2.0525, 1.9125, 1.8805},
               {"SO2", 2.8583, 2.6633, 2.6187},
               {"CO", 1.2497, 1.1644, 1.1449},
               {"HCl", 1.6266, 1.5156, 1.4902},
               {"NH3", 0.7598, 0.7080, 0.6961}};
  for (const auto& c : cases) {
    const Pollutant& p = find_pollutant(c.name, "test");
    EXPECT_EQ(four_decimals(mg_m3_per_ppm(p, 0)), c.at_0) << c.name;
    EXPECT_EQ(four_decimals(mg_m3_per_ppm(p, 20)), c.at_20) << c.name;
    EXPECT_EQ(four_decimals(mg_m3_per_ppm(p, 25)), c.at_25) << c.name;
  }
}

// The molar masses that no printed factor checks, against the IUPAC abridged atomic weights.
TEST(Pollutant, MolarMassesAreSumsOfAtomicWeights) {
  constexpr double H = 1.008, C = 12.011, N = 14.007, O = 15.999, F = 18.998, S = 32.06, Cl = 35.45;
  const struct {
    const char* name;
    double mass;
  } cases[] = {{"NOx", N + 2 * O}, {"NO", N + O},      {"NO2", N + 2 * O},      {"N2O", 2 * N + O},
               {"SO2", S + 2 * O}, {"SO3", S + 3 * O}, {"CO", C + O},           {"CO2", C + 2 * O},
               {"HCl", H + Cl},    {"HF", H + F},      {"NH3", N + 3 * H},      {"H2S", 2 * H + S},
               {"CH4", C + 4 * H}, {"TOC", C},         {"C3H8", 3 * C + 8 * H}, {"Hg", 200.592}};
  EXPECT_EQ(std::size(cases), pollutant_names().size());
  for (const auto& c : cases)
    EXPECT_NEAR(find_pollutant(c.name, "test").molar_mass / c.mass, 1, 2e-4) << c.name;
}

TEST(Pollutant, NoxCountsAsNo2AndCaseDoesNotMatter) {
  EXPECT_EQ(find_pollutant("nOX", "test").molar_mass, find_pollutant("NO2", "test").molar_mass);
  EXPECT_EQ(find_pollutant("nox", "test").counted_as, "NO2");
}

TEST(Pollutant, UnknownNamesAndTemperaturesAreRefused) {
  try {
    find_pollutant("NOY", "my permit");
    FAIL();
  } catch (const InputError& e) {
    EXPECT_EQ(std::string(e.what()).substr(0, 63),
              "my permit: expected a pollutant, got 'NOY'; did you mean 'NOx' ");
  }
  EXPECT_THROW(molar_volume(15, "test"), InputError);
  EXPECT_THROW(molar_volume(std::nan(""), "test"), InputError);
}

}  // namespace
}  // namespace emisopt
