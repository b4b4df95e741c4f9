#include "emisopt/qp/qp.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "emisopt/base/error.hpp"
#include "qp/qp_cases.hpp"
#include "qp/wide_cases.hpp"

namespace {
long allocations = 0;
}
// Counts every allocation of this binary; the tests read the difference around solve().
// GCC 12 pairs the inlined delete with the library's new and warns.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size ? size : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace emisopt {
namespace {

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double d = 0;
  for (std::size_t i = 0; i < a.size(); ++i) d = std::max(d, std::abs(a[i] - b[i]));
  return d;
}

TEST(Qp, FindsChosenSolutions) {
  Rng rng(11);
  QpSolver solver(40, 60, {.method = QpMethod::interior_point});
  long iterations = 0;
  const int rounds = 1000;
  for (int round = 0; round < rounds; ++round) {
    const int n = 1 + static_cast<int>(rng.below(40)), m = static_cast<int>(rng.below(61));
    const QpCase c = known_case(rng, n, m, n + 2);
    const QpResult& r = solver.solve(c.problem());
    iterations += r.iterations;
    ASSERT_EQ(r.status, QpStatus::optimal)
        << "round " << round << " n " << n << " m " << m << ' ' << r.residual.primal << ' ' << r.residual.dual
        << ' ' << r.residual.complementarity;
    EXPECT_NEAR(r.objective, c.objective(c.x), 1e-6 * (1 + std::abs(c.objective(c.x)))) << "round " << round;
    EXPECT_GE(r.objective, c.objective(c.x) - 1e-6 * (1 + std::abs(c.objective(c.x))));
  }
  EXPECT_LT(iterations, 20 * rounds);
}

TEST(Qp, SingularHessianReachesTheSameObjective) {
  Rng rng(12);
  QpSolver solver(20, 30);
  for (int round = 0; round < 500; ++round) {
    const int n = 2 + static_cast<int>(rng.below(19)), m = static_cast<int>(rng.below(31));
    const QpCase c = known_case(rng, n, m, static_cast<int>(rng.below(n)));  // rank 0: a linear program
    const QpResult& r = solver.solve(c.problem());
    ASSERT_EQ(r.status, QpStatus::optimal)
        << "round " << round << " n " << n << " m " << m << ' ' << r.residual.primal << ' ' << r.residual.dual
        << ' ' << r.residual.complementarity;
    EXPECT_NEAR(r.objective, c.objective(c.x), 1e-6 * (1 + std::abs(c.objective(c.x)))) << "round " << round;
  }
}

TEST(Qp, AgreesWithEnumerationOfActiveSets) {
  Rng rng(13);
  QpSolver solver(3, 3);
  int infeasible = 0;
  for (int round = 0; round < 150; ++round) {
    const int n = 1 + static_cast<int>(rng.below(3)), m = static_cast<int>(rng.below(3));
    QpCase c(n, m);  // no solution chosen: feasibility is open
    Eigen::MatrixXd b = Eigen::MatrixXd::NullaryExpr(n, n, [&] { return rng.normal(); });
    const Eigen::MatrixXd h = b.transpose() * b + 0.1 * Eigen::MatrixXd::Identity(n, n);
    for (int j = 0; j < n; ++j) {
      const auto at = static_cast<std::size_t>(j);
      for (int k = 0; k < n; ++k) c.hessian(j, k) = h(j, k);
      c.gradient[at] = 3 * rng.normal();
      c.lower[at] = -rng.uniform();
      c.upper[at] = rng.uniform();
    }
    for (int i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i);
      for (int j = 0; j < n; ++j) c.rows(i, j) = rng.normal();
      c.row_lower[at] = rng.normal();
      c.row_upper[at] = c.row_lower[at] + rng.uniform(0.01, 1);
      if (rng.uniform() < 0.5) c.l1[at] = rng.uniform(0.1, 3), c.l2[at] = rng.uniform(0, 1);
    }
    const double best = brute_force(c);
    const QpResult& r = solver.solve(c.problem());
    if (best == kInf) {
      ++infeasible;
      EXPECT_EQ(r.status, QpStatus::infeasible) << "round " << round;
      EXPECT_FALSE(r.violated.empty());
    } else {
      ASSERT_EQ(r.status, QpStatus::optimal) << "round " << round;
      EXPECT_NEAR(r.objective, best, 1e-6 * (1 + std::abs(best))) << "round " << round;
    }
  }
  EXPECT_GT(infeasible, 5);
  EXPECT_LT(infeasible, 100);
}

