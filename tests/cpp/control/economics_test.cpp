#include "emisopt/control/economics.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/control/cost_maps.hpp"
#include "emisopt/permit/conversion_map.hpp"

namespace emisopt {
namespace {

constexpr int kH = 5, kU = 2, kO = 3, kD = 2;

Moves two_setpoints() {
  return Moves({{.name = "a", .unit = "", .low = 0, .high = 4, .price = 0.7, .move_weight = 2},
                {.name = "b", .unit = "", .low = -1, .high = 1, .price = -0.2, .move_weight = 0.5}},
               kH, kH);
}
Objective fuel_objective() {
  FuelCostConfig c;
  c.efficiency = 0;
  c.reagent_flow = 1;
  c.fee_output = 2;
  c.fee_per_kg = 100;
  c.load = 0;
  c.load_mw = 100;
  return {.map = std::make_shared<FuelCost>(c), .price = {1, 1, 2}};
}
// The fee is on dry mg/Nm3 at 6 % O2, the forecast in wet ppm; setpoint a is the wet oxygen.
Objective fuel_objective_of_corrected_output() {
  const GasConversion to_permit({"NOx", {"ppm", 0, false}, {"mg/Nm3", 0, true, 6}, 21, false});
  const auto corrected = std::make_shared<ConversionMap>(
      std::vector<std::string>{"efficiency [%]", "ammonia [kg/h]", "nox [ppm]"},
      std::vector<OutputConversion>{{2, to_permit, Source::of_setpoint(0), Source::of_constant(10)}});
  Objective objective = fuel_objective();
  objective.map = std::make_shared<ChainMap>(corrected, objective.map);
  return objective;
}
Envelope some_envelope() {
  Envelope e;
  e.mean = {2, 0, 100, 5};
  e.precision = Matrix(4, 4);
  for (int i = 0; i < 4; ++i) e.precision(i, i) = 1.0 / (i + 1);
  e.precision(0, 1) = e.precision(1, 0) = 0.2;
  e.precision(0, 2) = e.precision(2, 0) = 0.1;
  e.radius2 = 0.5;
  e.weight = 3;
  return e;
}

struct Case {
  Matrix plan{kH, kU}, median{kH, kO}, known{kH, kD};
  std::vector<double> applied{1, 0};
  explicit Case(Rng& rng) {
    for (int t = 0; t < kH; ++t) {
      plan(t, 0) = rng.uniform(0, 4), plan(t, 1) = rng.uniform(-1, 1);
      median(t, 0) = rng.uniform(30, 45), median(t, 1) = rng.uniform(50, 200),
                median(t, 2) = rng.uniform(50, 150);
      known(t, 0) = rng.uniform(90, 110), known(t, 1) = rng.uniform() < 0.3 ? kMissing : rng.uniform(3, 7);
    }
  }
};

TEST(Economics, GradientMatchesFiniteDifferences) {
  Rng rng(1);
  const Moves moves = two_setpoints();
  const Economics plain(fuel_objective(), some_envelope(), moves, kO),
      chained(fuel_objective_of_corrected_output(), some_envelope(), moves, kO);
  for (int round = 0; round < 100; ++round) {
    const Economics& economics = round % 2 ? chained : plain;
    Case c(rng);
    Matrix dy(kH, kO), du(kH, kU), h(kH * kU, kH * kU);
    economics.gradient(dy, du, c.plan, c.median, c.known);
    // Blocks of one step: block values are the plan; suppression comes by value in ranges.
    std::vector<double> g(kH * kU, 0.0);
    economics.suppression(g.data(), h, c.plan, c.applied.data());
    for (int t = 0; t < kH; ++t)
      for (int u = 0; u < kU; ++u) du(t, u) += g[static_cast<std::size_t>(t * kU + u)] / moves.range(u);
    const auto difference = [&](double& v) {
      const double at = v, step = 1e-5 * std::max(1.0, std::abs(at));
      v = at + step;
      const double plus = economics.value(c.plan, c.median, c.known, c.applied.data()).total();
      v = at - step;
      const double minus = economics.value(c.plan, c.median, c.known, c.applied.data()).total();
      v = at;
      return (plus - minus) / (2 * step);
    };
    for (int t = 0; t < kH; ++t) {
      for (int u = 0; u < kU; ++u)
        EXPECT_NEAR(du(t, u), difference(c.plan(t, u)), 1e-4 * (1 + std::abs(du(t, u))));
      for (int o = 0; o < kO; ++o)
        EXPECT_NEAR(dy(t, o), difference(c.median(t, o)), 1e-4 * (1 + std::abs(dy(t, o))));
    }
  }
}

TEST(Economics, CurvatureIsConvexAndExactWhereTheCostIs) {
  Rng rng(2);
  const Moves moves = two_setpoints();
  Objective fuel_only = fuel_objective();
  fuel_only.price = {1, 1, 0};  // load / efficiency is convex; with the fee the mixed term is not
  const Economics convex(fuel_only, some_envelope(), moves, kO), mixed(fuel_objective(), {}, moves, kO);
  for (int round = 0; round < 50; ++round) {
    Case c(rng);
    Matrix s(kO + kU, kO + kU);
    mixed.curvature(s, 0, c.plan, c.median, c.known);
    const Eigen::Map<const Eigen::MatrixXd> view(s.values.data(), kO + kU, kO + kU);
    EXPECT_GE(Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(view).eigenvalues()(0), -1e-9 * view.norm());

    convex.curvature(s, 1, c.plan, c.median, c.known);
    const auto gradient = [&](int i) {
      Matrix dy(kH, kO), du(kH, kU);
      convex.gradient(dy, du, c.plan, c.median, c.known);
      return i < kO ? dy(1, i) : du(1, i - kO);
    };
    for (int i = 0; i < kO + kU; ++i)
      for (int j = 0; j < kO + kU; ++j) {
        double& v = j < kO ? c.median(1, j) : c.plan(1, j - kO);
        const double at = v, step = 1e-5 * std::max(1.0, std::abs(at));
        v = at + step;
        const double plus = gradient(i);
        v = at - step;
        const double minus = gradient(i);
        v = at;
        EXPECT_NEAR(s(i, j), (plus - minus) / (2 * step), 1e-3 * (1 + std::abs(s(i, j)))) << i << ' ' << j;
      }
  }
}

TEST(Economics, UnknownDisturbanceCountsAsItsMean) {
  Rng rng(3);
  const Moves moves = two_setpoints();
  const Economics economics(Objective{nullptr, {0, 0, 0}}, some_envelope(), moves, kO);
  Case c(rng);
  Matrix at_mean = c.known;
  for (int t = 0; t < kH; ++t)
    c.known(t, 0) = kMissing, c.known(t, 1) = kMissing, at_mean(t, 0) = 100, at_mean(t, 1) = 5;
  const double unknown = economics.value(c.plan, c.median, c.known, c.applied.data()).penalty;
  EXPECT_EQ(unknown, economics.value(c.plan, c.median, at_mean, c.applied.data()).penalty);
  EXPECT_EQ(unknown, economics.value(c.plan, c.median, {}, c.applied.data()).penalty);
  EXPECT_GT(unknown, 0);
}

TEST(Economics, RefusesPricesAndEnvelopesThatDoNotFit) {
  const Moves moves = two_setpoints();
  EXPECT_THROW(Economics(Objective{nullptr, {1, 1}}, {}, moves, kO), InputError);
  EXPECT_THROW(Economics(Objective{nullptr, {1, 1, kMissing}}, {}, moves, kO), InputError);
  Objective short_of_quantities = fuel_objective();
  short_of_quantities.price = {1, 1};
  EXPECT_THROW(Economics(short_of_quantities, {}, moves, kO), InputError);
  const auto refused = [&](auto change) {
    Envelope e = some_envelope();
    change(e);
    EXPECT_THROW(Economics(Objective{nullptr, {1, 1, 1}}, e, moves, kO), InputError);
  };
  refused([](Envelope& e) { e.mean.resize(1); });
  refused([](Envelope& e) { e.precision = Matrix(3, 4); });
  refused([](Envelope& e) { e.precision(1, 1) = kMissing; });
  refused([](Envelope& e) { e.weight = -1; });
}

}  // namespace
}  // namespace emisopt
