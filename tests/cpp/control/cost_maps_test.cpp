#include "emisopt/control/cost_maps.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/base/types.hpp"

namespace emisopt {
namespace {

// Largest difference between vjp and central differences over all outputs and setpoints, relative.
double vjp_error(const OutputMap& map, std::vector<double> y, std::vector<double> u, const double* d,
                 Rng& rng) {
  const std::size_t quantities = map.names().size();
  std::vector<double> seed(quantities), dy(y.size(), 0.25), du(u.size(), -0.5);  // vjp adds: start off zero
  for (double& s : seed) s = rng.normal();
  map.vjp(dy.data(), du.data(), seed.data(), y.data(), u.data(), d);
  const auto along = [&](double& v) {
    const double at = v, h = 1e-5 * std::max(1.0, std::abs(at));
    std::vector<double> plus(quantities), minus(quantities);
    v = at + h;
    map.value(plus.data(), y.data(), u.data(), d);
    v = at - h;
    map.value(minus.data(), y.data(), u.data(), d);
    v = at;
    double sum = 0;
    for (std::size_t i = 0; i < quantities; ++i) sum += seed[i] * (plus[i] - minus[i]) / (2 * h);
    return sum;
  };
  double worst = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double expected = along(y[i]);
    worst = std::max(worst, std::abs(dy[i] - 0.25 - expected) / (1e-3 + std::abs(expected)));
  }
  for (std::size_t i = 0; i < u.size(); ++i) worst = std::max(worst, std::abs(du[i] + 0.5 - along(u[i])));
  return worst;
}

FuelCostConfig boiler() {
  FuelCostConfig c;
  c.efficiency = 4;
  c.reagent_flow = 5;
  c.fee_output = 0;
  c.load = 1;
  c.load_mw = 250;
  c.fee_per_kg = 4.5;
  return c;
}

TEST(FuelCost, PricesAFullLoadHourByHand) {
  const FuelCost map(boiler());
  const double y[] = {100, 50, 200, 1, 40, 120}, d[] = {0, 300};
  double q[3];
  map.value(q, y, nullptr, d);
  const double heat_gj = 300 * 300 / 0.40 / 1000;  // 300 MW for 300 s at 40 %
  EXPECT_NEAR(q[0], 3.2 * heat_gj, 1e-9);
  EXPECT_NEAR(q[1], 0.65 * 120 / 12, 1e-9);
  EXPECT_NEAR(q[2], 4.5 * 100e-6 * 0.361 * heat_gj * 1000, 1e-9);
}

TEST(FuelCost, UnknownLoadTakesTheFixedOne) {
  const FuelCost map(boiler());
  const double y[] = {100, 50, 200, 1, 40, 120}, unknown[] = {0, kMissing}, known[] = {0, 250};
  double a[3], b[3], c[3];
  map.value(a, y, nullptr, unknown);
  map.value(b, y, nullptr, known);
  map.value(c, y, nullptr, nullptr);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(a[i], b[i]);
    EXPECT_EQ(a[i], c[i]);
  }
}

TEST(FuelCost, VjpMatchesFiniteDifferences) {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    FuelCostConfig c = boiler();
    if (round % 3 == 1) c.fee_output = -1;
    if (round % 3 == 2) c.reagent_flow = -1;
    const double d[] = {0, rng.uniform(100, 300)};
    EXPECT_LT(vjp_error(FuelCost(c), {rng.uniform(20, 400), 50, 200, 1, rng.uniform(20, 45), 100}, {3, 0.2},
                        d, rng),
              1e-6);
  }
}

TEST(FuelCost, NanIsNotHidden) {
  const FuelCost map(boiler());
  double q[3];
  const double bad_efficiency[] = {100, 50, 200, 1, kMissing, 120}, d[] = {0, 300};
  map.value(q, bad_efficiency, nullptr, d);
  EXPECT_TRUE(std::isnan(q[0]));
  FuelCostConfig c = boiler();
  c.load_mw = 0;  // no value to fall back on
  const double y[] = {100, 50, 200, 1, 40, 120}, unknown[] = {0, kMissing};
  FuelCost(c).value(q, y, nullptr, unknown);
  EXPECT_TRUE(std::isnan(q[0]));
}

TEST(FuelCost, RefusesBadFields) {
  const auto refused = [](auto change) {
    FuelCostConfig c = boiler();
    change(c);
    EXPECT_THROW(FuelCost{c}, InputError);
  };
  refused([](FuelCostConfig& c) { c.efficiency = -1; });
  refused([](FuelCostConfig& c) { c.period_s = 0; });
  refused([](FuelCostConfig& c) { c.load = -1, c.load_mw = 0; });
  refused([](FuelCostConfig& c) { c.fuel_price_gj = -1; });
  refused([](FuelCostConfig& c) { c.reagent_price_kg = kMissing; });
  refused([](FuelCostConfig& c) { c.fee_per_kg = -2; });
}

TEST(IdentityMap, IsTheIdentity) {
  Rng rng(2);
  const IdentityMap map({"a", "b", "c"});
  const double y[] = {1, 2, 3};
  double q[3];
  map.value(q, y, nullptr, nullptr);
  EXPECT_EQ(q[2], 3);
  EXPECT_LT(vjp_error(map, {1, 2, 3}, {4}, nullptr, rng), 1e-8);
}

}  // namespace
}  // namespace emisopt
