#include "emisopt/qp/reduction.hpp"

#include <gtest/gtest.h>

#include "emisopt/qp/qp.hpp"
#include "qp/qp_cases.hpp"

namespace emisopt {
namespace {

// Stages of x+ = A x + B u with costs on both, inputs in a box, one more row per stage; variables are all
// states, then all inputs.
QpCase stages(Rng& rng, int count, bool backwards) {
  constexpr int kStates = 4, kInputs = 3;
  const int states = count * kStates, n = states + count * kInputs, m = states + count;
  QpCase c(n, m);
  Matrix a(kStates, kStates), b(kStates, kInputs);
  for (double& v : a.values) v = 0.3 * rng.normal();
  for (double& v : b.values) v = rng.normal();
  for (int j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    c.hessian(j, j) = j < states ? rng.uniform(0, 2) : 0.1;
    c.gradient[at] = rng.normal();
    if (j >= states) c.lower[at] = -0.5, c.upper[at] = 0.5;
  }
  c.hessian(0, 1) = c.hessian(1, 0) = 0.05;            // states coupled
  c.hessian(2, states) = c.hessian(states, 2) = 0.05;  // a state with an input
  c.hessian(0, 0) = c.hessian(1, 1) = c.hessian(2, 2) = 1;
  for (int k = 0; k < count; ++k)
    for (int s = 0; s < kStates; ++s) {
      const int natural = k * kStates + s, row = backwards ? states - 1 - natural : natural;
      const auto at = static_cast<std::size_t>(row);
      c.rows(row, k * kStates + s) = -1;
      for (int t = 0; t < kStates && k > 0; ++t) c.rows(row, (k - 1) * kStates + t) = a(s, t);
      for (int t = 0; t < kInputs; ++t) c.rows(row, states + k * kInputs + t) = b(s, t);
      c.row_lower[at] = c.row_upper[at] = k == 0 ? 1 : 0;
    }
  for (int k = 0; k < count; ++k) {
    const auto at = static_cast<std::size_t>(states + k);
    c.rows(states + k, states + k * kInputs) = 1;
    c.rows(states + k, k * kStates) = 0.5;
    c.row_upper[at] = 0.6;
    c.l1[at] = 10;
  }
  return c;
}

TEST(Reduction, StateEquationsGoInEitherOrder) {
  Rng rng(41);
  QpSolver solver(140, 100), plain(140, 100, {.method = QpMethod::interior_point});
  for (const bool backwards : {false, true})
    for (int round = 0; round < 10; ++round) {
      const QpCase c = stages(rng, 20, backwards);
      detail::Reduction reduction(140, 100);
      ASSERT_TRUE(reduction.worthwhile(c.problem()));
      const QpProblem smaller = reduction.reduce(c.problem());
      EXPECT_EQ(smaller.hessian.rows, 60);  // the inputs
      EXPECT_EQ(smaller.rows.rows, 20);
      const QpResult& r = solver.solve(c.problem());
      ASSERT_EQ(r.status, QpStatus::optimal) << backwards << ' ' << round;
      EXPECT_LE(qp_residual(c.problem(), r.x, r.y, r.z).worst(), 1e-8);
      EXPECT_NEAR(r.objective, c.objective(r.x), 1e-9 * (1 + std::abs(r.objective)));
      const QpResult& whole = plain.solve(c.problem());
      ASSERT_EQ(whole.status, QpStatus::optimal);
      EXPECT_NEAR(r.objective, whole.objective, 1e-6 * (1 + std::abs(r.objective)));
    }
}

// Inputs that cost nothing and are more than the states: the condensed H is singular, and limits bind.
TEST(Reduction, InputsThatCostNothing) {
  Rng rng(44);
  QpSolver solver(160, 120, {.tolerance = 1e-9}), plain(160, 120, {.method = QpMethod::interior_point});
  int dual = 0;
  for (int round = 0; round < 20; ++round) {
    constexpr int kStages = 16, kStates = 3, kInputs = 6, kN = kStages * (kStates + kInputs);
    QpCase c(kN, kStages * kStates + kStages);
    for (int j = 0; j < kN; ++j) {
      const auto at = static_cast<std::size_t>(j);
      c.hessian(j, j) = j < kStages * kStates ? rng.uniform(0.1, 10) : 0;
      if (j >= kStages * kStates) c.lower[at] = round % 2 ? 0 : -5, c.upper[at] = 5;
    }
    for (int i = 0; i < kStages * kStates; ++i) {
      const int k = i / kStates;
      c.rows(i, i) = -1;
      if (k > 0) c.rows(i, i - kStates) = 1;
      for (int t = 0; t < kInputs; ++t) c.rows(i, kStages * kStates + k * kInputs + t) = 0.1 * rng.normal();
      c.row_lower[static_cast<std::size_t>(i)] = c.row_upper[static_cast<std::size_t>(i)] =
          k == 0 ? -3 * rng.normal() : 0.02;
    }
    for (int k = 0; k < kStages; ++k) {  // friction
      c.rows(kStages * kStates + k, kStages * kStates + k * kInputs) = 1;
      c.rows(kStages * kStates + k, kStages * kStates + k * kInputs + 1) = -0.5;
      c.row_upper[static_cast<std::size_t>(kStages * kStates + k)] = 0;
    }
    const QpResult& r = solver.solve(c.problem());
    ASSERT_EQ(r.status, QpStatus::optimal) << round;
    EXPECT_LE(qp_residual(c.problem(), r.x, r.y, r.z).worst(), 1e-9) << round;
    dual += r.method == QpMethod::active_set;
    const QpResult& other = plain.solve(c.problem());
    ASSERT_EQ(other.status, QpStatus::optimal) << round;
    EXPECT_NEAR(r.objective, other.objective, 1e-6 * (1 + std::abs(other.objective))) << round;
  }
  EXPECT_GT(dual, 10);
}

TEST(Reduction, FixedVariablesGoAndGetTheirMultipliersBack) {
  Rng rng(42);
  QpSolver solver(40, 10);
  for (int round = 0; round < 50; ++round) {
    QpCase c = known_case(rng, 40, 10, 44);
    for (int j = 0; j < 12; ++j)
      c.lower[static_cast<std::size_t>(j)] = c.upper[static_cast<std::size_t>(j)] =
          c.x[static_cast<std::size_t>(j)];
    detail::Reduction reduction(40, 10);
    ASSERT_TRUE(reduction.worthwhile(c.problem()));
    EXPECT_LE(reduction.reduce(c.problem()).hessian.rows, 28);
    const QpResult& r = solver.solve(c.problem());
    ASSERT_EQ(r.status, QpStatus::optimal);
    for (std::size_t j = 0; j < 12; ++j) EXPECT_EQ(r.x[j], c.x[j]);
    EXPECT_LE(qp_residual(c.problem(), r.x, r.y, r.z).worst(), 1e-8);
    EXPECT_NEAR(r.objective, c.objective(c.x), 1e-6 * (1 + std::abs(c.objective(c.x))));
  }
}

TEST(Reduction, LeavesProblemsAloneThatHaveLittleToTakeOut) {
  Rng rng(43);
  QpCase small = known_case(rng, 10, 4, 12);
  for (std::size_t j = 0; j < 5; ++j) small.lower[j] = small.upper[j] = small.x[j];
  EXPECT_FALSE(detail::Reduction(10, 4).worthwhile(small.problem()));
  const QpCase free = known_case(rng, 40, 0, 44);
  EXPECT_FALSE(detail::Reduction(40, 1).worthwhile(free.problem()));
}

TEST(Reduction, EqualitiesThatCannotHoldAreStillInfeasible) {
  Rng rng(44);
  QpCase c = stages(rng, 20, false);
  QpSolver solver(140, 101);
  QpCase d(140, 101);
  d.hessian = c.hessian;
  d.gradient = c.gradient;
  d.lower = c.lower;
  d.upper = c.upper;
  for (int i = 0; i < 101; ++i) {
    const auto at = static_cast<std::size_t>(i), from = static_cast<std::size_t>(i % 100);
    for (int j = 0; j < 140; ++j) d.rows(i, j) = c.rows(i % 100, j);
    d.row_lower[at] = c.row_lower[from];
    d.row_upper[at] = c.row_upper[from];
    d.l1[at] = c.l1[from];
  }
  d.row_lower[100] = d.row_upper[100] = 3;  // row 0 said 1
  EXPECT_EQ(solver.solve(d.problem()).status, QpStatus::infeasible);
}

}  // namespace
}  // namespace emisopt
