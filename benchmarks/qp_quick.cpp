// How long a QP like the controller's takes: n moves of 6 setpoints, `limits` soft rows over the horizon
// (lower triangular in time), rate rows between neighbouring moves, bounds. Usage: qp_quick N LIMITS
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "emisopt/base/rng.hpp"
#include "emisopt/qp/qp.hpp"

int main(int argc, char** argv) {
  using namespace emisopt;
  constexpr int kSetpoints = 6;
  const int n = argc > 2 ? std::atoi(argv[1]) : 0, limits = argc > 2 ? std::atoi(argv[2]) : 0;
  if (n < 2 * kSetpoints || limits < 1) {
    std::fprintf(stderr, "usage: qp_quick N LIMITS, N of at least %d\n", 2 * kSetpoints);
    return 2;
  }
  const int steps = n / kSetpoints, rates = n - kSetpoints, m = limits + rates;
  Rng rng(3, 0);
  Matrix jacobian(limits, n), hessian(n, n), rows(m, n);
  for (int i = 0; i < limits; ++i)
    for (int k = 0; k < n; ++k) {
      const int ago = i * steps / limits - k / kSetpoints;
      jacobian(i, k) = ago >= 0 ? rng.normal() * std::exp(-0.1 * ago) : 0;
    }
  for (int i = 0; i < n; ++i)
    for (int k = 0; k < n; ++k) {
      double s = i == k ? 0.05 : 0;
      for (int l = 0; l < limits; ++l) s += jacobian(l, i) * jacobian(l, k) / limits;
      hessian(i, k) = s;
    }
  const auto count = static_cast<std::size_t>(n), row_count = static_cast<std::size_t>(m);
  std::vector<double> gradient(count), lower(count, -1), upper(count, 1), row_lower(row_count, -HUGE_VAL),
      row_upper(row_count, 0.3), l1(row_count, HUGE_VAL), l2(row_count, 0);
  for (double& v : gradient) v = rng.normal();
  for (int i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (i < limits) {
      std::copy_n(jacobian.row(i), n, rows.row(i));
      row_upper[at] = 0.5 + 0.3 * rng.normal();
      l1[at] = 100;
      l2[at] = 1;
    } else {
      rows(i, i - limits) = -1;
      rows(i, i - limits + kSetpoints) = 1;
      row_lower[at] = -0.3;
    }
  }
  const QpProblem problem{hessian.view(), gradient, lower, upper, rows.view(), row_lower, row_upper, l1, l2};
  QpSolver solver(n, m);
  std::vector<double> ms;
  for (int round = 0; round < 60; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const QpResult& result = solver.solve(problem);
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    if (round == 0)
      std::printf("n %d, rows %d: %s, %d iterations, residual %.1e, ", n, m, to_string(result.status),
                  result.iterations, result.residual.worst());
  }
  std::sort(ms.begin(), ms.end());
  std::printf("median %.3f ms, best %.3f ms\n", ms[ms.size() / 2], ms.front());
}