TEST(Qp, UnitsDoNotMatter) {
  Rng rng(14);
  QpSolver solver(12, 16);
  for (int round = 0; round < 300; ++round) {
    QpCase c = known_case(rng, 12, 16, 14);
    const double cost = std::pow(10, rng.uniform(-6, 6));
    std::vector<double> unit(12), row(16);
    for (double& u : unit) u = std::pow(10, rng.uniform(-3, 3));
    const double common = std::pow(10, rng.uniform(-3, 3));
    for (double& u : unit) u *= common;
    for (double& u : row) u = std::pow(10, rng.uniform(-6, 6));
    const double objective = c.objective(c.x) * cost;
    for (int j = 0; j < 12; ++j) {  // x_j is now measured in another unit
      const auto at = static_cast<std::size_t>(j);
      c.x[at] *= unit[at];
      c.lower[at] *= unit[at];
      c.upper[at] *= unit[at];
      c.gradient[at] *= cost / unit[at];
      for (int k = 0; k < 12; ++k) c.hessian(j, k) *= cost / (unit[at] * unit[static_cast<std::size_t>(k)]);
    }
    for (int i = 0; i < 16; ++i) {
      const auto at = static_cast<std::size_t>(i);
      for (int j = 0; j < 12; ++j) c.rows(i, j) *= row[at] / unit[static_cast<std::size_t>(j)];
      c.row_lower[at] *= row[at];
      c.row_upper[at] *= row[at];
      c.l1[at] *= cost / row[at];
      c.l2[at] *= cost / (row[at] * row[at]);
    }
    const QpResult& r = solver.solve(c.problem());
    ASSERT_EQ(r.status, QpStatus::optimal) << "round " << round << ' ' << r.residual.primal << ' '
                                           << r.residual.dual << ' ' << r.residual.complementarity;
    EXPECT_NEAR(r.objective / cost, objective / cost, 1e-5 * (1 + std::abs(objective / cost)));
  }
}

TEST(Qp, DuplicateAndDependentRowsAreHarmless) {
  Rng rng(15);
  QpSolver solver(10, 40);
  for (int round = 0; round < 200; ++round) {
    const QpCase c = known_case(rng, 10, 10, 12);
    QpCase d(10, 40);
    d.hessian = c.hessian;
    d.gradient = c.gradient;
    d.lower = c.lower;
    d.upper = c.upper;
    d.x = c.x;
    for (int i = 0; i < 40; ++i) {  // each row four times, at four scales; soft weights shared out
      const auto at = static_cast<std::size_t>(i), from = static_cast<std::size_t>(i % 10);
      const double scale = i < 10 ? 1 : std::pow(10, i / 10 - 2);
      for (int j = 0; j < 10; ++j) d.rows(i, j) = scale * c.rows(i % 10, j);
      d.row_lower[at] = scale * c.row_lower[from];
      d.row_upper[at] = scale * c.row_upper[from];
      d.l1[at] = c.l1[from] / scale / 4;
      d.l2[at] = c.l2[from] / scale / scale / 4;
    }
    const QpResult& r = solver.solve(d.problem());
    ASSERT_EQ(r.status, QpStatus::optimal) << "round " << round << ' ' << r.residual.primal << ' '
                                           << r.residual.dual << ' ' << r.residual.complementarity;
    EXPECT_NEAR(r.objective, c.objective(c.x), 1e-6 * (1 + std::abs(c.objective(c.x))));
  }
}

TEST(Qp, SlackIsZeroWheneverTheRowsCanHoldAndTheWeightIsLarge) {
  Rng rng(16);
  QpSolver solver(15, 20, {.max_iterations = 50, .tolerance = 1e-9});
  for (int round = 0; round < 300; ++round) {
    QpCase c = known_case(rng, 15, 20, 17);
    for (double& w : c.l1) w = kInf;
    for (int i = 0; i < 20; ++i) {  // make the chosen point feasible for all rows
      const auto at = static_cast<std::size_t>(i);
      c.row_lower[at] = std::min(c.row_lower[at], c.row_value(i, c.x));
      c.row_upper[at] = std::max(c.row_upper[at], c.row_value(i, c.x));
    }
    const QpResult hard = solver.solve(c.problem());
    ASSERT_EQ(hard.status, QpStatus::optimal);
    double largest = 0;
    for (double y : hard.y) largest = std::max(largest, std::abs(y));
    for (double& w : c.l1) w = 2 * largest + 1;  // the exactness condition: weight above every multiplier
    const QpResult& soft = solver.solve(c.problem());
    ASSERT_EQ(soft.status, QpStatus::optimal);
    for (double s : soft.slack) EXPECT_EQ(s, 0.0) << "round " << round;
    // A gap of 1e-9 leaves x free by about its root where the curvature is weak.
    EXPECT_LE(largest_difference(soft.x, hard.x), 1e-3);
    EXPECT_NEAR(soft.objective, hard.objective, 1e-6 * (1 + std::abs(hard.objective)));
  }
}

