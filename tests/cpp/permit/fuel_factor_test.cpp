#include "emisopt/permit/fuel_factor.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

FuelAnalysis sheet() {
  FuelAnalysis f;
  f.carbon = 85.2;
  f.hydrogen = 12.8;
  f.nitrogen = 0.01;
  f.sulfur = 0.12;
  f.oxygen = 1.84;
  f.gcv = 19595;
  return f;
}

// Published stack-test sheet (Scribd 395408750, "CEM-pdf"): Fd 8991.
TEST(FuelFactor, StackTestSheetGivesItsPrintedFd) {
  EXPECT_EQ(std::round(fuel_factors(sheet()).fd), 8991);
  EXPECT_NEAR(fuel_factors(sheet()).fd, 8990.630, 5e-4);
}

// What one weight % of an element makes of gas at 20 degC, from complete combustion in air of 20.9 % O2:
// 385.3 scf per lb-mol, 3.785 mol of nitrogen for each of oxygen. All coefficients follow from it.
TEST(FuelFactor, CoefficientsAreStoichiometry) {
  constexpr double kScfPerLbMol = 24.055 / kM3PerFt3 / 1000 * kKgPerLb * 1000;
  constexpr double nitrogen = 79.1 / 20.9;
  EXPECT_NEAR(kScfPerLbMol, 385.3, 0.1);
  const auto gas_per_percent = [](double FuelAnalysis::* element, double FuelFactors::* factor) {
    FuelAnalysis with;
    with.carbon = 50;
    with.hydrogen = 5;
    with.gcv = 10000;
    const double before = fuel_factors(with).*factor;
    with.*element += 1;
    return (fuel_factors(with).*factor - before) * with.gcv / 1e6;  // scf/lb per 0.01 lb/lb
  };
  const auto expect = [&](double FuelAnalysis::* element, double FuelFactors::* factor, double mol_per_lb) {
    const double expected = mol_per_lb * kScfPerLbMol / 100;
    EXPECT_NEAR(gas_per_percent(element, factor) / expected, 1, 0.02);
  };
  using A = FuelAnalysis;
  using F = FuelFactors;
  for (const auto factor : {&F::fd, &F::fw}) {
    expect(&A::carbon, factor, (1 + nitrogen) / 12.011);   // CO2 and the air's nitrogen
    expect(&A::sulfur, factor, (1 + nitrogen) / 32.06);    // SO2
    expect(&A::nitrogen, factor, 0.5 / 14.007);            // N2
    expect(&A::oxygen, factor, -0.5 / 15.999 * nitrogen);  // less air
  }
  expect(&A::hydrogen, &F::fd, 0.25 / 1.008 * nitrogen);          // the water is condensed
  expect(&A::hydrogen, &F::fw, (0.5 + 0.25 * nitrogen) / 1.008);  // and here it is not
  expect(&A::water, &F::fw, 1 / 18.015);
  expect(&A::carbon, &F::fc, 1 / 12.011);
  EXPECT_EQ(gas_per_percent(&A::water, &F::fd), 0);
}

// 40 CFR 75 appendix F, table 1, as copied on hitpages.com/doc/4504648136261632.
TEST(FuelFactor, TableIsThatOfPart75) {
  const struct {
    const char* fuel;
    double fd, fc;
  } table[] = {{"anthracite", 10100, 1970}, {"bituminous", 9780, 1800},  {"lignite", 9860, 1910},
               {"oil", 9190, 1420},         {"natural gas", 8710, 1040}, {"propane", 8710, 1190},
               {"butane", 8710, 1250},      {"bark", 9600, 1920},        {"wood residue", 9240, 1830}};
  EXPECT_EQ(default_fuels().size(), std::size(table));
  for (const auto& row : table) {
    EXPECT_EQ(default_fuel_factors(row.fuel).fd, row.fd);
    EXPECT_EQ(default_fuel_factors(row.fuel).fc, row.fc);
    EXPECT_TRUE(std::isnan(default_fuel_factors(row.fuel).fw));
  }
  EXPECT_THROW(default_fuel_factors("coal"), InputError);
}

TEST(FuelFactor, MetricFactorFollowsFromFootAndBtu) {
  const double m3 = 0.3048 * 0.3048 * 0.3048, gj = 1.05505585262;  // per ft3, per MMBtu
  EXPECT_NEAR(kM3GjPerScfMmbtu, m3 / gj, 1e-15);
}

TEST(FuelFactor, RefusesEachBadField) {
  const auto refused = [](auto change) {
    FuelAnalysis f = sheet();
    change(f);
    EXPECT_THROW(fuel_factors(f), InputError);
  };
  refused([](FuelAnalysis& f) { f.carbon = kMissing; });
  refused([](FuelAnalysis& f) { f.hydrogen = -1; });
  refused([](FuelAnalysis& f) { f.sulfur = 101; });
  refused([](FuelAnalysis& f) { f.water = 30; });  // sum
  refused([](FuelAnalysis& f) { f.gcv = 45.6; });  // MJ/kg
  refused([](FuelAnalysis& f) { f.gcv = kMissing; });
  refused([](FuelAnalysis& f) { f.carbon = 0, f.hydrogen = 0, f.oxygen = 50; });
}

}  // namespace
}  // namespace emisopt
