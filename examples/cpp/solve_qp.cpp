// A quadratic program from C++ alone: two limits on three setpoints, one of them soft, sample after sample.
#include <cstdio>
#include <vector>

#include "emisopt/qp/qp.hpp"

int main() {
  using namespace emisopt;
  Matrix h(3, 3), rows(2, 3);
  for (Index j = 0; j < 3; ++j) h(j, j) = 1;
  rows.values = {1, 1, 1,    // load: at least 1.5, must hold
                 2, 0, -1};  // NOx above its limit costs 5 per unit
  std::vector<double> gradient{-0.2, 0.1, 0.3}, lower(3, 0.0), upper(3, 1.0);
  std::vector<double> row_lower{1.5, -HUGE_VAL}, row_upper{HUGE_VAL, 0.2}, l1{HUGE_VAL, 5}, l2{0, 0};
  const QpProblem problem{h.view(), gradient, lower, upper, rows.view(), row_lower, row_upper, l1, l2};

  QpSolver solver(3, 2);    // all memory is taken here
  solver.prepare(problem);  // what can be done before the sample comes
  for (int sample = 0; sample < 3; ++sample) {
    row_upper[1] = 0.2 - 0.4 * sample;
    const QpResult& r = solver.feedback(problem);
    std::printf("%s: x %.3f %.3f %.3f, slack %.3f, price of load %.3f\n", to_string(r.status), r.x[0], r.x[1],
                r.x[2], r.slack[1], -r.y[0]);
  }
  row_lower[0] = 4;  // more load than the bounds allow
  const QpResult& r = solver.solve(problem);
  std::printf("%s:", to_string(r.status));
  for (const QpViolation& v : r.violated) std::printf(" constraint %d off by %.2f", v.row, v.amount);
  std::printf("\n");
}
