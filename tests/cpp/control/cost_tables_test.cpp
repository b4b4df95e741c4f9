#include "emisopt/control/cost_tables.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "control/log_plant.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/control/cost_maps.hpp"

namespace emisopt {
namespace {

void expect_gradient(const OutputMap& map, std::vector<double> y, std::vector<double> u, double tolerance) {
  const std::size_t quantities = map.names().size();
  for (std::size_t j = 0; j < quantities; ++j) {
    std::vector<double> seed(quantities, 0), dy(y.size(), 0), du(u.size(), 0), q(quantities), r(quantities);
    seed[j] = 1;
    map.vjp(dy.data(), du.data(), seed.data(), y.data(), u.data(), nullptr);
    for (const bool output : {true, false})
      for (std::size_t i = 0; i < (output ? y : u).size(); ++i) {
        double& v = output ? y[i] : u[i];
        const double at = v, h = 1e-6;
        v = at + h;
        map.value(q.data(), y.data(), u.data(), nullptr);
        v = at - h;
        map.value(r.data(), y.data(), u.data(), nullptr);
        v = at;
        EXPECT_NEAR((output ? dy : du)[i], (q[j] - r[j]) / (2 * h), tolerance);
      }
  }
}

TEST(QuadraticMap, ValueAndGradient) {
  Matrix h(3, 3);
  h(0, 0) = 2;
  h(0, 2) = 3;  // the symmetric part counts: 1.5 and 1.5
  const QuadraticMap map("wear", 2, 1, h, {1, 0, -4}, 5);
  const std::vector<double> y = {2, 100}, u = {3};
  double q = 0;
  map.value(&q, y.data(), u.data(), nullptr);
  EXPECT_DOUBLE_EQ(q, 5 + 2 - 12 + 0.5 * (2 * 4 + 3 * 6));
  expect_gradient(map, y, u, 1e-6);
}

TEST(TableMap, GoesThroughItsPairsAndBeyondWithTheEndsSlopes) {
  const TableMap map("ash", TableMap::Of::output, 0, {0, 10, 20}, {0, 10, 40});
  const auto at = [&](double x) {
    double q = 0;
    map.value(&q, &x, nullptr, nullptr);
    return q;
  };
  EXPECT_DOUBLE_EQ(at(0), 0);
  EXPECT_DOUBLE_EQ(at(5), 5);
  EXPECT_DOUBLE_EQ(at(15), 25);
  EXPECT_DOUBLE_EQ(at(30), 70);
  EXPECT_DOUBLE_EQ(at(-4), -4);
  EXPECT_NEAR(at(10), 10, 10.0 / 80 * 2 + 1e-12);  // the rounded kink
  EXPECT_GT(at(10), 10);
  EXPECT_DOUBLE_EQ(at(9.5), 9.5);
  EXPECT_NEAR(at(10.5), 11.5, 1e-12);
  Rng rng(1);
  for (int i = 0; i < 200; ++i) expect_gradient(map, {rng.uniform(-5, 25)}, {}, 2e-5);
  EXPECT_TRUE(std::isnan(at(kMissing)));
}

TEST(JoinedMap, PutsQuantitiesOneAfterAnother) {
  const auto plain = std::make_shared<IdentityMap>(std::vector<std::string>{"a", "b"});
  const auto table = std::make_shared<TableMap>("t", TableMap::Of::setpoint, 0, std::vector<double>{0, 1},
                                                std::vector<double>{0, 7});
  const JoinedMap map({plain, table});
  EXPECT_EQ(map.names(), (std::vector<std::string>{"a", "b", "t"}));
  const std::vector<double> y = {3, 4}, u = {2};
  double q[3];
  map.value(q, y.data(), u.data(), nullptr);
  EXPECT_EQ(q[0], 3);
  EXPECT_EQ(q[1], 4);
  EXPECT_EQ(q[2], 14);
  expect_gradient(map, y, u, 1e-6);
  EXPECT_THROW(JoinedMap({plain, nullptr}), InputError);
}

TEST(CostTables, BadOnesAreNamed) {
  using Of = TableMap::Of;
  EXPECT_THROW(TableMap("t", Of::output, 0, {0}, {0}), InputError);
  EXPECT_THROW(TableMap("t", Of::output, 0, {0, 1}, {0}), InputError);
  EXPECT_THROW(TableMap("t", Of::output, 0, {0, 0}, {0, 1}), InputError);
  EXPECT_THROW(TableMap("t", Of::output, 0, {0, 1}, {0, kMissing}), InputError);
  EXPECT_THROW(TableMap("t", Of::output, -1, {0, 1}, {0, 1}), InputError);
  EXPECT_THROW(QuadraticMap("q", 1, 1, Matrix(1, 1), {0, 0}), ShapeError);
  EXPECT_THROW(QuadraticMap("q", 1, 1, Matrix(2, 2), {0}), ShapeError);
  EXPECT_THROW(QuadraticMap("q", 1, 1, Matrix(2, 2), {0, kMissing}), InputError);
  try {
    TableMap("ash disposal", Of::output, 0, {1, 1}, {0, 1});
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("ash disposal"), std::string::npos);
  }
}

// A cost of a user's own drives the plan to where it is least.
TEST(CostTables, ControllerFindsTheLeastOfAUsersCost) {
  LogPlant plant;
  auto setpoints = log_setpoints();
  for (Setpoint& s : setpoints) s.rate = kMissing, s.price = 0;
  Matrix h(4, 4);
  h(2, 2) = 2;  // (o2 - 4)^2 + 50 (nh3 - 0.3)^2
  h(3, 3) = 100;
  const auto own = std::make_shared<QuadraticMap>("own", 2, 2, h, std::vector<double>{0, 0, -8, -30}, 20.5);
  ControllerConfig config;
  config.max_iterations = 30;
  config.deadline_s = 100;
  Controller controller(setpoints, {}, {own, {1}}, plant.h, 2, config);
  const Decision d = controller.step(plant, {2, 0.9}, {});
  EXPECT_TRUE(is_ok(d.status)) << d.reason;
  EXPECT_NEAR(d.move[0], 4, 0.02);
  EXPECT_NEAR(d.move[1], 0.3, 0.005);
}

}  // namespace
}  // namespace emisopt
