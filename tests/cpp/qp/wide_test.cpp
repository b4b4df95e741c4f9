#include "emisopt/qp/wide.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "qp/wide_cases.hpp"

namespace emisopt {
namespace {

TEST(Wide, FindsChosenSolutions) {
  Rng rng(5);
  WideSolver solver({60, 40, 200, 400, 2}, {.tolerance = 1e-9});
  for (int round = 0; round < 400; ++round) {
    const WideCase c = known_wide(rng, 4 + static_cast<int>(rng.below(57)), static_cast<int>(rng.below(15)));
    const WideProblem p = c.problem();
    const QpResult& r = solver.solve(p);
    ASSERT_EQ(r.status, QpStatus::optimal) << "round " << round;
    double worst = 0;  // T has a curvature of 0.01 at least: the solution is unique
    for (std::size_t j = 0; j < c.x.size(); ++j) worst = std::max(worst, std::abs(r.x[j] - c.x[j]));
    EXPECT_LT(worst, 1e-2) << "round " << round;
    const DenseCopy dense = to_dense(p);
    EXPECT_LE(qp_residual(dense.problem, r.x, r.y, r.z).worst(), 1e-9) << "round " << round;
  }
}

// Many variables, causal outputs, a slack that rows share, rates: the shape that it is made for.
WideCase large(int n, int p) {
  Rng rng(6);
  WideCase c;
  c.band = Matrix(n + 1, 9);
  for (int j = 0; j < n; ++j) {
    c.band(j, 0) = j >= 8 && j < n - 8 ? 0.2 : 0.1;
    c.band(j, 0) += 1e-3;
    if (j >= 8) c.band(j, 8) = -0.1;
  }
  c.band(n, 0) = 1;
  c.outputs = Matrix(p, n + 1);
  for (int k = 0; k < p; ++k) {
    for (int j = 0; j * p < (k + 1) * n && j < n; ++j)
      c.outputs(k, j) = rng.normal() * std::exp(-4.0 * (k / double(p) - j / double(n))) / std::sqrt(n / 8.0);
    c.weight.push_back(1);
    c.add_row(k, {{n, -1.0}});
    c.row_lower.push_back(-kInf);
    c.row_upper.push_back(rng.uniform(-0.3, 1));
  }
  for (int j = 8; j < n; ++j) {
    c.add_row(-1, {{j - 8, -1.0}, {j, 1.0}});
    c.row_lower.push_back(-0.1);
    c.row_upper.push_back(0.1);
  }
  c.l1.assign(c.row_output.size(), kInf);
  c.l2.assign(c.row_output.size(), 0.0);
  for (int j = 0; j <= n; ++j) {
    c.gradient.push_back(j < n ? rng.normal() : 100);
    c.lower.push_back(0);
    c.upper.push_back(j < n ? 1 : kInf);
  }
  return c;
}

TEST(Wide, ManyVariablesToTheLastDigits) {
  const WideCase c = large(320, 60);
  const WideProblem p = c.problem();
  WideSolver solver(c.size(), {.tolerance = 1e-11});
  const QpResult& r = solver.solve(p);
  ASSERT_EQ(r.status, QpStatus::optimal);
  EXPECT_LT(r.iterations, 30);
  QpSolver dense(321, static_cast<int>(p.rows()));
  const DenseCopy same = to_dense(p);
  const QpResult& other = dense.solve(same.problem);
  ASSERT_EQ(other.status, QpStatus::optimal);
  EXPECT_NEAR(r.objective, other.objective, 1e-8 * std::abs(other.objective));
  const std::vector<double> first = r.x;
  EXPECT_EQ(first, solver.solve(p).x);  // bit for bit: nothing of earlier calls is used
}

TEST(Wide, RowsThatContradictEachOtherAreNamed) {
  Rng rng(7);
  int proved = 0;
  for (int round = 0; round < 50; ++round) {
    WideCase c = known_wide(rng, 10, 3);
    for (const double side : {-1.0, 1.0}) {
      c.add_row(1, {});
      c.row_lower.push_back(side < 0 ? -kInf : 1);
      c.row_upper.push_back(side < 0 ? 0 : kInf);
      c.l1.push_back(kInf);
      c.l2.push_back(0);
    }
    WideSolver solver(c.size());
    const WideProblem p = c.problem();
    const QpResult& r = solver.solve(p);
    EXPECT_NE(r.status, QpStatus::optimal);
    if (r.status != QpStatus::infeasible) continue;
    ++proved;
    ASSERT_FALSE(r.violated.empty());
    std::vector<double> y = r.y, z = r.z, memory(20);
    EXPECT_TRUE(proves_infeasible(p, y, z, memory));
    for (double& v : y) v = -v;
    EXPECT_FALSE(proves_infeasible(p, y, z, memory));
  }
  EXPECT_GT(proved, 45);
  WideCase c = known_wide(rng, 10, 3);
  c.lower[0] = 1;
  c.upper[0] = 0;
  WideSolver solver(c.size());
  const QpResult& r = solver.solve(c.problem());
  ASSERT_EQ(r.status, QpStatus::infeasible);
  ASSERT_EQ(r.violated.size(), 1u);
  EXPECT_EQ(r.violated[0].row, static_cast<int>(c.row_output.size()));
  EXPECT_EQ(r.violated[0].amount, 1);
}

TEST(Wide, RandomAndAdversarialCases) {
  const FuzzCount r = fuzz_wide(8, 3000);
  EXPECT_EQ(r.false_optimal, 0);
  EXPECT_EQ(r.false_infeasible, 0);
  EXPECT_EQ(r.slow, 0);
  EXPECT_GT(r.optimal, 1900);
}

TEST(Wide, StopsWhenAsked) {
  const WideCase c = large(40, 10);
  WideSolver solver(c.size());
  int asked = 0;
  const std::function<bool()> stop = [&] { return ++asked > 2; };
  EXPECT_EQ(solver.solve(c.problem(), &stop).status, QpStatus::stopped);
}

TEST(Wide, ABadStatementIsRefused) {
  const WideCase good = large(40, 10);
  WideSolver solver(good.size());
  const auto refused = [&](auto&& change) {
    WideCase c = good;
    WideProblem p = c.problem();
    change(c, p);
    EXPECT_THROW(solver.solve(p), ShapeError);
  };
  refused([](WideCase&, WideProblem& p) { p.band = ConstView(p.band.data, 0, 9); });
  refused([](WideCase&, WideProblem& p) { p.gradient = p.gradient.subspan(1); });
  refused([](WideCase&, WideProblem& p) { p.lower = p.lower.subspan(1); });
  refused([](WideCase&, WideProblem& p) { p.row_upper = p.row_upper.subspan(1); });
  refused([](WideCase&, WideProblem& p) { p.row_start = p.row_start.subspan(1); });
  refused([](WideCase&, WideProblem& p) { p.row_value = p.row_value.subspan(1); });
  refused([](WideCase&, WideProblem& p) { p.output_weight = p.output_weight.subspan(1); });
  refused([](WideCase&, WideProblem& p) { p.outputs.cols -= 1; });
  refused([](WideCase& c, WideProblem&) { c.row_column[0] = 41; });
  refused([](WideCase& c, WideProblem&) { c.row_output[0] = 10; });
  refused([](WideCase& c, WideProblem&) { c.row_start[1] = -1; });
  refused([](WideCase& c, WideProblem&) { c.row_start[3] = 1; });
  EXPECT_THROW(WideSolver({.variables = 0}), InputError);
  EXPECT_THROW(WideSolver({.variables = 3}, {.tolerance = 0}), InputError);
  WideSolver small({.variables = 40, .outputs = 10, .rows = 100, .entries = 200, .band = 8});
  EXPECT_THROW(small.solve(good.problem()), ShapeError);
}

TEST(Wide, NoRoomForTheFactorIsSaid) {
  WideCase c = large(40, 10);
  WideSize room = c.size();
  room.outputs = 9;
  WideSolver solver(room);
  EXPECT_THROW(solver.solve(c.problem()), ShapeError);
  room.outputs = 10;  // and a second row about an output makes one more
  c.add_row(2, {});
  c.row_lower.push_back(-5);
  c.row_upper.push_back(5);
  c.l1.push_back(kInf);
  c.l2.push_back(0);
  room.rows += 1;
  WideSolver full(room);
  EXPECT_EQ(full.solve(c.problem()).status, QpStatus::numeric);
}

}  // namespace
}  // namespace emisopt
