// Random wide QPs whose solution is known because it was chosen first, and cases of which something else is
// known for sure: rows that contradict each other, data that is no problem at all.
#pragma once
#include "emisopt/qp/wide.hpp"
#include "qp/qp_fuzz.hpp"

namespace emisopt {

/// A problem that owns its data.
struct WideCase {
  Matrix band, outputs;
  std::vector<double> weight, gradient, lower, upper, row_value, row_lower, row_upper, l1, l2;
  std::vector<int> row_start{0}, row_column, row_output;
  std::vector<double> x;  // (n) known solution

  WideProblem problem() const {
    return {band.view(), outputs.view(), weight,     gradient,  lower,     upper, row_start,
            row_column,  row_value,      row_output, row_lower, row_upper, l1,    l2};
  }
  WideSize size() const {
    return {static_cast<int>(band.rows), static_cast<int>(outputs.rows + row_output.size()),
            static_cast<int>(row_output.size()), static_cast<int>(row_column.size()),
            static_cast<int>(band.cols - 1)};
  }
  void add_row(int output, std::initializer_list<std::pair<int, double>> entries) {
    for (const auto& [column, value] : entries) {
      row_column.push_back(column);
      row_value.push_back(value);
    }
    row_start.push_back(static_cast<int>(row_column.size()));
    row_output.push_back(output);
  }
};

/// n >= 4 variables, p outputs that look back (or ahead) in time, one of the two last variables in rows about
/// outputs as a slack would be; rates, rows about outputs with and without slack, two rows about one output.
inline WideCase known_wide(Rng& rng, int n, int p, bool singular = false) {
  WideCase c;
  const auto at = [](auto i) { return static_cast<std::size_t>(i); };
  const int width = static_cast<int>(rng.below(3)), moves = n - 2;
  c.band = Matrix(n, width + 1);
  for (int j = 0; j < n; ++j) {
    double row = singular ? 0 : rng.uniform(0.01, 1);
    for (int d = 1; d <= width && d <= j && j < moves; ++d) {  // squares of differences: T stays semidefinite
      const double t = rng.uniform() < 0.3 ? 0 : rng.uniform(0, 0.5);
      c.band(j, d) = -t;
      c.band(j - d, 0) += t;
      row += t;
    }
    c.band(j, 0) += row;
  }
  c.outputs = Matrix(p, n);
  const bool back = rng.uniform() < 0.7;
  for (int k = 0; k < p; ++k) {
    c.weight.push_back(rng.uniform() < 0.2 ? 0 : rng.uniform(0.1, 2));
    for (int j = 0; j < moves; ++j)
      if (back ? j * p <= (k + 1) * moves : j * p >= k * moves) c.outputs(k, j) = rng.normal();
  }
  for (int j = 1; j < moves; ++j)
    if (rng.uniform() < 0.5) c.add_row(-1, {{j - 1, -1.0}, {j, 1.0}});
  for (int k = 0; k < p; ++k) switch (rng.below(4)) {
      case 0:
        c.add_row(k, {});
        break;
      case 1:
        c.add_row(k, {{moves + static_cast<int>(rng.below(2)), -rng.uniform(0.5, 2)}});
        break;
      case 2:
        c.add_row(k, {});
        c.add_row(k, {{static_cast<int>(rng.below(n)), 1.0}});
        break;
      default:
        break;
    }
  const int m = static_cast<int>(c.row_output.size());
  for (int j = 0; j < n; ++j) c.x.push_back(rng.normal());
  const auto value = [&](int i) {
    double v = 0;
    if (c.row_output[at(i)] >= 0)
      for (int j = 0; j < n; ++j) v += c.outputs(c.row_output[at(i)], j) * c.x[at(j)];
    for (int e = c.row_start[at(i)]; e < c.row_start[at(i) + 1]; ++e)
      v += c.row_value[at(e)] * c.x[at(c.row_column[at(e)])];
    return v;
  };
  std::vector<double> force(at(n), 0.0);  // Hx + A'y + z
  for (int j = 0; j < n; ++j)
    for (int d = 0; d <= width && d <= j; ++d) {
      force[at(j)] += c.band(j, d) * c.x[at(j - d)];
      if (d > 0) force[at(j - d)] += c.band(j, d) * c.x[at(j)];
    }
  for (int k = 0; k < p; ++k) {
    double v = 0;
    for (int j = 0; j < n; ++j) v += c.outputs(k, j) * c.x[at(j)];
    for (int j = 0; j < n; ++j) force[at(j)] += c.weight[at(k)] * c.outputs(k, j) * v;
  }
  for (int j = 0; j < n; ++j) {
    c.lower.push_back(c.x[at(j)] - rng.uniform(0.1, 2));
    c.upper.push_back(c.x[at(j)] + rng.uniform(0.1, 2));
    const double kind = rng.uniform();
    if (kind < 0.2)
      c.lower.back() = c.x[at(j)], force[at(j)] -= rng.uniform(0, 2);
    else if (kind < 0.4)
      c.upper.back() = c.x[at(j)], force[at(j)] += rng.uniform(0, 2);
    else if (kind < 0.5)
      c.lower.back() = c.upper.back() = c.x[at(j)], force[at(j)] += rng.normal();
    else if (kind < 0.6)
      c.lower.back() = -kInf;
    else if (kind < 0.7)
      c.lower.back() = -kInf, c.upper.back() = kInf;
  }
  for (int i = 0; i < m; ++i) {
    const double v = value(i);
    const bool soft = rng.uniform() < 0.4;
    c.l1.push_back(soft ? rng.uniform(0.5, 5) : kInf);
    c.l2.push_back(soft && rng.uniform() < 0.5 ? rng.uniform(0, 2) : 0);
    c.row_lower.push_back(rng.uniform() < 0.5 ? -kInf : v - rng.uniform(0.1, 2));
    c.row_upper.push_back(v + rng.uniform(0.1, 2));
    double y = 0;
    const double kind = rng.uniform();
    if (kind < 0.3) {
      y = rng.uniform(0, 1) * (soft ? c.l1.back() : 3);
      c.row_upper.back() = v;
    } else if (kind < 0.5) {
      y = -rng.uniform(0, 1) * (soft ? c.l1.back() : 3);
      c.row_lower.back() = v;
    } else if (kind < 0.65 && soft) {
      const double s = rng.uniform(0.1, 1);
      y = c.l1.back() + c.l2.back() * s;
      c.row_upper.back() = v - s;
      c.row_lower.back() = c.row_upper.back() - 1;
    } else if (kind < 0.75 && !soft) {
      y = rng.normal();
      c.row_lower.back() = c.row_upper.back() = v;
    }
    if (c.row_output[at(i)] >= 0)
      for (int j = 0; j < n; ++j) force[at(j)] += y * c.outputs(c.row_output[at(i)], j);
    for (int e = c.row_start[at(i)]; e < c.row_start[at(i) + 1]; ++e)
      force[at(c.row_column[at(e)])] += y * c.row_value[at(e)];
  }
  for (int j = 0; j < n; ++j) c.gradient.push_back(-force[at(j)]);
  return c;
}

struct WideFuzzCase {
  WideCase c;
  Truth truth;
};

/// One of: plain, T singular, units over 1e-4..1e4 and cost over 1e-8..1e8, copies of outputs, contradicting
/// rows about one output, NaN and infinity in any place.
inline WideFuzzCase wide_fuzz_case(Rng& rng) {
  const int n = 4 + static_cast<int>(rng.below(12)), p = static_cast<int>(rng.below(8));
  const int kind = static_cast<int>(rng.below(7));
  WideFuzzCase f{known_wide(rng, n, p, kind == 1), Truth::feasible};
  WideCase& c = f.c;
  const auto at = [](auto i) { return static_cast<std::size_t>(i); };
  const auto m = static_cast<std::int64_t>(c.row_output.size());
  if (kind == 2) {
    std::vector<double> unit(at(n));
    for (double& u : unit) u = std::pow(10, rng.uniform(-4, 4));
    const double cost = std::pow(10, rng.uniform(-8, 8));
    std::vector<double> of(at(p));
    for (double& u : of) u = std::pow(10, rng.uniform(-4, 4));
    for (int j = 0; j < n; ++j) {
      for (Index d = 0; d < c.band.cols && d <= j; ++d)
        c.band(j, d) *= cost / (unit[at(j)] * unit[at(j - d)]);
      for (int k = 0; k < p; ++k) c.outputs(k, j) *= of[at(k)] / unit[at(j)];
      c.gradient[at(j)] *= cost / unit[at(j)];
      for (auto* v : {&c.x, &c.lower, &c.upper}) (*v)[at(j)] *= unit[at(j)];
    }
    for (int k = 0; k < p; ++k) c.weight[at(k)] *= cost / (of[at(k)] * of[at(k)]);
    for (std::int64_t i = 0; i < m; ++i) {
      const double row =
          c.row_output[at(i)] >= 0 ? of[at(c.row_output[at(i)])] : std::pow(10, rng.uniform(-4, 4));
      for (int e = c.row_start[at(i)]; e < c.row_start[at(i) + 1]; ++e)
        c.row_value[at(e)] *= row / unit[at(c.row_column[at(e)])];
      c.row_lower[at(i)] *= row;
      c.row_upper[at(i)] *= row;
      c.l1[at(i)] *= cost / row;
      c.l2[at(i)] *= cost / row / row;
    }
  } else if (kind == 3 && p > 1) {  // outputs that say the same, rows through one vertex
    const auto from = rng.below(p), to = rng.below(p);
    if (from != to) {
      c.weight[at(to)] = 0;
      c.outputs(to, 0) = 0;
      for (int j = 0; j < n; ++j) c.outputs(to, j) = c.outputs(from, j);
      for (std::int64_t i = 0; i < m; ++i)
        if (c.row_output[at(i)] == to) f.truth = Truth::open;
    }
  } else if (kind == 4 && p > 0) {
    f.truth = Truth::infeasible;
    const auto k = static_cast<int>(rng.below(p));
    const double v = rng.normal(), apart = std::pow(10, rng.uniform(-4, 1));
    for (const double side : {0.0, 1.0}) {
      c.add_row(k, {});
      c.row_lower.push_back(side == 0 ? -kInf : v + apart * (1 + std::abs(v)));
      c.row_upper.push_back(side == 0 ? v : kInf);
      c.l1.push_back(kInf);
      c.l2.push_back(0);
    }
  } else if (kind == 5) {
    f.truth = Truth::invalid;
    const double bad = rng.uniform() < 0.5 ? kMissing : kInf;
    switch (rng.below(p > 0 ? 5 : 2)) {
      case 0:
        c.band(static_cast<Index>(rng.below(n)), 0) = bad;
        break;
      case 1:
        c.gradient[at(rng.below(n))] = bad;
        break;
      case 2:
        c.weight[at(rng.below(p))] = bad;
        break;
      case 3:
        if (m == 0) {
          f.truth = Truth::feasible;
        } else {
          c.row_lower[at(rng.below(m))] = bad;
        }
        break;
      default: {  // of an output that counts
        const auto k = rng.below(p);
        c.outputs(static_cast<Index>(k), static_cast<Index>(rng.below(n))) = bad;
        c.weight[at(k)] = 1;
      }
    }
  }
  return f;
}

/// Solves `count` wide cases; QpSolver on the dense form is the second opinion.
inline FuzzCount fuzz_wide(std::uint64_t seed, long count) {
  Rng rng(seed, 1);
  WideSolver solver({16, 32, 64, 256, 2});
  QpSolver second(16, 64);
  FuzzCount r;
  for (long k = 0; k < count; ++k) {
    const WideFuzzCase f = wide_fuzz_case(rng);
    const WideProblem p = f.c.problem();
    const auto begin = std::chrono::steady_clock::now();
    const QpResult& got = solver.solve(p);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    ++r.cases;
    r.longest = std::max(r.longest, seconds);
    r.slow += seconds > 1;
    if (got.status == QpStatus::invalid) {
      ++r.invalid;
      r.false_optimal += f.truth != Truth::invalid;  // a problem that is one must not be refused
    } else if (got.status == QpStatus::infeasible) {
      ++r.infeasible;
      r.false_infeasible += f.truth == Truth::feasible || f.truth == Truth::invalid ||
                            second.solve(to_dense(p).problem).status == QpStatus::optimal;
    } else if (got.status != QpStatus::optimal) {
      ++r.undecided;
    } else {
      ++r.optimal;
      const DenseCopy dense = to_dense(p);
      bool wrong = f.truth == Truth::infeasible || f.truth == Truth::invalid;
      wrong |= !(qp_residual(dense.problem, got.x, got.y, got.z).worst() <= 1e-8);
      const QpResult& other = second.solve(dense.problem);
      wrong |= other.status == QpStatus::infeasible;
      if (other.status == QpStatus::optimal) {
        double size = 1e-300;
        for (std::size_t j = 0; j < got.x.size(); ++j)
          size += std::abs(f.c.gradient[j]) * (std::abs(got.x[j]) + std::abs(other.x[j]));
        wrong |= std::abs(got.objective - other.objective) > 1e-6 * (size + std::abs(other.objective));
      }
      r.false_optimal += wrong;
    }
  }
  return r;
}

}  // namespace emisopt