TEST(Qp, FarViolatedRowsWithHugeWeightsDoNotStall) {
  // As a controller meets them: step responses, all limits broken beyond reach, weights 1e3..1e5 times the
  // gradient, a tight box, rate rows.
  Rng rng(22);
  QpSolver solver(12, 58, {.method = QpMethod::interior_point}), automatic(12, 58);
  int iterations = 0;
  for (int round = 0; round < 500; ++round) {
    QpCase c(12, 58);
    Eigen::MatrixXd b = Eigen::MatrixXd::NullaryExpr(12, 12, [&] { return rng.normal(); });
    const Eigen::MatrixXd h = std::pow(10, rng.uniform(2, 7)) * b.transpose() * b / 12;
    for (int j = 0; j < 12; ++j) {
      const auto at = static_cast<std::size_t>(j);
      for (int k = 0; k < 12; ++k) c.hessian(j, k) = h(j, k);
      c.gradient[at] = 100 * rng.normal();
      c.lower[at] = rng.uniform() < 0.2 ? 0 : -rng.uniform(0.01, 0.3);
      c.upper[at] = rng.uniform() < 0.2 ? 0 : rng.uniform(0.01, 0.3);
    }
    const double gain = rng.uniform(-2, 2), other = rng.uniform(-2, 2), lag = rng.uniform(0.1, 0.9);
    for (int i = 0; i < 48; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const int t = i % 24;
      for (int j = 0; j < 12; ++j)
        if (j / 2 * 4 <= t)
          c.rows(i, j) =
              (j % 2 ? gain : other) * (i < 24 ? 1 : -0.6) * (1 - std::pow(lag, t + 1 - j / 2 * 4));
      c.row_upper[at] = rng.uniform() < 0.5 ? -rng.uniform(0, 1.5) : rng.uniform(0, 0.2);
      c.l1[at] = i < 24 ? 1e5 : 1e3;
      c.l2[at] = 1e-3 * c.l1[at];
    }
    for (int i = 48; i < 58; ++i) {
      const auto at = static_cast<std::size_t>(i);
      c.rows(i, i - 46) = 1;
      c.rows(i, i - 48) = -1;
      c.row_lower[at] = -rng.uniform(0, 0.1);
      c.row_upper[at] = rng.uniform(0, 0.1);
    }
    const QpResult& r = solver.solve(c.problem());
    iterations += r.iterations;
    ASSERT_EQ(r.status, QpStatus::optimal) << "round " << round << ' ' << r.residual.primal << ' '
                                           << r.residual.dual << ' ' << r.residual.complementarity;
    ASSERT_EQ(automatic.solve(c.problem()).status, QpStatus::optimal) << "round " << round;
  }
  EXPECT_LT(iterations, 25 * 500);
}

TEST(Qp, InfeasibleNamesTheRowsThatConflict) {
  QpCase c(2, 3);
  c.hessian(0, 0) = c.hessian(1, 1) = 1;
  c.lower = {-10, -10};
  c.upper = {10, 10};
  c.rows(0, 0) = 1;
  c.rows(1, 0) = 1;
  c.rows(2, 1) = 1;
  c.row_lower = {3, -kInf, 1};  // x0 >= 3 and x0 <= 1 cannot both hold; x1 >= 1 can
  c.row_upper = {kInf, 1, kInf};
  QpSolver solver(2, 3);
  const QpResult& r = solver.solve(c.problem());
  ASSERT_EQ(r.status, QpStatus::infeasible);
  ASSERT_FALSE(r.violated.empty());
  double total = 0;
  for (const QpViolation& v : r.violated) {
    EXPECT_NE(v.row, 2);
    total += v.amount;
  }
  EXPECT_NEAR(total, 2, 1e-5);
}

TEST(Qp, CrossedBoundsAreInfeasibleAndNamed) {
  QpCase c(2, 1);
  c.hessian(0, 0) = c.hessian(1, 1) = 1;
  c.rows(0, 0) = 1;
  c.lower = {0, 2};
  c.upper = {1, 1};
  QpSolver solver(2, 1);
  const QpResult& r = solver.solve(c.problem());
  ASSERT_EQ(r.status, QpStatus::infeasible);
  ASSERT_EQ(r.violated.size(), 1u);
  EXPECT_EQ(r.violated[0].row, 1 + 1);  // m + j
  EXPECT_EQ(r.violated[0].amount, 1);
}

