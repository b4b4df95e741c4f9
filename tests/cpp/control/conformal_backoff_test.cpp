#include "emisopt/control/conformal_backoff.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "control/log_plant.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/control/controller.hpp"

namespace emisopt {
namespace {

constexpr int kHorizon = 4;

// Forecasts of 100 whose upper value lies `half` above; what comes has the standard deviation `sd`.
struct Stream {
  explicit Stream(double quantile, double half, double sd, ConformalConfig config = {})
      : backoff({quantile, 0.5}, kHorizon, config), half(half), sd(sd) {}

  // One row: the label of this row, then the forecast of the coming ones. Returns whether it was above what
  // the first step of the forecast made for it allowed.
  bool step() {
    Matrix median(kHorizon, 2, 100), upper(kHorizon, 2, 100);
    for (int h = 0; h < kHorizon; ++h) upper(h, 0) = 100 + backoff.factor(h, 0) * half;
    backoff.issue(row, median, upper);
    const double y[2] = {100 + sd * rng.normal(), 100};
    backoff.observe(row++, y);
    return y[0] > upper(0, 0);
  }

  ConformalBackoff backoff;
  double half, sd;
  Rng rng{7, 1};
  Index row = 0;
};

TEST(ConformalBackoff, FindsTheWidthThatHoldsTheShareOfMisses) {
  for (const double half : {0.5, 4.0}) {  // much too narrow, much too wide for a quantile of 0.9
    Stream s(0.9, half, 1.5, {.follow = 0});
    for (int r = 0; r < 2000; ++r) s.step();
    int misses = 0;
    for (int r = 0; r < 4000; ++r) misses += s.step();
    EXPECT_NEAR(misses / 4000.0, 0.1, 0.02) << half;
    EXPECT_NEAR(s.backoff.factor(0, 0) * half, 1.5 * 1.2816, 0.35) << half;
  }
}

TEST(ConformalBackoff, WidensInABurstAndComesBack) {
  Stream s(0.9, 1.9, 1.5);
  for (int r = 0; r < 500; ++r) s.step();
  const double calm = s.backoff.factor(0, 0);
  s.sd = 6;
  for (int r = 0; r < 12; ++r) s.step();
  EXPECT_GT(s.backoff.factor(0, 0), 1.5 * calm);
  s.sd = 1.5;
  for (int r = 0; r < 500; ++r) s.step();
  EXPECT_LT(s.backoff.factor(0, 0), 1.5 * calm);
}

TEST(ConformalBackoff, LeavesOutputsWithoutBackoffAlone) {
  Stream s(0.9, 0.5, 1.5);
  for (int r = 0; r < 200; ++r) s.step();
  for (int h = 0; h < kHorizon; ++h) {
    EXPECT_NE(s.backoff.factor(h, 0), 1);
    EXPECT_EQ(s.backoff.factor(h, 1), 1);
  }
}

TEST(ConformalBackoff, FactorsStayWithinTheirBounds) {
  Stream narrow(0.9, 1e-3, 1.5, {.most = 3});
  Stream wide(0.9, 1e3, 1.5, {.least = 0.5});
  for (int r = 0; r < 3000; ++r) narrow.step(), wide.step();
  EXPECT_EQ(narrow.backoff.factor(0, 0), 3);
  EXPECT_EQ(wide.backoff.factor(0, 0), 0.5);
}

TEST(ConformalBackoff, LateLabelsTeachTheSameAndTooLateOnesNothing) {
  ConformalBackoff b({0.9}, 2, {.lateness = 3});
  Matrix median(2, 1, 100), upper(2, 1, 101);
  const double miss[1] = {110}, none[1] = {kMissing};
  for (Index row = 0; row < 4; ++row) b.issue(row, median, upper);
  EXPECT_EQ(b.observe(1, none), 0);
  EXPECT_EQ(b.factor(0, 0), 1);
  EXPECT_EQ(b.observe(1, miss), 2);  // as step 2 of row 0 and step 1 of row 1
  EXPECT_GT(b.factor(0, 0), 1);
  EXPECT_EQ(b.observe(1, miss), 0);  // known already
  EXPECT_EQ(b.oldest(), 0);
  for (Index row = 4; row < 6; ++row) {
    for (int h = 0; h < 2; ++h) upper(h, 0) = 100 + b.factor(h, 0);
    b.issue(row, median, upper);
  }
  EXPECT_EQ(b.oldest(), 2);
  EXPECT_EQ(b.observe(0, miss), 0);   // too late
  EXPECT_EQ(b.observe(77, miss), 0);  // never forecast
}

TEST(ConformalBackoff, GoesOnBitForBitFromItsFile) {
  Stream s(0.85, 1, 1.5);
  for (int r = 0; r < 100; ++r) s.step();
  const std::string path = testing::TempDir() + "/backoff.safetensors";
  s.backoff.save(path);
  ConformalBackoff again = ConformalBackoff::load(path);
  EXPECT_EQ(again.hash(), s.backoff.hash());
  Stream twin = s;
  twin.backoff = again;
  for (int r = 0; r < 50; ++r) EXPECT_EQ(s.step(), twin.step());
  for (int h = 0; h < kHorizon; ++h) EXPECT_EQ(s.backoff.factor(h, 0), twin.backoff.factor(h, 0));
  EXPECT_EQ(s.backoff.hash(), twin.backoff.hash());
  EXPECT_NE(s.backoff.hash(), again.hash());
  std::remove(path.c_str());
}

TEST(ConformalBackoff, RefusesWhatItCannotUse) {
  EXPECT_THROW(ConformalBackoff({}, 4), InputError);
  EXPECT_THROW(ConformalBackoff({0.9}, 0), InputError);
  EXPECT_THROW(ConformalBackoff({1.0}, 4), InputError);
  EXPECT_THROW(ConformalBackoff({0.9}, 4, {.lateness = -1}), InputError);
  EXPECT_THROW(ConformalBackoff({0.9}, 4, {.least = 0}), InputError);
  EXPECT_THROW(ConformalBackoff({0.9}, 4, {.most = 0.5}), InputError);
  ConformalBackoff b({0.9}, 2);
  Matrix median(2, 1, 100), upper(2, 1, 101), wrong(3, 1, 1);
  EXPECT_THROW(b.issue(0, median, wrong), ShapeError);
  b.issue(5, median, upper);
  EXPECT_THROW(b.issue(5, median, upper), InputError);
  SafeTensors broken = b.state();
  broken.metadata["config"] = "{}";
  broken.seal();
  EXPECT_THROW(ConformalBackoff::from_state(broken, "test"), FileError);
  EXPECT_THROW(ConformalBackoff::from_state({}, "test"), FileError);
}

TEST(ConformalBackoff, AForecastWithoutNumbersTeachesNothing) {
  ConformalBackoff b({0.9}, 2);
  Matrix median(2, 1, 100), upper(2, 1, kMissing);
  b.issue(0, median, upper);
  const double y[1] = {500};
  EXPECT_EQ(b.observe(0, y), 0);
  EXPECT_EQ(b.factor(0, 0), 1);
}

// ---- the predictor -------------------------------------------------------------------------------------

ConformalBackoff taught(int horizon) {
  ConformalBackoff b({0.9, 0.5}, horizon);
  Matrix median(horizon, 2, 100), upper(horizon, 2, 101);
  Rng rng(3, 3);
  for (Index row = 0; row < 40; ++row) {
    for (int h = 0; h < horizon; ++h) upper(h, 0) = 100 + b.factor(h, 0);
    b.issue(row, median, upper);
    const double y[2] = {100 + 3 * rng.normal(), 100};
    b.observe(row, y);
  }
  return b;
}

TEST(ConformalPredictor, MovesUpperValuesAndTheirSlopesAlike) {
  LogPlant plant;
  plant.h = 4;
  plant.k = 0.4;
  plant.spread = 1.3;
  const ConformalBackoff b = taught(4);
  ConformalPredictor held(plant, b);
  Matrix plan(4, 2);
  for (int t = 0; t < 4; ++t) plan(t, 0) = 3 + 0.1 * t, plan(t, 1) = 0.5 - 0.02 * t;
  Matrix median(4, 2), upper(4, 2), m(4, 2), u(4, 2);
  plant.predict(median, upper, plan);
  held.predict(m, u, plan);
  for (int t = 0; t < 4; ++t) {
    EXPECT_EQ(m(t, 0), median(t, 0));
    EXPECT_GT(b.factor(t, 0), 1.2);
    EXPECT_NEAR(u(t, 0) - m(t, 0), b.factor(t, 0) * (upper(t, 0) - median(t, 0)), 1e-12);
    EXPECT_NEAR(u(t, 1), upper(t, 1), 1e-12);
  }
  Matrix jm(8, 8), ju(8, 8);
  held.jacobian(jm, ju, plan);
  constexpr double kStep = 1e-6;
  for (int s = 0; s < 8; ++s) {
    Matrix moved = plan, m2(4, 2), u2(4, 2);
    moved(s / 2, s % 2) += kStep;
    held.predict(m2, u2, moved);
    for (int r = 0; r < 8; ++r) {
      EXPECT_NEAR(ju(r, s), (u2(r / 2, r % 2) - u(r / 2, r % 2)) / kStep, 1e-3);
      EXPECT_NEAR(jm(r, s), (m2(r / 2, r % 2) - m(r / 2, r % 2)) / kStep, 1e-3);
    }
  }
  EXPECT_THROW(ConformalPredictor(plant, taught(3)), ShapeError);
}

TEST(ConformalPredictor, AControllerKeepsTheWiderBackoff) {
  // The more back-off, the lower the median that a binding limit leaves.
  const auto nox_of = [](const ConformalBackoff* b) {
    LogPlant plant;
    plant.h = 4;
    plant.spread = 1.1;
    ControllerConfig config;
    config.deadline_s = 60;
    Controller c(log_setpoints(), {{.name = "NOx", .output = 0, .limit = 90, .quantile = 0.9}},
                 {nullptr, {0, 0}}, 4, 2, config);
    Decision d;
    std::vector<double> applied = {3, 0.5};
    for (int tick = 0; tick < 20; ++tick) {
      if (b) {
        ConformalPredictor held(plant, *b);
        d = c.step(held, applied, {});
      } else {
        d = c.step(plant, applied, {});
      }
      applied = d.move;
    }
    EXPECT_TRUE(d.slacks.empty());
    return d.median(3, 0);
  };
  const ConformalBackoff wider = taught(4);
  EXPECT_LT(nox_of(&wider), nox_of(nullptr) - 0.5);
}

}  // namespace
}  // namespace emisopt
