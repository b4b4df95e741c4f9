#include "emisopt/control/forecast_predictor.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/control/controller.hpp"
#include "emisopt/control/mapped_predictor.hpp"
#include "model/toy_plant.hpp"
#include "support/no_alloc.hpp"

namespace emisopt {
namespace {

// A forecaster with weights of some size: its answers are no forecasts, but they depend on the plan.
Forecaster lively_forecaster(const History& history) {
  Forecaster f = Forecaster::make(history, toy::config(), 400);
  Rng rng(5);
  for (float& w : f.theta) w += static_cast<float>(0.1 * rng.normal());
  return f;
}

struct Fixture {
  History history = toy::history(500, 1);
  Forecaster forecaster = lively_forecaster(history);
  ForecastPredictor predictor{forecaster, {0.9, 0.7}, 1};
  Matrix known{4, 4}, plan{4, 2};
  Fixture() {
    for (int t = 0; t < 4; ++t) {
      known(t, 0) = 300 + 5 * t;
      known(t, 1) = kMissing;
      known(t, 2) = 1;
      known(t, 3) = kMissing;
      plan(t, 0) = 3 + 0.1 * t;
      plan(t, 1) = 50 + 2 * t;
    }
    predictor.set_tick(history, 450, known);
  }
};

TEST(ForecastPredictor, ReadsMedianAndInterpolatedQuantileFromTheSession) {
  Fixture f;
  ForecastSession session(f.forecaster, kernels::isa_level(), 1);
  session.set_history(f.history, 450);
  Matrix q(4, 6), median(4, 2), upper(4, 2);
  const ConstView plan = f.plan;
  session.predict(q, &plan, f.known);
  f.predictor.predict(median, upper, f.plan);
  for (int t = 0; t < 4; ++t) {
    EXPECT_EQ(median(t, 0), q(t, 1));
    EXPECT_EQ(upper(t, 0), q(t, 2));  // 0.9 is a trained level
    EXPECT_EQ(median(t, 1), q(t, 4));
    EXPECT_NEAR(upper(t, 1), 0.5 * (q(t, 4) + q(t, 5)), 1e-9);  // 0.7 lies half way to 0.9
  }
}

TEST(ForecastPredictor, BatchHasTheBitsOfSinglePlans) {
  Fixture f;
  Matrix plans(12, 2), median(12, 2), upper(12, 2), m(4, 2), u(4, 2);
  for (int b = 0; b < 3; ++b)
    for (int t = 0; t < 4; ++t) {
      plans(4 * b + t, 0) = f.plan(t, 0) + 0.3 * b;
      plans(4 * b + t, 1) = f.plan(t, 1) - 4 * b;
    }
  f.predictor.predict_batch(median, upper, plans, 3);
  for (int b = 0; b < 3; ++b) {
    f.predictor.predict(m, u, plans.view().slice(4 * b, 4));
    for (int t = 0; t < 4; ++t)
      for (int o = 0; o < 2; ++o) {
        EXPECT_EQ(median(4 * b + t, o), m(t, o));
        EXPECT_EQ(upper(4 * b + t, o), u(t, o));
      }
  }
}

TEST(ForecastPredictor, JacobianMatchesDifferencesAndIsCausal) {
  Fixture f;
  Matrix jm(8, 8), ju(8, 8);
  f.predictor.jacobian(jm, ju, f.plan);
  double largest = 0, worst = 0;
  const double range[] = {3, 70};
  for (int s = 0; s < 4; ++s)
    for (int u = 0; u < 2; ++u) {
      const double h = 0.01 * range[u];  // fp32 inside: a step well above its rounding
      Matrix plus = f.plan, minus = f.plan, mp(4, 2), up(4, 2), mm(4, 2), um(4, 2);
      plus(s, u) += h;
      minus(s, u) -= h;
      f.predictor.predict(mp, up, plus);
      f.predictor.predict(mm, um, minus);
      for (int t = 0; t < 4; ++t)
        for (int o = 0; o < 2; ++o) {
          const double dm = jm(t * 2 + o, s * 2 + u), du = ju(t * 2 + o, s * 2 + u);
          if (s > t) {
            EXPECT_EQ(dm, 0);
            EXPECT_EQ(du, 0);
          }
          const double size = std::abs(mp(t, o)) / range[u];  // a full-range effect of the output's own size
          worst = std::max(worst, std::abs(dm - (mp(t, o) - mm(t, o)) / (2 * h)) / size);
          worst = std::max(worst, std::abs(du - (up(t, o) - um(t, o)) / (2 * h)) / size);
          largest = std::max(largest, std::abs(dm) / size);
        }
    }
  EXPECT_GT(largest, 1e-2);  // the plan does act
  EXPECT_LT(worst, 2e-3 * std::max(1.0, largest));
}

TEST(ForecastPredictor, SensitivitiesAreTheJacobiansColumnsAddedUpEitherWay) {
  Fixture f;
  Matrix jm(8, 8), ju(8, 8);
  f.predictor.jacobian(jm, ju, f.plan);
  std::vector<PlanMove> few = {{1, 1, 3}, {0, 0, 3}}, many;
  for (int s = 0; s < 4; ++s)
    for (int last = s; last < 4; ++last)
      for (int u = 0; u < 2; ++u) many.push_back({u, s, last});
  for (const auto& moves : {few, many}) {
    Matrix m(8, static_cast<Index>(moves.size())), u = m;
    f.predictor.sensitivities(m, u, f.plan, moves);
    for (Index r = 0; r < 8; ++r)
      for (std::size_t k = 0; k < moves.size(); ++k) {
        double median = 0, upper = 0, size = 0;
        for (int s = moves[k].first; s <= moves[k].last; ++s) {
          median += jm(r, s * 2 + moves[k].setpoint);
          upper += ju(r, s * 2 + moves[k].setpoint);
          size += std::abs(jm(r, s * 2 + moves[k].setpoint)) + std::abs(ju(r, s * 2 + moves[k].setpoint));
        }
        EXPECT_NEAR(m(r, static_cast<Index>(k)), median, 2e-5 * size);
        EXPECT_NEAR(u(r, static_cast<Index>(k)), upper, 2e-5 * size);
      }
  }
}

TEST(ForecastPredictor, ControllerDecidesThroughTheTransformer) {
  Fixture f;
  std::vector<Setpoint> setpoints = {
      {.name = "oxygen", .unit = "%", .low = 2, .high = 5, .rate = 0.5, .price = 1},
      {.name = "ammonia", .unit = "kg/h", .low = 20, .high = 90, .rate = 10, .price = 0.1}};
  Matrix median(4, 2), upper(4, 2);
  f.predictor.predict(median, upper, f.plan);
  std::vector<Limit> limits = {{.name = "NOx", .output = 0, .limit = 1.5 * upper(3, 0), .quantile = 0.9}};
  ControllerConfig config;
  config.max_iterations = 20;
  config.deadline_s = 100;
  Controller controller(setpoints, limits, {nullptr, {0.05, 0}}, 4, 2, config);
  const std::vector<double> applied = {3, 50};
  const Decision d = controller.step(f.predictor, applied, {});
  ASSERT_TRUE(is_ok(d.status)) << d.reason;
  // The forecast it reports is the model's for that plan, and its cost beats holding.
  f.predictor.predict(median, upper, d.plan);
  EXPECT_EQ(d.median.values, median.values);
  EXPECT_EQ(d.upper.values, upper.values);
  Matrix hold(4, 2);
  for (int t = 0; t < 4; ++t) hold(t, 0) = 3, hold(t, 1) = 50;
  f.predictor.predict(median, upper, hold);
  double cost = 0;
  for (int t = 0; t < 4; ++t) cost += 0.05 * median(t, 0) + 3 + 5;
  EXPECT_LT(d.cost, cost);
}

TEST(ForecastPredictor, RefusesWrongShapesAndLevels) {
  Fixture f;
  EXPECT_THROW(ForecastPredictor(f.forecaster, {0.9}, 1), ShapeError);
  EXPECT_THROW(ForecastPredictor(f.forecaster, {0.9, 1.0}, 1), InputError);
  EXPECT_THROW(f.predictor.set_tick(f.history, 450, Matrix(3, 4)), ShapeError);
  EXPECT_THROW(f.predictor.set_tick(f.history, 3, f.known), InputError);
  Matrix median(4, 2), upper(4, 2);
  EXPECT_THROW(f.predictor.predict(median, upper, Matrix(4, 3)), ShapeError);
}

TEST(BackoffQuantiles, TakeTheStrictestLimitOfEachOutput) {
  const std::vector<Limit> limits = {{.name = "a", .output = 1, .limit = 1, .quantile = 0.9},
                                     {.name = "b", .output = 1, .limit = 2, .quantile = 0.95}};
  EXPECT_EQ(backoff_quantiles(limits, 3), (std::vector<double>{0.5, 0.95, 0.5}));
  EXPECT_THROW(backoff_quantiles(limits, 1), InputError);
}

TEST(ForecastPredictor, LevelsBeyondTheTrainedOnesTakeTheOutermost) {
  Fixture f;
  ForecastPredictor far(f.forecaster, {0.99, 0.01}, 1);
  far.set_tick(f.history, 450, f.known);
  ForecastPredictor edge(f.forecaster, {0.9, 0.1}, 1);
  edge.set_tick(f.history, 450, f.known);
  Matrix m(4, 2), a(4, 2), b(4, 2);
  far.predict(m, a, f.plan);
  edge.predict(m, b, f.plan);
  EXPECT_EQ(a.values, b.values);
}

TEST(ForecastPredictor, GradientIsTheJacobiansSumWithTheSeeds) {
  Fixture f;
  Matrix jm(8, 8), ju(8, 8), seed_median(4, 2), seed_upper(4, 2), g(4, 2);
  f.predictor.jacobian(jm, ju, f.plan);
  Rng rng(3);
  for (double& v : seed_median.values) v = rng.normal();
  for (double& v : seed_upper.values) v = rng.normal();
  ASSERT_TRUE(f.predictor.gradient(g, seed_median, seed_upper, f.plan));
  double largest = 0;
  for (int s = 0; s < 4; ++s)
    for (int u = 0; u < 2; ++u) {
      double sum = 0;
      for (int r = 0; r < 8; ++r)
        sum += seed_median(r / 2, r % 2) * jm(r, s * 2 + u) + seed_upper(r / 2, r % 2) * ju(r, s * 2 + u);
      EXPECT_NEAR(g(s, u), sum, 1e-4 * (1 + std::abs(sum)));
      largest = std::max(largest, std::abs(sum));
    }
  EXPECT_GT(largest, 1e-3);
}

// A thousand ticks over a transformer, real-time and converged, prepared and not, limits that hold and limits
// that cannot: after the first hundred the controller asks for no memory, and does the same again.
TEST(ForecastPredictor, AThousandTicksAllocateNothing) {
  const History history = toy::history(1300, 1);
  const Forecaster forecaster = lively_forecaster(history);
  const std::vector<Index> setpoint_tags = forecaster.layout.setpoints(),
                           outputs = forecaster.layout.outputs();
  std::vector<Setpoint> setpoints(2);
  std::vector<Limit> limits(2);
  for (std::size_t k = 0; k < 2; ++k) {
    std::vector<double> u;
    for (Index r = 0; r < history.rows(); ++r)
      if (const double v = history.values(r, setpoint_tags[k]); std::isfinite(v)) u.push_back(v);
    const auto [low, high] = std::minmax_element(u.begin(), u.end());
    setpoints[k].name = k == 0 ? "a" : "b";
    setpoints[k].low = *low;
    setpoints[k].high = *high;
    setpoints[k].rate = 0.1 * (*high - *low);
    setpoints[k].price = 1;
    setpoints[k].move_weight = 0.5;
  }
  // Limits near what the forecasts of middling plans say: they hold at times and cannot at others.
  std::vector<double> said[2];
  for (Index end = 100; end < 1200; end += 50) {
    ForecastPredictor predictor(forecaster, {0.9, 0.9}, 1);
    predictor.set_tick(history, end, {});
    Matrix plan(4, 2), median(4, 2), upper(4, 2);
    for (Index t = 0; t < 4; ++t)
      for (std::size_t k = 0; k < 2; ++k)
        plan(t, static_cast<Index>(k)) = 0.5 * (setpoints[k].low + setpoints[k].high);
    predictor.predict(median, upper, plan);
    for (Index k = 0; k < 2; ++k) said[k].push_back(upper(3, k));
  }
  for (std::size_t k = 0; k < 2; ++k) {
    std::sort(said[k].begin(), said[k].end());
    limits[k] = {.name = k == 0 ? "one" : "two",
                 .output = static_cast<int>(k),
                 .limit = said[k][said[k].size() * 3 / 4],
                 .window = k == 0 ? 1 : 6,
                 .rank = static_cast<int>(k) + 1,
                 .quantile = 0.9};
  }
  for (const bool real_time : {true, false}) {
    std::vector<double> log[2];
    int statuses[3] = {0, 0, 0}, adjoint = 0;
    for (std::vector<double>& run : log) {
      ForecastPredictor predictor(forecaster, {0.9, 0.9}, 1);
      ControllerConfig config;
      config.blocks = 3;
      config.max_iterations = real_time ? 1 : 20;
      config.deadline_s = 100;
      Controller controller(setpoints, limits, {nullptr, {1, 1}}, 4, 2, config);
      Decision d;
      Matrix past(12, 2);
      std::vector<double> applied = {0.5 * (setpoints[0].low + setpoints[0].high), setpoints[1].low};
      const int ticks = real_time ? 1100 : 400;
      run.reserve(static_cast<std::size_t>(ticks) * 3);
      for (int tick = 0; tick < ticks; ++tick) {
        const Index end = 100 + tick;
        predictor.set_tick(history, end, {});
        for (Index r = 0; r < 12; ++r)
          for (Index o = 0; o < 2; ++o)
            past(r, o) = history.values(end - 12 + r, outputs[static_cast<std::size_t>(o)]);
        const long before = test::allocations();
        controller.step(d, predictor, applied, past);
        controller.observe(d.median.row(0), past.row(11));
        if (real_time && tick % 2 == 0) controller.prepare(predictor);
        if (tick >= 100) ASSERT_EQ(test::allocations() - before, 0) << tick << " " << d.reason;
        applied = d.move;
        run.insert(run.end(), {d.move[0], d.move[1], d.kkt});
        ASSERT_TRUE(is_ok(d.status)) << d.reason;
        ++statuses[static_cast<int>(d.status)];
        adjoint += d.adjoint;
      }
    }
    for (std::size_t i = 0; i < log[0].size(); ++i)
      ASSERT_TRUE(log[0][i] == log[1][i] || (std::isnan(log[0][i]) && std::isnan(log[1][i]))) << i;
    EXPECT_GT(statuses[static_cast<int>(Status::limit_slacked)], 50);
    EXPECT_GT(statuses[static_cast<int>(Status::optimal)], 50);
    EXPECT_GT(adjoint, 300);
  }
}

}  // namespace
}  // namespace emisopt
