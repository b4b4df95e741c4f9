// Random and adversarial QPs of which something is known for sure: a feasible point, a proof that there is
// none, or that the data is no problem at all. What a solver may then never say is counted.
#pragma once
#include <chrono>

#include "qp/qp_cases.hpp"

namespace emisopt {

struct FuzzCount {
  long cases = 0, optimal = 0, infeasible = 0, undecided = 0, invalid = 0;
  long false_optimal = 0, false_infeasible = 0, slow = 0;
  double longest = 0;
};

enum class Truth { feasible, infeasible, invalid, open };

struct FuzzCase {
  QpCase c;
  Truth truth;
};

/// One of: plain, rank-deficient, degenerate (copies and sums of rows, rows through one vertex), badly scaled
/// (1e-8..1e8 in units, rows and cost), contradicting rows (combined from others, so that no row does it
/// alone), hair's-breadth contradictions, NaN and infinity in any place.
inline FuzzCase fuzz_case(Rng& rng) {
  const int n = 1 + static_cast<int>(rng.below(8)), m = static_cast<int>(rng.below(12));
  const int kind = static_cast<int>(rng.below(8));
  const int rank = kind == 1 ? static_cast<int>(rng.below(n)) : n + 1;
  FuzzCase f{known_case(rng, n, m, rank), Truth::feasible};
  QpCase& c = f.c;
  const auto at = [](int i) { return static_cast<std::size_t>(i); };
  if (kind == 2 && m > 2) {  // degenerate: copies, sums, all through the solution
    for (int i = 2; i < m; ++i) {
      const int from = static_cast<int>(rng.below(2));
      const double scale = rng.uniform() < 0.5 ? 1 : -2;
      for (int j = 0; j < n; ++j)
        c.rows(i, j) = scale * c.rows(from, j) + (rng.uniform() < 0.3 ? c.rows(1 - from, j) : 0);
      const double v = c.row_value(i, c.x);
      c.row_lower[at(i)] = rng.uniform() < 0.5 ? v : -kInf;
      c.row_upper[at(i)] = rng.uniform() < 0.7 ? v : v + rng.uniform();
    }
  } else if (kind == 3) {  // units
    std::vector<double> unit(at(n));
    for (double& u : unit) u = std::pow(10, rng.uniform(-4, 4));
    const double cost = std::pow(10, rng.uniform(-8, 8));
    for (int j = 0; j < n; ++j) {
      for (int k = 0; k < n; ++k) c.hessian(j, k) *= cost / (unit[at(j)] * unit[at(k)]);
      c.gradient[at(j)] *= cost / unit[at(j)];
      for (auto* v : {&c.x, &c.lower, &c.upper}) (*v)[at(j)] *= unit[at(j)];
    }
    for (int i = 0; i < m; ++i) {
      const double row = std::pow(10, rng.uniform(-8, 8));
      for (int j = 0; j < n; ++j) c.rows(i, j) *= row / unit[at(j)];
      c.row_lower[at(i)] *= row;
      c.row_upper[at(i)] *= row;
      c.l1[at(i)] *= cost / row;
      c.l2[at(i)] *= cost / row / row;
    }
  } else if (kind == 4 && m > 2) {  // a last row that contradicts a sum of others
    f.truth = Truth::infeasible;
    for (int j = 0; j < n; ++j) c.rows(m - 1, j) = 0;
    double most = 0;
    for (int i = 0; i + 1 < m; ++i) {
      const double share = rng.uniform(0, 1);
      c.l1[at(i)] = kInf;
      if (c.row_upper[at(i)] == kInf) c.row_upper[at(i)] = c.row_value(i, c.x) + 1;
      for (int j = 0; j < n; ++j) c.rows(m - 1, j) += share * c.rows(i, j);
      most += share * std::abs(c.row_upper[at(i)]);
      c.row_lower[at(m - 1)] =
          i == 0 ? share * c.row_upper[at(i)] : c.row_lower[at(m - 1)] + share * c.row_upper[at(i)];
    }
    c.row_lower[at(m - 1)] += std::pow(10, rng.uniform(-5, 2)) * (1 + most);
    c.row_upper[at(m - 1)] = kInf;
    c.l1[at(m - 1)] = kInf;
  } else if (kind == 5 && m > 1) {  // within rounding of a contradiction: either answer may stand, or none
    f.truth = Truth::open;
    for (int j = 0; j < n; ++j) c.rows(m - 1, j) = c.rows(0, j);
    c.l1[0] = c.l1[at(m - 1)] = kInf;
    const double v = c.row_value(0, c.x);
    c.row_lower[0] = -kInf;
    c.row_upper[0] = v;
    c.row_lower[at(m - 1)] = v + v * std::pow(10, rng.uniform(-16, -6));
    c.row_upper[at(m - 1)] = kInf;
  } else if (kind == 6) {
    f.truth = Truth::invalid;
    const double bad = rng.uniform() < 0.5 ? kMissing : kInf;
    switch (rng.below(m > 0 ? 4 : 2)) {
      case 0:
        c.hessian(static_cast<Index>(rng.below(n)), static_cast<Index>(rng.below(n))) = bad;
        break;
      case 1:
        c.gradient[rng.below(n)] = bad;
        break;
      case 2:
        c.rows(static_cast<Index>(rng.below(m)), static_cast<Index>(rng.below(n))) = bad;
        break;
      default:
        c.row_lower[rng.below(m)] = bad;
    }
  }
  return f;
}

/// Solves `count` cases; the interior point method alone, whose answers are verified as well, is the second
/// opinion. Slow: more than a second.
inline FuzzCount fuzz(std::uint64_t seed, long count) {
  Rng rng(seed, 0);
  QpSolver solver(8, 12), interior(8, 12, {.method = QpMethod::interior_point});
  FuzzCount r;
  std::vector<double> y, z;
  for (long k = 0; k < count; ++k) {
    const FuzzCase f = fuzz_case(rng);
    const QpProblem p = f.c.problem();
    const auto begin = std::chrono::steady_clock::now();
    const bool warm = k % 3 == 2 && y.size() == f.c.l1.size() && z.size() == f.c.x.size();
    const QpResult& got = warm ? solver.solve_from(p, y, z) : solver.solve(p);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    ++r.cases;
    r.longest = std::max(r.longest, seconds);
    r.slow += seconds > 1;
    switch (got.status) {
      case QpStatus::optimal: {
        ++r.optimal;
        if (f.truth == Truth::infeasible || f.truth == Truth::invalid) ++r.false_optimal;
        const double mine = f.c.objective(got.x);
        const QpResidual fresh = qp_residual(p, got.x, got.y, got.z);
        bool wrong = !(fresh.worst() <= 1e-8);
        if (f.truth == Truth::feasible) {  // x is feasible there: nothing optimal costs more
          // but for rounding, and for what the tolerance leaves of each variable, a share of its box
          const auto finite = [](double v) { return std::isfinite(v) ? std::abs(v) : 0; };
          double size = 1e-300, left = 0;
          for (std::size_t j = 0; j < got.x.size(); ++j) {
            size += std::abs(f.c.gradient[j]) * (std::abs(got.x[j]) + std::abs(f.c.x[j]));
            left += std::abs(f.c.gradient[j]) * (finite(f.c.lower[j]) + finite(f.c.upper[j]));
          }
          const double known = f.c.objective(f.c.x);
          wrong |= mine > known + 1e-6 * (size + std::abs(known)) + 1e-8 * left;
          wrong |= interior.solve(p).status == QpStatus::infeasible;
        }
        r.false_optimal += wrong;
        y = got.y;
        z = got.z;
        break;
      }
      case QpStatus::infeasible:
        ++r.infeasible;
        r.false_infeasible += f.truth == Truth::feasible || f.truth == Truth::invalid ||
                              (f.truth == Truth::infeasible && interior.solve(p).status == QpStatus::optimal);
        break;
      case QpStatus::invalid:
        ++r.invalid;
        break;
      default:
        ++r.undecided;
    }
  }
  return r;
}

}  // namespace emisopt