TEST(Qp, FixedVariablesStayFixed) {
  Rng rng(17);
  QpSolver solver(8, 6);
  for (int round = 0; round < 100; ++round) {
    QpCase c = known_case(rng, 8, 6, 8);
    for (int j = 0; j < 3; ++j)
      c.lower[static_cast<std::size_t>(j)] = c.upper[static_cast<std::size_t>(j)] =
          c.x[static_cast<std::size_t>(j)];
    const QpResult& r = solver.solve(c.problem());
    ASSERT_EQ(r.status, QpStatus::optimal);
    for (std::size_t j = 0; j < 3; ++j) EXPECT_EQ(r.x[j], c.x[j]);
    EXPECT_NEAR(r.objective, c.objective(c.x), 1e-6 * (1 + std::abs(c.objective(c.x))));
  }
}

TEST(Qp, NanInAnyInputIsInvalidAndLeavesNoTrace) {
  Rng rng(18);
  const QpCase good = known_case(rng, 5, 4, 6);
  QpSolver solver(5, 4);
  const QpResult before = solver.solve(good.problem());
  const auto invalid = [&](auto change) {
    QpCase bad = good;
    change(bad);
    EXPECT_EQ(solver.solve(bad.problem()).status, QpStatus::invalid);
    for (double v : solver.solve(bad.problem()).x) EXPECT_EQ(v, 0.0);
  };
  invalid([](QpCase& c) { c.hessian(1, 2) = kMissing; });
  invalid([](QpCase& c) { c.hessian(1, 1) = kInf; });
  invalid([](QpCase& c) { c.gradient[0] = kMissing; });
  invalid([](QpCase& c) { c.rows(3, 4) = kMissing; });
  invalid([](QpCase& c) { c.lower[2] = kMissing; });
  invalid([](QpCase& c) { c.upper[2] = -kInf; });
  invalid([](QpCase& c) { c.row_lower[2] = kInf; });
  invalid([](QpCase& c) { c.row_upper[2] = kMissing; });
  invalid([](QpCase& c) { c.l1[0] = 0; });
  invalid([](QpCase& c) { c.l2[0] = kMissing; });
  const QpResult& after = solver.solve(good.problem());
  EXPECT_EQ(after.x, before.x);  // bit for bit: no state survives a bad instance
  EXPECT_EQ(after.status, QpStatus::optimal);
}

TEST(Qp, NegativeCurvatureIsRefused) {
  QpCase c(2, 0);
  c.hessian(0, 0) = 1;
  c.hessian(1, 1) = -1;
  c.lower = {-1, -1};
  c.upper = {1, 1};
  QpSolver solver(2, 0);
  EXPECT_EQ(solver.solve(c.problem()).status, QpStatus::not_convex);
}

TEST(Qp, UnboundedIsNeverCalledOptimal) {
  QpCase c(2, 0);
  c.hessian(0, 0) = 1;
  c.gradient = {0, 1};
  QpSolver solver(2, 0);
  EXPECT_NE(solver.solve(c.problem()).status, QpStatus::optimal);
}

TEST(Qp, WrongShapesThrow) {
  const QpCase c(3, 2);
  QpSolver solver(3, 2), small(2, 2), few(3, 1);
  EXPECT_THROW(small.solve(c.problem()), ShapeError);
  EXPECT_THROW(few.solve(c.problem()), ShapeError);
  const std::vector<double> two(2), four(4);
  const auto refused = [&](auto change) {
    QpProblem p = c.problem();
    change(p);
    EXPECT_THROW(solver.solve(p), ShapeError);
  };
  refused([&](QpProblem& p) { p.gradient = two; });
  refused([&](QpProblem& p) { p.lower = two; });
  refused([&](QpProblem& p) { p.upper = four; });
  refused([&](QpProblem& p) { p.row_lower = four; });
  refused([&](QpProblem& p) { p.row_upper = {}; });
  refused([&](QpProblem& p) { p.l1 = four; });
  refused([&](QpProblem& p) { p.l2 = four; });
  refused([&](QpProblem& p) { p.hessian.cols = 2; });
  refused([&](QpProblem& p) { p.rows.cols = 2; });
  EXPECT_THROW(QpSolver(0, 1), InputError);
}

