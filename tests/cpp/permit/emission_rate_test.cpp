#include "emisopt/permit/emission_rate.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/permit/fuel_factor.hpp"
#include "emisopt/permit/pollutant.hpp"

namespace emisopt {
namespace {

double rounded(double x, int decimals) {
  return std::round(x * std::pow(10, decimals)) / std::pow(10, decimals);
}

// The sheet's Fd as its arithmetic carries it on, and its flow.
constexpr double kSheetFd = 8990.630, kSheetFlow = 5780, kSheetO2 = 4.2;

double lb_mmbtu(const char* pollutant, double ppm, double fd = kSheetFd, double o2 = kSheetO2) {
  double out;
  lb_mmbtu_from_ppm(&out, 1, &ppm, lb_scf_per_ppm(pollutant), {&fd}, {&o2}, {});
  return out;
}

double lb_h(const char* pollutant, double ppm) {
  double out;
  lb_h_from_ppm(&out, 1, &ppm, lb_scf_per_ppm(pollutant), {&kSheetFlow}, {});
  return out;
}

// Published stack-test sheet (Scribd 395408750, "CEM-pdf"): all printed digits, then the unrounded ones.
TEST(EmissionRate, StackTestSheetReproducesToAllPrintedDigits) {
  EXPECT_EQ(rounded(lb_h("NOx", 43.2), 2), 1.79);
  EXPECT_EQ(rounded(lb_h("SO2", 1.5), 2), 0.09);
  EXPECT_EQ(rounded(lb_h("CO", 55.0), 2), 1.39);
  EXPECT_EQ(rounded(lb_h("NOx", 43.2), 5), 1.78882);
  EXPECT_EQ(rounded(lb_h("SO2", 1.5), 5), 0.08635);
  EXPECT_EQ(rounded(lb_h("CO", 55.0), 5), 1.38630);
  EXPECT_EQ(rounded(lb_mmbtu("NOx", 43.2), 4), 0.0580);
  EXPECT_EQ(rounded(lb_mmbtu("SO2", 1.5), 3), 0.003);
  EXPECT_EQ(rounded(lb_mmbtu("CO", 55.0), 3), 0.045);
  EXPECT_NEAR(lb_mmbtu("NOx", 43.2), 0.058037, 1e-6);
  EXPECT_NEAR(lb_mmbtu("SO2", 1.5), 0.002802, 1e-6);
  EXPECT_NEAR(lb_mmbtu("CO", 55.0), 0.044978, 1e-6);
}

// vganapathy.tripod.com/emiss: 0.1 lb/MMBtu of NOx from natural gas at 3 % O2 is 83 ppmvd, and 83.2 ppmvd are
// 0.1010 lb/MMBtu: the latter to every digit; of the former, printed rounded, 82.35 is what Method 19 gives.
TEST(EmissionRate, NaturalGasLimitInPpm) {
  EXPECT_EQ(rounded(lb_mmbtu("NOx", 83.2, default_fuel_factors("natural gas").fd, 3), 4), 0.1010);
  const double limit = 0.1, fd = 8710, o2 = 3;
  double ppm;
  ppm_from_lb_mmbtu(&ppm, 1, &limit, lb_scf_per_ppm("NOx"), {&fd}, {&o2}, {});
  EXPECT_NEAR(ppm, 82.35, 0.005);
  EXPECT_NEAR(ppm, 83, 1);
}

TEST(EmissionRate, PrintedKFollowsFromTheMolarMass) {
  for (const char* name : {"NOx", "SO2", "CO"})
    EXPECT_NEAR(lb_scf_per_ppm_of_mass(name) / lb_scf_per_ppm(name), 1, 2e-3) << name;
  EXPECT_THROW(lb_scf_per_ppm("NH3"), InputError);
  EXPECT_NEAR(lb_scf_per_ppm_of_mass("NH3"), 17.031 / 385.3e6, 2e-11);
}

// lb/h by the concentration and by the heat input must be one number: Q = heat Fd 20.9 / (20.9 - O2).
TEST(EmissionRate, HeatInputAndFlowGiveOneMass) {
  const double heat = 40, fd = 9780, o2 = 5, ppm = 200, k = lb_scf_per_ppm("SO2");
  const double dscf_min = heat * fd * 20.9 / (20.9 - o2) / 60;
  double by_flow, per_heat, by_heat;
  lb_h_from_ppm(&by_flow, 1, &ppm, k, {&dscf_min}, {});
  lb_mmbtu_from_ppm(&per_heat, 1, &ppm, k, {&fd}, {&o2}, {});
  lb_h_from_lb_mmbtu(&by_heat, 1, &per_heat, {&heat}, {});
  EXPECT_NEAR(by_flow, by_heat, 1e-12 * by_flow);
}

// Pure carbon burnt in dry air leaves 20.9 - O2 of CO2, so both diluents must give one rate.
TEST(EmissionRate, CarbonDioxideAndOxygenAgreeForCarbon) {
  FuelAnalysis carbon;
  carbon.carbon = 100;
  carbon.hydrogen = 0;
  carbon.gcv = 14093;
  const FuelFactors f = fuel_factors(carbon);
  const double o2 = 6, co2 = 20.9 - o2, ppm = 300, k = lb_scf_per_ppm("NOx");
  double by_o2, by_co2;
  lb_mmbtu_from_ppm(&by_o2, 1, &ppm, k, {&f.fd}, {&o2}, {});
  lb_mmbtu_from_ppm_co2(&by_co2, 1, &ppm, k, {&f.fc}, {&co2}, {});
  EXPECT_NEAR(by_co2 / by_o2, 1, 5e-3);  // the coefficients have three digits
}

TEST(EmissionRate, MassFlowInBothUnitSystemsIsOneMass) {
  const double ppm = 100, m3_h = 50000, dscf_min = m3_h / 60 / kM3PerFt3;
  const double mg_m3 = ppm * mg_m3_per_ppm(find_pollutant("NOx", ""), 20);
  double kg, lb;
  kg_h_from_mg_m3(&kg, 1, &mg_m3, {&m3_h}, {});
  lb_h_from_ppm(&lb, 1, &ppm, lb_scf_per_ppm_of_mass("NOx"), {&dscf_min}, {});
  EXPECT_NEAR(lb * kKgPerLb, kg, 1e-12 * kg);
  double t_a;
  const double hours = 8760;
  t_a_from_kg_h(&t_a, 1, &kg, {&hours}, {});
  EXPECT_NEAR(t_a, kg * 8.76, 1e-12 * t_a);
}

TEST(EmissionRate, EveryInverseBringsItsValueBack) {
  Rng rng(1);
  constexpr Index n = 200;
  std::vector<double> x(n), a(n), b(n), y(n), z(n);
  for (std::size_t i = 0; i < n; ++i) {
    x[i] = i % 9 == 4 ? kMissing : rng.uniform(0, 500);
    a[i] = rng.uniform(1000, 20000);
    b[i] = rng.uniform(0, 20);
  }
  const auto same = [&] {
    for (std::size_t i = 0; i < n; ++i)
      EXPECT_TRUE(std::isnan(x[i]) ? std::isnan(z[i]) : std::abs(z[i] - x[i]) <= 1e-13 * x[i]);
  };
  lb_mmbtu_from_ppm(y.data(), n, x.data(), 1.194e-7, {a.data()}, {b.data()}, {});
  ppm_from_lb_mmbtu(z.data(), n, y.data(), 1.194e-7, {a.data()}, {b.data()}, {});
  same();
  lb_h_from_ppm(y.data(), n, x.data(), 1.194e-7, {a.data()}, {});
  ppm_from_lb_h(z.data(), n, y.data(), 1.194e-7, {a.data()}, {});
  same();
  kg_h_from_mg_m3(y.data(), n, x.data(), {a.data()}, {});
  mg_m3_from_kg_h(z.data(), n, y.data(), {a.data()}, {});
  same();
  const double hours = 8000;
  t_a_from_kg_h(y.data(), n, x.data(), {&hours, true}, {});
  kg_h_from_t_a(z.data(), n, y.data(), {&hours, true}, {});
  same();
}

TEST(EmissionRate, EachBadInputIsNamedWithItsRow) {
  const double ok[] = {1, 1, 1}, zero[] = {1, 0, 1}, negative[] = {1, -1, 1}, air[] = {1, 20.9, 1},
               year[] = {1, 8785, 1}, infinite[] = {1, INFINITY, 1}, missing[] = {1, kMissing, 1};
  double out[3];
  const RowLabel label = {"nox", nullptr};
  const auto text = [&](auto call) -> std::string {
    try {
      call();
    } catch (const InputError& e) {
      return e.what();
    }
    return "nothing was refused";
  };
  const auto lb = [&](const double* c, const double* fd, const double* o2) {
    return text([&] { lb_mmbtu_from_ppm(out, 3, c, 1e-7, {fd}, {o2}, label); });
  };
  EXPECT_EQ(lb(negative, ok, ok),
            "lb/MMBtu from ppm: tag 'nox', row 1: expected a finite value >= 0, got -1");
  EXPECT_EQ(lb(infinite, ok, ok),
            "lb/MMBtu from ppm: tag 'nox', row 1: expected a finite value >= 0, got inf");
  EXPECT_EQ(lb(ok, zero, ok), "lb/MMBtu from ppm: tag 'nox', row 1: expected a finite F-factor > 0, got 0");
  EXPECT_EQ(lb(ok, ok, air), "lb/MMBtu from ppm: tag 'nox', row 1: expected oxygen in [0, 20.9) %, got 20.9");
  EXPECT_EQ(lb(missing, missing, missing), "nothing was refused");
  EXPECT_TRUE(std::isnan(out[1]));
  EXPECT_EQ(text([&] { lb_mmbtu_from_ppm_co2(out, 3, ok, 1e-7, {ok}, {zero}, label); }),
            "lb/MMBtu from ppm and CO2: tag 'nox', row 1: expected CO2 in (0, 100] %, got 0");
  EXPECT_EQ(text([&] { ppm_from_lb_h(out, 3, ok, 1e-7, {zero}, label); }),
            "ppm from lb/h: tag 'nox', row 1: expected a finite flow > 0, got 0");
  EXPECT_EQ(text([&] { mg_m3_from_kg_h(out, 3, ok, {zero}, label); }),
            "mg/m3 from kg/h: tag 'nox', row 1: expected a finite flow > 0, got 0");
  EXPECT_EQ(text([&] { kg_h_from_mg_m3(out, 3, ok, {negative}, label); }),
            "kg/h from mg/m3: tag 'nox', row 1: expected a finite flow >= 0, got -1");
  EXPECT_EQ(text([&] { lb_h_from_lb_mmbtu(out, 3, ok, {negative}, label); }),
            "lb/h from lb/MMBtu: tag 'nox', row 1: expected a finite heat input >= 0, got -1");
  EXPECT_EQ(text([&] { t_a_from_kg_h(out, 3, ok, {year}, label); }),
            "t/a from kg/h: tag 'nox', row 1: expected hours per year in [0, 8784], got 8785");
  EXPECT_EQ(text([&] { kg_h_from_t_a(out, 3, ok, {zero}, label); }),
            "kg/h from t/a: tag 'nox', row 1: expected hours per year in (0, 8784], got 0");
  EXPECT_THROW(lb_h_from_ppm(out, 3, ok, 0, {ok}, label), InputError);
}

}  // namespace
}  // namespace emisopt
