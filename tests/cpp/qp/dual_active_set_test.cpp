// The active set method by itself and as QpSolver runs it: cold, warm, with the matrices known.
#include "emisopt/qp/dual_active_set.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "emisopt/qp/qp.hpp"
#include "qp/qp_cases.hpp"
#include "qp/qp_fuzz.hpp"

namespace emisopt {
namespace {

const QpOptions kActive{.method = QpMethod::active_set};

TEST(DualActiveSet, ReachesChosenSolutionsToRounding) {
  Rng rng(31);
  QpSolver solver(40, 60, kActive);
  double worst = 0;
  for (int round = 0; round < 400; ++round) {
    const int n = 1 + static_cast<int>(rng.below(40)), m = static_cast<int>(rng.below(61));
    const QpCase c = known_case(rng, n, m, n + 8);
    const QpResult& r = solver.solve(c.problem());
    ASSERT_EQ(r.status, QpStatus::optimal) << "round " << round;
    ASSERT_EQ(r.method, QpMethod::active_set) << "round " << round;
    worst = std::max(worst, qp_residual(c.problem(), r.x, r.y, r.z).worst());
    EXPECT_NEAR(r.objective, c.objective(c.x), 1e-9 * (1 + std::abs(c.objective(c.x)))) << "round " << round;
  }
  EXPECT_LT(worst, 1e-10);
}

TEST(DualActiveSet, SlacksAreWhatTheRowsLack) {
  Rng rng(32);
  QpSolver solver(20, 30, kActive);
  int open = 0;
  for (int round = 0; round < 200; ++round) {
    const QpCase c = known_case(rng, 20, 30, 24);
    const QpResult& r = solver.solve(c.problem());
    ASSERT_EQ(r.status, QpStatus::optimal);
    for (int i = 0; i < 30; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double v = c.row_value(i, r.x), lack = std::max({0.0, c.row_lower[at] - v, v - c.row_upper[at]});
      EXPECT_NEAR(r.slack[at], lack, 1e-7 * (1 + std::abs(v)));
      open += r.slack[at] > 1e-3;
    }
  }
  EXPECT_GT(open, 200);
}

// The next sample of a loop: gradient and bounds a little off, the matrices too or not.
QpCase next(Rng& rng, const QpCase& c, bool matrices) {
  QpCase d = c;
  for (double& g : d.gradient) g += 0.05 * rng.normal();
  for (double& b : d.row_upper) b += 0.02 * rng.uniform();
  if (matrices)
    for (double& a : d.rows.values) a *= 1 + 0.01 * rng.normal();
  return d;
}

TEST(DualActiveSet, WarmStartTakesFewerPivotsToTheSameAnswer) {
  Rng rng(33);
  QpSolver solver(30, 40, kActive);
  long cold = 0, warm = 0;
  for (int round = 0; round < 100; ++round) {
    QpCase c = known_case(rng, 30, 40, 36);
    for (double& w : c.l1) w = std::min(w, 50.0);  // the next sample's rows need not hold
    const QpResult first = solver.solve(c.problem());
    ASSERT_EQ(first.status, QpStatus::optimal);
    const QpCase d = next(rng, c, true);
    const QpResult again = solver.solve(d.problem());
    ASSERT_EQ(again.status, QpStatus::optimal) << "round " << round;
    const QpResult& from = solver.solve_from(d.problem(), first.y, first.z);
    ASSERT_EQ(from.status, QpStatus::optimal) << "round " << round;
    EXPECT_NEAR(from.objective, again.objective, 1e-8 * (1 + std::abs(again.objective)));
    cold += again.iterations;
    warm += from.iterations;
  }
  EXPECT_LT(3 * warm, cold);
}

TEST(DualActiveSet, FeedbackWithKnownMatricesAgreesWithAFreshSolve) {
  Rng rng(34);
  QpSolver loop(30, 40), fresh(30, 40);
  for (int round = 0; round < 30; ++round) {
    QpCase c = known_case(rng, 30, 40, 36);
    for (double& w : c.l1) w = std::min(w, 50.0);
    ASSERT_TRUE(loop.prepare(c.problem()));
    QpResult last;
    for (int tick = 0; tick < 10; ++tick) {
      c = next(rng, c, false);
      if (tick == 5) c.row_upper[3] = kInf;             // a side that was there is gone
      if (tick == 6) c.l1[2] = 20;                      // a weight changes: other entries of the factor
      if (tick == 7) c.lower[1] = c.upper[1] = c.x[1];  // a variable is held
      const QpResult& a =
          tick % 3 == 2 ? loop.feedback(c.problem(), last.y, last.z) : loop.feedback(c.problem());
      const QpResult& b = fresh.solve(c.problem());
      ASSERT_EQ(a.status, QpStatus::optimal) << round << ' ' << tick;
      ASSERT_EQ(b.status, QpStatus::optimal) << round << ' ' << tick;
      EXPECT_NEAR(a.objective, b.objective, 1e-8 * (1 + std::abs(b.objective))) << round << ' ' << tick;
      last = a;
    }
  }
}

TEST(DualActiveSet, FeedbackNeverTrustsMatricesThatChangedUnderIt) {
  Rng rng(35);
  const QpCase c = known_case(rng, 12, 10, 15);
  QpCase d = known_case(rng, 12, 10, 15);
  QpSolver solver(12, 10);
  ASSERT_TRUE(solver.prepare(c.problem()));
  const QpResult& r = solver.feedback(d.problem());  // against its contract: the check finds out
  ASSERT_EQ(r.status, QpStatus::optimal);
  EXPECT_NEAR(r.objective, d.objective(d.x), 1e-6 * (1 + std::abs(d.objective(d.x))));
  d.rows(0, 0) = kMissing;
  EXPECT_EQ(solver.feedback(d.problem()).status, QpStatus::invalid);
  QpSolver cold(12, 10);  // nothing prepared: a solve
  EXPECT_EQ(cold.feedback(c.problem()).status, QpStatus::optimal);
}

// Moves with rates and bounds, most of which bind, and rows over all of them, hard and soft.
QpCase rates_case(Rng& rng, int n, int rows) {
  QpCase c(n, n - 1 + rows);
  for (int j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    for (int k = 0; k < n; ++k) c.hessian(j, k) = (j == k ? 1.5 : 0) + 0.3 * std::cos(0.7 * (j - k));
    c.gradient[at] = 6 * std::sin(0.4 * j + rng.uniform(0, 6)) + rng.normal();
    c.lower[at] = -1;
    c.upper[at] = 1;
    if (j > 0) {
      c.rows(j - 1, j) = 1;
      c.rows(j - 1, j - 1) = rng.uniform() < 0.2 ? -1.3 : -1;
      c.row_lower[at - 1] = -0.2;
      c.row_upper[at - 1] = 0.2;
    }
  }
  for (int i = n - 1; i < n - 1 + rows; ++i) {
    const auto at = static_cast<std::size_t>(i);
    for (int j = 0; j < n; ++j) c.rows(i, j) = rng.normal();
    c.row_upper[at] = rng.uniform(0.2, 2);
    if (rng.uniform() < 0.7) c.l1[at] = rng.uniform(0.1, 5), c.l2[at] = rng.uniform() < 0.5 ? 0.5 : 0;
  }
  return c;
}

TEST(DualActiveSet, BoundsAndRatesOfAStartMayAllBeWrong) {
  Rng rng(37);
  QpSolver warm(24, 30, kActive), cold(24, 30, kActive);
  long few = 0, none = 0;
  for (int round = 0; round < 300; ++round) {
    QpCase c = rates_case(rng, 24, 6);
    const QpResult first = cold.solve(c.problem());
    ASSERT_EQ(first.status, QpStatus::optimal) << "round " << round;
    std::vector<double> y = first.y, z = first.z;
    const int kind = round % 4;
    if (kind == 0) {  // the next sample
      for (double& g : c.gradient) g += 0.1 * rng.normal();
    } else {  // a jump; all sides, or some, or those of another problem
      for (double& g : c.gradient) g = 5 * rng.normal();
      for (auto* v : {&y, &z})
        for (double& m : *v)
          if (kind == 1 || (kind == 2 && rng.uniform() < 0.4)) m = rng.normal();
    }
    const QpResult& a = cold.solve(c.problem());
    const QpResult& b = warm.solve_from(c.problem(), y, z);
    ASSERT_EQ(a.status, QpStatus::optimal) << "round " << round;
    ASSERT_EQ(b.status, QpStatus::optimal) << "round " << round;
    ASSERT_EQ(b.method, QpMethod::active_set) << "round " << round;
    EXPECT_NEAR(a.objective, b.objective, 1e-8 * (1 + std::abs(a.objective))) << "round " << round;
    EXPECT_LT(qp_residual(c.problem(), b.x, b.y, b.z).worst(), 1e-10) << "round " << round;
    if (kind == 0) few += b.iterations, none += a.iterations;
    const QpResult kept = b;  // without multipliers: from the last answer's
    const QpResult& again = warm.feedback(c.problem());
    ASSERT_EQ(again.status, QpStatus::optimal) << "round " << round;
    EXPECT_NEAR(again.objective, kept.objective, 1e-8 * (1 + std::abs(kept.objective))) << "round " << round;
  }
  EXPECT_LT(4 * few, none);
}

TEST(DualActiveSet, ContradictingTiesAreLetGoAndARealContradictionIsProved) {
  Rng rng(38);
  QpSolver solver(24, 30, kActive);
  int proved = 0;
  for (int round = 0; round < 100; ++round) {
    QpCase c = rates_case(rng, 24, 6);
    const QpResult first = solver.solve(c.problem());
    c.lower[0] = c.upper[0] = -1;
    const bool hopeless = round % 2 == 0;  // 0.2 a step from -1: at best 0.2 after 6
    c.rows(0, 0) = c.rows(1, 1) = c.rows(2, 2) = c.rows(3, 3) = c.rows(4, 4) = c.rows(5, 5) = -1;
    c.lower[6] = hopeless ? 0.5 : 0.15;
    for (std::size_t i = 23; i < c.l1.size(); ++i) c.l1[i] = std::min(c.l1[i], 5.0);
    const QpResult& r = solver.solve_from(c.problem(), first.y, first.z);
    ASSERT_EQ(r.status, hopeless ? QpStatus::infeasible : QpStatus::optimal) << "round " << round;
    proved += hopeless && !r.violated.empty();
  }
  EXPECT_EQ(proved, 50);
}

TEST(DualActiveSet, UselessStartsAreColdStarts) {
  Rng rng(36);
  const QpCase c = known_case(rng, 10, 8, 12);
  QpSolver solver(10, 8);
  const QpResult good = solver.solve(c.problem());
  std::vector<double> y(8, 1e6), z(10, -1e6);  // everything at once, on sides that may not be there
  EXPECT_EQ(solver.solve_from(c.problem(), y, z).status, QpStatus::optimal);
  y[0] = kMissing;
  const QpResult& r = solver.solve_from(c.problem(), y, z);
  EXPECT_EQ(r.status, QpStatus::optimal);
  EXPECT_EQ(r.x, good.x);
  EXPECT_THROW(solver.solve_from(c.problem(), std::vector<double>(3), z), ShapeError);
}

TEST(DualActiveSet, InfeasibleComesWithMultipliersThatProveIt) {
  Rng rng(37);
  QpSolver solver(8, 12);
  int proved = 0;
  for (int round = 0; round < 300; ++round) {
    const FuzzCase f = fuzz_case(rng);
    if (f.truth != Truth::infeasible) continue;
    const QpProblem p = f.c.problem();
    const QpResult& r = solver.solve(p);
    ASSERT_EQ(r.status, QpStatus::infeasible) << "round " << round;
    double gap = 0;
    std::vector<double> force = r.z;
    for (std::size_t i = 0; i < r.y.size(); ++i) {
      if (r.y[i] != 0) gap += r.y[i] * (r.y[i] > 0 ? p.row_upper[i] : p.row_lower[i]);
      for (std::size_t j = 0; j < force.size(); ++j)
        force[j] += r.y[i] * f.c.rows(static_cast<Index>(i), static_cast<Index>(j));
    }
    for (std::size_t j = 0; j < force.size(); ++j) {
      if (r.z[j] != 0) gap += r.z[j] * (r.z[j] > 0 ? p.upper[j] : p.lower[j]);
      EXPECT_NEAR(force[j], 0, 1e-7 * (1 - gap));
    }
    EXPECT_LT(gap, 0);
    EXPECT_FALSE(r.violated.empty());
    ++proved;
  }
  EXPECT_GT(proved, 15);
}

TEST(DualActiveSet, NothingFalseInTwentyThousandAdversarialCases) {
  const FuzzCount r = fuzz(1, 20000);
  EXPECT_EQ(r.false_optimal, 0);
  EXPECT_EQ(r.false_infeasible, 0);
  EXPECT_EQ(r.slow, 0);
  EXPECT_GT(r.optimal, 14000);
  EXPECT_GT(r.infeasible, 1500);
  EXPECT_GT(r.invalid, 2000);
  EXPECT_LT(r.undecided, 300);
}

TEST(DualActiveSet, StopIsAskedBetweenSteps) {
  Rng rng(38);
  const QpCase c = known_case(rng, 20, 20, 22);
  QpSolver solver(20, 20, kActive);
  const std::function<bool()> stop = [] { return true; };
  EXPECT_EQ(solver.solve(c.problem(), &stop).status, QpStatus::stopped);
}

}  // namespace
}  // namespace emisopt
