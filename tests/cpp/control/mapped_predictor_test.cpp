#include "emisopt/control/mapped_predictor.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "control/log_plant.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/permit/coming_rows.hpp"

namespace emisopt {
namespace {

// Output 0 of the plant as a concentration, corrected to 6 % O2 by setpoint 0, which is its oxygen.
std::shared_ptr<BasisMap> corrected(Source o2 = Source::of_setpoint(0)) {
  return std::make_shared<BasisMap>(std::vector<std::string>{"nox", "co"},
                                    std::vector<BasisMap::Quantity>{{0, o2, 6, 21, "nox at 6 %"}});
}

Matrix plan_of(int h) {
  Matrix plan(h, 2);
  for (int t = 0; t < h; ++t) plan(t, 0) = 3 + 0.1 * t, plan(t, 1) = 0.5 - 0.02 * t;
  return plan;
}

TEST(MappedPredictor, IsTheMapOfTheForecast) {
  LogPlant plant;
  plant.h = 5;
  plant.k = 0.4;
  plant.spread = 1.3;
  MappedPredictor mapped(plant, corrected());
  EXPECT_EQ(mapped.outputs(), 3);
  EXPECT_EQ(mapped.horizon(), 5);
  const Matrix plan = plan_of(5);
  Matrix median(5, 2), upper(5, 2), q(5, 3), high(5, 3);
  plant.predict(median, upper, plan);
  mapped.predict(q, high, plan);
  for (int t = 0; t < 5; ++t) {
    const double factor = 15 / (21 - plan(t, 0));
    EXPECT_EQ(q(t, 0), median(t, 0));
    EXPECT_EQ(q(t, 1), median(t, 1));
    EXPECT_DOUBLE_EQ(q(t, 2), median(t, 0) * factor);
    EXPECT_DOUBLE_EQ(high(t, 2), upper(t, 0) * factor);
    EXPECT_EQ(high(t, 1), upper(t, 1));
  }
  Matrix plans(10, 2), many(10, 3), many_high(10, 3);
  for (int r = 0; r < 10; ++r) std::copy_n(plan.row(r % 5), 2, plans.row(r));
  mapped.predict_batch(many, many_high, plans, 2);
  for (int r = 0; r < 10; ++r) EXPECT_EQ(many(r, 2), q(r % 5, 2));
}

TEST(MappedPredictor, JacobiansAreThoseOfFiniteDifferencesAndCausal) {
  LogPlant plant;
  plant.h = 4;
  plant.k = 0.4;
  plant.spread = 1.3;
  for (const Source o2 : {Source::of_setpoint(0), Source::of_constant(8), Source::of_output(1)}) {
    plant.a[1] = o2.kind == Source::Kind::output ? std::log(8) + 0.7 * 3 : plant.a[1];
    MappedPredictor mapped(plant, corrected(o2));
    Matrix plan = plan_of(4);
    Matrix median(12, 8), upper(12, 8), a(4, 3), b(4, 3), ha(4, 3), hb(4, 3);
    mapped.jacobian(median, upper, plan);
    Matrix by_move(12, 3), by_move_upper = by_move;
    mapped.sensitivities(by_move, by_move_upper, plan, {{0, 0, 1}, {1, 1, 3}, {0, 2, 2}});
    for (Index r = 0; r < 12; ++r) {
      EXPECT_NEAR(by_move(r, 0), median(r, 0) + median(r, 2), 1e-9);
      EXPECT_NEAR(by_move(r, 1), median(r, 3) + median(r, 5) + median(r, 7), 1e-9);
      EXPECT_NEAR(by_move_upper(r, 2), upper(r, 4), 1e-9);
    }
    const double e = 1e-5;
    for (int s = 0; s < 4; ++s)
      for (int u = 0; u < 2; ++u) {
        const double at = plan(s, u);
        plan(s, u) = at + e;
        mapped.predict(b, hb, plan);
        plan(s, u) = at - e;
        mapped.predict(a, ha, plan);
        plan(s, u) = at;
        for (int t = 0; t < 4; ++t)
          for (int j = 0; j < 3; ++j) {
            EXPECT_NEAR(median(t * 3 + j, s * 2 + u), (b(t, j) - a(t, j)) / (2 * e), 1e-5);
            EXPECT_NEAR(upper(t * 3 + j, s * 2 + u), (hb(t, j) - ha(t, j)) / (2 * e), 1e-5);
            if (s > t) {
              EXPECT_EQ(median(t * 3 + j, s * 2 + u), 0);
            }
          }
      }
  }
}

TEST(MappedPredictor, ADisturbanceThatIsNotKnownMakesItsQuantityMissing) {
  LogPlant plant;
  plant.h = 3;
  MappedPredictor mapped(plant, corrected(Source::of_disturbance(0)));
  Matrix q(3, 3), high(3, 3);
  mapped.predict(q, high, plan_of(3));
  EXPECT_TRUE(std::isnan(q(0, 2)));
  EXPECT_FALSE(std::isnan(q(0, 0)));
  plant.disturbances = Matrix(3, 1, 6.0);
  mapped.predict(q, high, plan_of(3));
  EXPECT_DOUBLE_EQ(q(1, 2), q(1, 0));
}

TEST(MappedPredictor, RefusesMapsThatDoNotFit) {
  LogPlant plant;
  EXPECT_THROW(MappedPredictor(plant, nullptr), InputError);
  EXPECT_THROW(MappedPredictor(plant, std::make_shared<BasisMap>(std::vector<std::string>{"a"},
                                                                 std::vector<BasisMap::Quantity>{})),
               InputError);
  EXPECT_THROW(MappedPredictor(plant, corrected(Source::of_setpoint(2))), InputError);
}

}  // namespace
}  // namespace emisopt
