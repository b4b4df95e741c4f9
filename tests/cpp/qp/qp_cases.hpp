// Random QPs whose solution is known because it was chosen first, and a solver by enumeration for tiny ones.
#pragma once
#include <Eigen/Dense>
#include <cmath>
#include <limits>

#include "emisopt/base/rng.hpp"
#include "emisopt/qp/qp.hpp"

namespace emisopt {

inline constexpr double kInf = std::numeric_limits<double>::infinity();

/// A problem that owns its data, with the solution when it is known.
struct QpCase {
  Matrix hessian, rows;
  std::vector<double> gradient, lower, upper, row_lower, row_upper, l1, l2;
  std::vector<double> x;  // (n) known solution

  QpCase(int n, int m)
      : hessian(n, n),
        rows(m, n),
        gradient(n),
        lower(n, -kInf),
        upper(n, kInf),
        row_lower(m, -kInf),
        row_upper(m, kInf),
        l1(m, kInf),
        l2(m, 0.0),
        x(n) {}
  int n() const { return static_cast<int>(hessian.rows); }
  int m() const { return static_cast<int>(rows.rows); }
  QpProblem problem() const {
    return {hessian.view(), gradient, lower, upper, rows.view(), row_lower, row_upper, l1, l2};
  }
  double row_value(int i, const std::vector<double>& at) const {
    double v = 0;
    for (int j = 0; j < n(); ++j) v += rows(i, j) * at[static_cast<std::size_t>(j)];
    return v;
  }
  double objective(const std::vector<double>& at) const {
    double f = 0;
    for (int i = 0; i < n(); ++i) {
      f += gradient[static_cast<std::size_t>(i)] * at[static_cast<std::size_t>(i)];
      for (int j = 0; j < n(); ++j)
        f += 0.5 * hessian(i, j) * at[static_cast<std::size_t>(i)] * at[static_cast<std::size_t>(j)];
    }
    for (int i = 0; i < m(); ++i) {
      const auto k = static_cast<std::size_t>(i);
      if (!std::isfinite(l1[k])) continue;
      const double v = row_value(i, at), s = std::max({0.0, row_lower[k] - v, v - row_upper[k]});
      f += l1[k] * s + 0.5 * l2[k] * s * s;
    }
    return f;
  }
};

/// H = B'B of the given rank, a chosen x and active set, and the gradient that makes it the solution.
inline QpCase known_case(Rng& rng, int n, int m, int rank) {
  QpCase c(n, m);
  Eigen::MatrixXd b = Eigen::MatrixXd::NullaryExpr(rank, n, [&] { return rng.normal(); });
  const Eigen::MatrixXd h = b.transpose() * b;
  std::vector<double> force(static_cast<std::size_t>(n));  // Hx + A'y + z
  for (double& v : c.x) v = rng.normal();
  for (int j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    for (int k = 0; k < n; ++k) {
      c.hessian(j, k) = h(j, k);
      force[at] += h(j, k) * c.x[static_cast<std::size_t>(k)];
    }
    c.lower[at] = c.x[at] - rng.uniform(0.1, 2);
    c.upper[at] = c.x[at] + rng.uniform(0.1, 2);
    const double kind = rng.uniform();
    if (kind < 0.2)
      c.lower[at] = c.x[at], force[at] -= rng.uniform(0, 2);
    else if (kind < 0.4)
      c.upper[at] = c.x[at], force[at] += rng.uniform(0, 2);
    else if (kind < 0.5)
      c.lower[at] = -kInf;
  }
  for (int i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    for (int j = 0; j < n; ++j) c.rows(i, j) = rng.uniform() < 0.3 ? 0 : rng.normal();
    const double v = c.row_value(i, c.x);
    c.row_lower[at] = v - rng.uniform(0.1, 2);
    c.row_upper[at] = v + rng.uniform(0.1, 2);
    const bool soft = rng.uniform() < 0.5;
    if (soft) c.l1[at] = rng.uniform(0.5, 5), c.l2[at] = rng.uniform() < 0.5 ? 0 : rng.uniform(0, 2);
    double y = 0;
    const double kind = rng.uniform();
    if (kind < 0.25) {  // active
      y = rng.uniform(0, 1) * (soft ? c.l1[at] : 3);
      c.row_upper[at] = v;
    } else if (kind < 0.5) {
      y = -rng.uniform(0, 1) * (soft ? c.l1[at] : 3);
      c.row_lower[at] = v;
    } else if (kind < 0.65 && soft) {  // violated
      const double s = rng.uniform(0.1, 1);
      y = c.l1[at] + c.l2[at] * s;
      c.row_upper[at] = v - s;
      c.row_lower[at] = c.row_upper[at] - 1;
    } else if (kind < 0.75 && !soft) {  // equality
      y = rng.normal();
      c.row_lower[at] = c.row_upper[at] = v;
    }
    for (int j = 0; j < n; ++j) force[static_cast<std::size_t>(j)] += c.rows(i, j) * y;
  }
  for (int j = 0; j < n; ++j) c.gradient[static_cast<std::size_t>(j)] = -force[static_cast<std::size_t>(j)];
  return c;
}

/// Smallest objective over all active sets whose equality-constrained solution is feasible; kInf: infeasible.
/// Every variable is free, at its lower or upper bound; every row free, at a side, or (soft) beyond a side.
inline double brute_force(const QpCase& c) {
  const int n = c.n(), m = c.m();
  long combinations = 1;
  for (int j = 0; j < n; ++j) combinations *= 3;
  for (int i = 0; i < m; ++i) combinations *= 5;
  double best = kInf;
  for (long code = 0; code < combinations; ++code) {
    long rest = code;
    Eigen::MatrixXd h(n, n);
    Eigen::VectorXd g(n);
    std::vector<Eigen::RowVectorXd> equal;
    std::vector<double> rhs;
    for (int i = 0; i < n; ++i) {
      g(i) = c.gradient[static_cast<std::size_t>(i)];
      for (int j = 0; j < n; ++j) h(i, j) = c.hessian(i, j);
    }
    bool usable = true;
    for (int j = 0; j < n && usable; ++j, rest /= 3) {
      const double bound =
          rest % 3 == 1 ? c.lower[static_cast<std::size_t>(j)] : c.upper[static_cast<std::size_t>(j)];
      if (rest % 3 == 0) continue;
      usable = std::isfinite(bound);
      equal.push_back(Eigen::RowVectorXd::Unit(n, j));
      rhs.push_back(bound);
    }
    for (int i = 0; i < m && usable; ++i, rest /= 5) {
      const auto at = static_cast<std::size_t>(i);
      const int state = static_cast<int>(rest % 5);
      if (state == 0) continue;
      const double bound = state % 2 ? c.row_lower[at] : c.row_upper[at];
      const bool beyond = state > 2;
      usable = std::isfinite(bound) && (!beyond || std::isfinite(c.l1[at]));
      if (!usable) break;
      Eigen::RowVectorXd a(n);
      for (int j = 0; j < n; ++j) a(j) = c.rows(i, j);
      if (!beyond) {
        equal.push_back(a);
        rhs.push_back(bound);
      } else {  // l1 s + l2/2 s^2 with s = sign (a x - bound)
        const double sign = state == 3 ? -1 : 1;
        g += (c.l1[at] * sign - c.l2[at] * bound) * a.transpose();
        h += c.l2[at] * a.transpose() * a;
      }
    }
    if (!usable) continue;
    const int k = static_cast<int>(equal.size());
    Eigen::MatrixXd kkt = Eigen::MatrixXd::Zero(n + k, n + k);
    Eigen::VectorXd right(n + k);
    kkt.topLeftCorner(n, n) = h;
    right.head(n) = -g;
    for (int i = 0; i < k; ++i) {
      kkt.row(n + i).head(n) = equal[static_cast<std::size_t>(i)];
      kkt.col(n + i).head(n) = equal[static_cast<std::size_t>(i)].transpose();
      right(n + i) = rhs[static_cast<std::size_t>(i)];
    }
    const Eigen::VectorXd s = kkt.completeOrthogonalDecomposition().solve(right);
    if (!((kkt * s - right).norm() <= 1e-8 * (1 + right.norm()))) continue;
    std::vector<double> x(s.data(), s.data() + n);
    bool feasible = true;
    for (int j = 0; j < n; ++j) {
      const auto at = static_cast<std::size_t>(j);
      feasible &= x[at] >= c.lower[at] - 1e-8 && x[at] <= c.upper[at] + 1e-8;
    }
    for (int i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (std::isfinite(c.l1[at])) continue;
      const double v = c.row_value(i, x);
      feasible &= v >= c.row_lower[at] - 1e-8 && v <= c.row_upper[at] + 1e-8;
    }
    if (feasible) best = std::min(best, c.objective(x));
  }
  return best;
}

}  // namespace emisopt
