#include <gtest/gtest.h>

#include "qp/wide_cases.hpp"

namespace emisopt {
namespace {

// wide_residual is the judge of wide answers: never milder than the dense one, on any answer.
TEST(WideResidual, IsNeverBelowTheDenseOne) {
  Rng rng(3);
  WideSolver solver({16, 32, 64, 256, 2});
  int near = 0;
  for (int round = 0; round < 6000; ++round) {
    const WideFuzzCase f = wide_fuzz_case(rng);
    if (f.truth == Truth::invalid) continue;
    const WideProblem p = f.c.problem();
    const QpResult& r = solver.solve(p);
    std::vector<double> x = r.x, y = r.y, z = r.z;
    const double wrong = round % 3 == 0 ? 0 : std::pow(10, rng.uniform(-12, 0));
    for (auto* v : {&x, &y, &z})
      for (double& value : *v) value *= 1 + wrong * rng.normal();
    std::vector<double> memory(wide_residual_memory(p.variables(), p.rows(), p.outputs.rows));
    const QpResidual wide = wide_residual(p, x, y, z, memory);
    const QpResidual dense = qp_residual(to_dense(p).problem, x, y, z);
    near += wide.worst() <= 1e-8;
    const double slack = 1e-13;  // products in another order
    bool broken = false;  // soft rows: either reading of their violation stands, and the two may differ
    for (Index i = 0; i < p.rows(); ++i) broken |= std::isfinite(p.l1[static_cast<std::size_t>(i)]);
    if (broken) {
      EXPECT_GE(wide.worst() * (1 + static_cast<double>(p.rows())), dense.worst() - slack) << round;
      continue;
    }
    EXPECT_GE(wide.primal, dense.primal * (1 - 1e-9) - slack) << "round " << round;
    EXPECT_GE(wide.dual, dense.dual * (1 - 1e-9) - slack) << "round " << round;
    EXPECT_GE(wide.complementarity, dense.complementarity * (1 - 1e-9) - slack) << "round " << round;
  }
  EXPECT_GT(near, 300);
}

TEST(WideResidual, SeesNanAnywhere) {
  Rng rng(4);
  const WideCase c = known_wide(rng, 8, 3);
  const WideProblem p = c.problem();
  std::vector<double> memory(wide_residual_memory(p.variables(), p.rows(), p.outputs.rows));
  std::vector<double> y(static_cast<std::size_t>(p.rows()), 0.0), z(8, 0.0), x = c.x;
  x[3] = kMissing;
  EXPECT_EQ(wide_residual(p, x, y, z, memory).worst(), kInf);
  x = c.x;
  z[0] = kMissing;
  EXPECT_EQ(wide_residual(p, x, y, z, memory).worst(), kInf);
}

}  // namespace
}  // namespace emisopt