TEST(Qp, StopIsHonoured) {
  Rng rng(19);
  const QpCase c = known_case(rng, 20, 20, 22);
  QpSolver solver(20, 20, {.method = QpMethod::interior_point});
  int asked = 0;
  const std::function<bool()> stop = [&] { return ++asked == 3; };
  const QpResult& r = solver.solve(c.problem(), &stop);
  EXPECT_EQ(r.status, QpStatus::stopped);
  EXPECT_EQ(r.iterations, 2);
}

TEST(Qp, SolveDoesNotAllocate) {
  Rng rng(20);
  QpSolver solver(30, 50);
  std::vector<QpCase> cases;
  for (int k = 0; k < 6; ++k) cases.push_back(known_case(rng, 5 * (k + 1), 8 * k, 5 * (k + 1)));
  cases.push_back(cases.back());
  cases.back().row_lower[0] = 50;  // infeasible: the elastic run and the list of rows
  cases.back().row_upper[0] = 51;
  cases.back().l1[0] = kInf;
  QpCase stages(30, 12);  // half of the variables are determined by equalities: taken out first
  for (Index j = 0; j < 30; ++j) stages.hessian(j, j) = 1, stages.gradient[static_cast<std::size_t>(j)] = 1;
  for (Index i = 0; i < 12; ++i) {
    stages.rows(i, i) = -1;
    stages.rows(i, 12 + i) = 0.5;
    stages.row_lower[static_cast<std::size_t>(i)] = stages.row_upper[static_cast<std::size_t>(i)] = 1;
  }
  cases.push_back(stages);
  QpCase bounded(30, 12);  // a start of which most is held as equalities
  for (Index j = 0; j < 30; ++j) {
    const auto at = static_cast<std::size_t>(j);
    bounded.hessian(j, j) = 1;
    bounded.gradient[at] = j < 25 ? 3 : 0.5;
    bounded.lower[at] = -1;
  }
  cases.insert(cases.begin(), bounded);
  QpSolver interior(30, 50, {.method = QpMethod::interior_point});
  std::vector<double> y, z;
  y.reserve(50);
  z.reserve(30);
  long before = allocations;
  for (const QpCase& c : cases) {
    interior.solve(c.problem());
    const QpResult& r = solver.solve(c.problem());
    y.assign(r.y.begin(), r.y.end());
    z.assign(r.z.begin(), r.z.end());
    solver.solve_from(c.problem(), y, z);
    solver.feedback(c.problem());
    solver.prepare(c.problem());
    solver.feedback(c.problem());
    solver.feedback(c.problem(), y, z);
  }
  EXPECT_EQ(allocations, before);
  cases.pop_back();
  EXPECT_EQ(solver.solve(cases.back().problem()).status, QpStatus::infeasible);
}

TEST(Wide, SolveDoesNotAllocate) {
  Rng rng(22);
  WideSolver solver({30, 20, 100, 300, 2});
  std::vector<WideCase> cases;
  for (int k = 0; k < 8; ++k) cases.push_back(known_wide(rng, 6 + 3 * k, k));
  cases.back().row_lower[0] = 1e3;  // beyond what its bounds allow, perhaps: nobody allocates for that either
  cases.back().row_upper[0] = 2e3;
  const long before = allocations;
  for (const WideCase& c : cases) solver.solve(c.problem());
  EXPECT_EQ(allocations, before);
}

TEST(QpResidual, SeesEveryKindOfWrongAnswer) {
  Rng rng(21);
  const QpCase c = known_case(rng, 6, 5, 8);
  QpSolver solver(6, 5);
  const QpResult good = solver.solve(c.problem());
  ASSERT_LE(qp_residual(c.problem(), good.x, good.y, good.z).worst(), 1e-8);
  const auto seen = [&](auto change) {
    QpResult bad = good;
    change(bad);
    EXPECT_GT(qp_residual(c.problem(), bad.x, bad.y, bad.z).worst(), 1e-6);
  };
  for (std::size_t j = 0; j < 6; ++j) {
    seen([&](QpResult& r) { r.x[j] += 1e-3; });
    seen([&](QpResult& r) { r.z[j] += 1e-3; });
    seen([&](QpResult& r) { r.x[j] = kMissing; });
  }
  for (std::size_t i = 0; i < 5; ++i) {
    seen([&](QpResult& r) { r.y[i] += 1e-3; });
    seen([&](QpResult& r) { r.y[i] = kMissing; });
  }
}

}  // namespace
}  // namespace emisopt
