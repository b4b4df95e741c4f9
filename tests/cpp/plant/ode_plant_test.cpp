#include "emisopt/plant/ode_plant.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "emisopt/base/error.hpp"
#include "emisopt/plant/cstr.hpp"
#include "emisopt/plant/quadruple_tank.hpp"

namespace emisopt {
namespace {

// One state that decays to its setpoint under a known law, with the same quantity as output.
class Decay final : public OdePlant {
 public:
  explicit Decay(int steps, double noise = 0, std::size_t influences = 1)
      : OdePlant(map(), {1.0}, {0.0}, steps, std::vector<Wander>(influences), 0, {0, 0, noise}, 3) {}
  std::unique_ptr<Plant> clone() const override { return std::make_unique<Decay>(*this); }

 protected:
  static TagMap map() {
    TagMap m;
    m.plant = "decay";
    m.period = 10;
    for (const char* name : {"u", "d", "y"}) {
      Tag t;
      t.name = name;
      t.role = name[0] == 'u' ? Role::setpoint : name[0] == 'd' ? Role::disturbance : Role::quality;
      m.tags.push_back(t);
    }
    return m;
  }
  void equations(const double* x, const double* u, const double*, double* dx, double* y) const override {
    dx[0] = (u[0] - x[0]) / 7;
    y[0] = x[0];
  }
  void disturbances(const double*, const double* w, double* d) const override { d[0] = w[0]; }
};

TEST(OdePlant, StateAndRowMeanFollowTheExactSolution) {
  Decay plant(50);
  const double u = 3;
  plant.advance(&u);
  double y = 0;
  plant.truth(&y);
  EXPECT_NEAR(plant.state()[0], 3 - 2 * std::exp(-10.0 / 7), 1e-8);
  EXPECT_NEAR(y, 3 - 2 * 0.7 * (1 - std::exp(-10.0 / 7)), 1e-8);
}

TEST(OdePlant, TheErrorFallsWithTheFourthPowerOfTheStep) {
  double error[2];
  for (int i = 0; i < 2; ++i) {
    Decay plant(i == 0 ? 4 : 8);
    const double u = 3;
    plant.advance(&u);
    error[i] = std::abs(plant.state()[0] - (3 - 2 * std::exp(-10.0 / 7)));
  }
  EXPECT_NEAR(std::log2(error[0] / error[1]), 4, 0.3);
}

TEST(OdePlant, ReadingsDoNotDependOnHowOftenTheyAreAskedFor) {
  Decay a(4, 0.5), b(4, 0.5);
  const double u = 1;
  double first[3], second[3], other[3];
  a.advance(&u);
  b.advance(&u);
  a.measure(first);
  a.measure(second);
  b.measure(other);
  EXPECT_EQ(first[2], second[2]);
  EXPECT_EQ(first[2], other[2]);
  a.advance(&u);
  a.measure(second);
  EXPECT_NE(first[2], second[2]);
}

TEST(OdePlant, AClonesFutureIsTheOriginals) {
  Cstr plant(5);
  const double u[] = {16, -1500};
  for (int i = 0; i < 7; ++i) plant.advance(u);
  const std::unique_ptr<Plant> twin = plant.clone();
  double a[cstr::kOutputs], b[cstr::kOutputs];
  for (int i = 0; i < 40; ++i) {
    plant.advance(u);
    twin->advance(u);
  }
  plant.truth(a);
  twin->truth(b);
  for (int o = 0; o < cstr::kOutputs; ++o) EXPECT_EQ(a[o], b[o]);
}

TEST(OdePlant, BeforeTheFirstRowNothingIsReported) {
  Cstr plant;
  double y[cstr::kOutputs], row[10], known[2 * cstr::kDisturbances];
  plant.truth(y);
  plant.measure(row);
  plant.schedule(known, 2);
  for (const double v : y) EXPECT_TRUE(std::isnan(v));
  for (const double v : row) EXPECT_TRUE(std::isnan(v));
  for (const double v : known) EXPECT_TRUE(std::isnan(v));
}

TEST(OdePlant, SettlingUnderInfluencesHoldsThemAsTheyAre) {
  QuadrupleTank plant(TankSetting::minimum_phase(), 4);
  const double u[] = {3, 3};
  for (int i = 0; i < 100; ++i) plant.advance(u);
  const double time = plant.time();
  plant.settle(u);
  EXPECT_EQ(plant.time(), time);
  double slopes[tank::kTanks], outputs[tank::kOutputs];
  plant.rates(u, slopes, outputs);
  for (const double s : slopes) EXPECT_NEAR(s, 0, 1e-11);
}

TEST(OdePlant, WhatIsWrongIsNamed) {
  Decay plant(4);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()})
    EXPECT_THROW(plant.advance(&bad), InputError);
  EXPECT_THROW(plant.set_state({1.0, 2.0}), InputError);
  EXPECT_THROW(plant.set_state({-1.0}), InputError);
  EXPECT_THROW(plant.set_state({std::nan("")}), InputError);
  EXPECT_THROW(Decay(4, 0, 9), InputError);
  EXPECT_THROW(Cstr(0, -1), InputError);
  EXPECT_THROW(Cstr(0, std::nan("")), InputError);
  EXPECT_THROW(Cstr(0, 1, -1), InputError);
}

}  // namespace
}  // namespace emisopt
