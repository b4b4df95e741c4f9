#include "emisopt/qp/qp.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "emisopt/base/error.hpp"
#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/interior_point.hpp"

namespace emisopt {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int kRuizPasses = 6;
constexpr int kMaxNamed = 8;
constexpr double kElasticTolerance = 1e-8;  // scaled; two decades below the smallest violation that is named

bool all_finite(ConstView m) {
  for (Index i = 0; i < m.rows; ++i)
    for (Index j = 0; j < m.cols; ++j)
      if (!std::isfinite(m(i, j))) return false;
  return true;
}

// NaN, a lower bound of +inf or an upper bound of -inf cannot be meant.
bool bounds_usable(std::span<const double> low, std::span<const double> high) {
  for (double v : low)
    if (std::isnan(v) || v == kInf) return false;
  for (double v : high)
    if (std::isnan(v) || v == -kInf) return false;
  return true;
}

// Compares before it formats: check_shape builds its lists on the heap, which a solve must not touch.
void check_length(const char* where, std::size_t got, Index n) {
  if (static_cast<Index>(got) != n)
    check_shape(where, {static_cast<long>(got)}, {{"n", static_cast<long>(n)}});
}

void check_matrix(const char* where, ConstView got, Index rows, Index cols) {
  if (got.rows != rows || got.cols != cols)
    check_shape(where, {static_cast<long>(got.rows), static_cast<long>(got.cols)},
                {{"rows", static_cast<long>(rows)}, {"n", static_cast<long>(cols)}});
}

void check(const QpProblem& p, int max_variables, int max_rows) {
  const Index n = p.hessian.rows, m = p.rows.rows;
  check_matrix("QpSolver.solve(hessian)", p.hessian, n, n);
  if (m > 0) check_matrix("QpSolver.solve(rows)", p.rows, m, n);
  check_length("QpSolver.solve(gradient)", p.gradient.size(), n);
  if (!p.lower.empty()) check_length("QpSolver.solve(lower)", p.lower.size(), n);
  if (!p.upper.empty()) check_length("QpSolver.solve(upper)", p.upper.size(), n);
  check_length("QpSolver.solve(row_lower)", p.row_lower.size(), m);
  check_length("QpSolver.solve(row_upper)", p.row_upper.size(), m);
  if (!p.l1.empty()) check_length("QpSolver.solve(l1)", p.l1.size(), m);
  if (!p.l2.empty()) check_length("QpSolver.solve(l2)", p.l2.size(), m);
  if (n < 1 || n > max_variables || m > max_rows)
    throw ShapeError("QpSolver.solve: expected at most " + std::to_string(max_variables) + " variables and " +
                     std::to_string(max_rows) + " rows, got " + std::to_string(n) + " and " +
                     std::to_string(m));
}

bool usable(const QpProblem& p) {
  for (double v : p.gradient)
    if (!std::isfinite(v)) return false;
  for (double v : p.l1)
    if (!(v > 0)) return false;
  for (double v : p.l2)
    if (!(v >= 0) || !std::isfinite(v)) return false;
  return all_finite(p.hessian) && all_finite(p.rows) && bounds_usable(p.lower, p.upper) &&
         bounds_usable(p.row_lower, p.row_upper);
}

}  // namespace

const char* to_string(QpStatus s) {
  switch (s) {
    case QpStatus::optimal:
      return "optimal";
    case QpStatus::max_iterations:
      return "max_iterations";
    case QpStatus::infeasible:
      return "infeasible";
    case QpStatus::numeric:
      return "numeric";
    case QpStatus::not_convex:
      return "not_convex";
    case QpStatus::invalid:
      return "invalid";
    case QpStatus::stopped:
      return "stopped";
  }
  return "unknown";
}

struct QpSolver::Workspace {
  Workspace(int max_variables, int max_rows, QpOptions o)
      : max_n(max_variables), max_m(max_rows), options(o), core(max_variables, max_rows) {
    const auto nn = static_cast<std::size_t>(max_n), mm = static_cast<std::size_t>(max_m);
    column.resize(nn);
    row.resize(mm);
    pass.resize(nn);
    for (auto* v : {&result.x, &result.z, &best_x, &best_z}) v->reserve(nn);
    for (auto* v : {&result.y, &result.slack, &best_y, &best_slack}) v->reserve(mm);
    result.violated.reserve(std::max<std::size_t>(kMaxNamed + 1, 1));
  }

  void equilibrate(const QpProblem& p);
  void unscale(const QpProblem& p);
  bool verified(const QpProblem& p);
  void name_violations(const QpProblem& p);
  void note_violation(int where, double amount);

  int max_n, max_m;
  QpOptions options;
  detail::InteriorPoint core;
  std::vector<double> column, row, pass;  // x = length * column .* x';  scaled row = row .* original
  double length = 1, cost = 1;
  QpResult result;
  std::vector<double> best_x, best_y, best_z, best_slack;  // put aside while an iterate is checked
};

// Ruiz 2001 on [H A'; A 0], then one length and one cost factor so that gradient, Newton step or box are of
// size 1: the interior point's absolute constants rely on it.
void QpSolver::Workspace::equilibrate(const QpProblem& p) {
  const Index n = core.n = p.hessian.rows, m = core.m = p.rows.rows;
  View h(core.hessian.data(), n, n), a(core.rows.data(), m, n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) h(i, j) = 0.5 * (p.hessian(i, j) + p.hessian(j, i));
  for (Index i = 0; i < m; ++i) std::copy_n(p.rows.row(i), n, a.row(i));
  std::fill_n(column.begin(), n, 1.0);
  std::fill_n(row.begin(), m, 1.0);
  for (int k = 0; k < kRuizPasses; ++k) {
    std::fill_n(pass.begin(), n, 0.0);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j)
        pass[static_cast<std::size_t>(j)] = std::max(pass[static_cast<std::size_t>(j)], std::abs(h(i, j)));
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < n; ++j)
        pass[static_cast<std::size_t>(j)] = std::max(pass[static_cast<std::size_t>(j)], std::abs(a(i, j)));
    for (Index j = 0; j < n; ++j) {
      double& s = pass[static_cast<std::size_t>(j)];
      s = s > 0 ? 1 / std::sqrt(s) : 1;
      column[static_cast<std::size_t>(j)] *= s;
    }
    for (Index i = 0; i < m; ++i) {
      double largest = 0;
      for (Index j = 0; j < n; ++j) largest = std::max(largest, std::abs(a(i, j)));
      const double s = largest > 0 ? 1 / std::sqrt(largest) : 1;
      row[static_cast<std::size_t>(i)] *= s;
      for (Index j = 0; j < n; ++j) a(i, j) *= s * pass[static_cast<std::size_t>(j)];
    }
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j)
        h(i, j) *= pass[static_cast<std::size_t>(i)] * pass[static_cast<std::size_t>(j)];
  }

  double largest_h = 0, largest_g = 0, box = 0;
  for (Index i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    for (Index j = 0; j < n; ++j) largest_h = std::max(largest_h, std::abs(h(i, j)));
    largest_g = std::max(largest_g, column[at] * std::abs(p.gradient[at]));
    const double low = p.lower.empty() ? -kInf : p.lower[at], high = p.upper.empty() ? kInf : p.upper[at];
    box = std::max(box, std::max(std::abs(low), std::abs(high)) / column[at]);
  }
  length = kInf;
  if (largest_h > 0 && largest_g > 0) length = largest_g / largest_h;
  if (box > 0) length = std::min(length, box);
  if (!std::isfinite(length)) {  // neither: the rows alone tell where the solution lies
    length = 0;
    for (Index i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i);
      for (double b : {p.row_lower[at], p.row_upper[at]})
        if (std::isfinite(b)) length = std::max(length, row[at] * std::abs(b));
    }
    if (length == 0) length = 1;
  }
  const double size = std::max(length * largest_g, length * length * largest_h);
  cost = size > 0 ? 1 / size : 1;

  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    core.gradient[at] = cost * length * column[at] * p.gradient[at];
    core.lower[at] = p.lower.empty() ? -kInf : p.lower[at] / (length * column[at]);
    core.upper[at] = p.upper.empty() ? kInf : p.upper[at] / (length * column[at]);
  }
  for (Index i = 0; i < n * n; ++i) core.hessian[static_cast<std::size_t>(i)] *= cost * length * length;
  for (Index i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double unit = row[at] / length;
    core.row_lower[at] = p.row_lower[at] * unit;
    core.row_upper[at] = p.row_upper[at] * unit;
    core.l1[at] = p.l1.empty() ? kInf : cost * p.l1[at] / unit;
    core.l2[at] = p.l2.empty() || p.l1.empty() ? 0 : cost * p.l2[at] / (unit * unit);
  }
}

void QpSolver::Workspace::unscale(const QpProblem& p) {
  const Index n = core.n, m = core.m;
  double objective = 0;
  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    double x = length * column[at] * core.x[at];
    // An interior point rests a rounding inside or, with unscaling, outside of its bound.
    if (!p.lower.empty()) x = std::max(x, p.lower[at]);
    if (!p.upper.empty()) x = std::min(x, p.upper[at]);
    result.x[at] = x;
    result.z[at] = core.z[at] / (cost * length * column[at]);
  }
  for (Index j = 0; j < n; ++j)
    objective +=
        result.x[static_cast<std::size_t>(j)] *
        (p.gradient[static_cast<std::size_t>(j)] + 0.5 * dense::dot(p.hessian.row(j), result.x.data(), n));
  for (Index i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    result.y[at] = core.y[at] * row[at] / (cost * length);
    result.slack[at] = 0;
    if (p.l1.empty() || !std::isfinite(p.l1[at])) continue;
    const double value = dense::dot(p.rows.row(i), result.x.data(), n);
    double slack = std::max({0.0, p.row_lower[at] - value, value - p.row_upper[at]});
    // Below what the check can tell from zero it is zero, so that an exact penalty reads as exact.
    double size = 0;
    for (Index j = 0; j < n; ++j)
      size = std::max(size, std::abs(p.rows(i, j)) * length * column[static_cast<std::size_t>(j)]);
    if (slack <= 10 * options.tolerance * size || cost * p.l1[at] * slack <= 10 * options.tolerance)
      slack = 0;
    result.slack[at] = slack;
    objective += slack * (p.l1[at] + 0.5 * (p.l2.empty() ? 0 : p.l2[at]) * slack);
  }
  result.objective = objective;

  // A bound takes up whatever stationarity still lacks: the dual residual of a variable near it becomes a
  // term of the duality gap, which the check measures, and late rounding in the factor costs no accuracy of
  // the claim.
  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    double force = p.gradient[at] + dense::dot(p.hessian.row(j), result.x.data(), n);
    for (Index i = 0; i < m; ++i) force += p.rows(i, j) * result.y[static_cast<std::size_t>(i)];
    const double distance = force > 0 ? (p.lower.empty() ? kInf : result.x[at] - p.lower[at])
                                      : (p.upper.empty() ? kInf : p.upper[at] - result.x[at]);
    if (distance <= length * column[at]) result.z[at] = -force;
  }
}

// Checks the iterate; the best of those checked is what `result` holds at the end.
bool QpSolver::Workspace::verified(const QpProblem& p) {
  best_x = result.x;
  best_y = result.y;
  best_z = result.z;
  best_slack = result.slack;
  const double best_objective = result.objective;
  const QpResidual best = result.residual;
  unscale(p);
  result.residual = qp_residual(p, result.x, result.y, result.z, pass);
  if (!(result.residual.worst() < best.worst())) {
    result.x.swap(best_x);
    result.y.swap(best_y);
    result.z.swap(best_z);
    result.slack.swap(best_slack);
    result.objective = best_objective;
    result.residual = best;
  }
  return result.residual.worst() <= options.tolerance;
}

void QpSolver::Workspace::note_violation(int where, double amount) {
  auto& list = result.violated;
  list.push_back({where, amount});
  std::sort(list.begin(), list.end(), [](const QpViolation& a, const QpViolation& b) {
    return a.amount != b.amount ? a.amount > b.amount : a.row < b.row;
  });
  if (list.size() > kMaxNamed) list.pop_back();
}

void QpSolver::Workspace::name_violations(const QpProblem& p) {
  for (Index i = 0; i < core.m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (!p.l1.empty() && std::isfinite(p.l1[at])) continue;
    const double value = dense::dot(p.rows.row(i), result.x.data(), core.n);
    const double amount = std::max(p.row_lower[at] - value, value - p.row_upper[at]);
    // In scaled units 1e-6 is far above what the elastic run leaves on a row that can hold.
    if (amount * row[at] / length > 1e-6) note_violation(static_cast<int>(i), amount);
  }
}

QpSolver::QpSolver(int max_variables, int max_rows, QpOptions options) {
  if (max_variables < 1 || max_rows < 0 || options.max_iterations < 1 || !(options.tolerance > 0))
    throw InputError(
        "QpSolver: expected max_variables >= 1, max_rows >= 0, max_iterations >= 1, tolerance > 0");
  kernels::dense_table();  // chosen here: the first choice reads the environment, allocates and may throw
  work_ = std::make_unique<Workspace>(max_variables, max_rows, options);
}
QpSolver::~QpSolver() = default;
QpSolver::QpSolver(QpSolver&&) noexcept = default;

const QpResult& QpSolver::solve(const QpProblem& p, const std::function<bool()>* stop) {
  Workspace& w = *work_;
  check(p, w.max_n, w.max_m);
  const auto n = static_cast<std::size_t>(p.hessian.rows), m = static_cast<std::size_t>(p.rows.rows);
  QpResult& r = w.result;
  r.x.assign(n, 0.0);
  r.z.assign(n, 0.0);
  r.y.assign(m, 0.0);
  r.slack.assign(m, 0.0);
  r.violated.clear();
  r.objective = 0;
  r.iterations = 0;
  r.residual = {kInf, kInf, kInf};
  r.status = QpStatus::invalid;
  if (!usable(p)) return r;

  for (std::size_t j = 0; j < n && !p.lower.empty() && !p.upper.empty(); ++j)
    if (p.lower[j] > p.upper[j]) w.note_violation(static_cast<int>(m + j), p.lower[j] - p.upper[j]);
  for (std::size_t i = 0; i < m; ++i)
    if (p.row_lower[i] > p.row_upper[i])
      w.note_violation(static_cast<int>(i), p.row_lower[i] - p.row_upper[i]);
  if (!r.violated.empty()) {
    r.status = QpStatus::infeasible;
    return r;
  }

  w.equilibrate(p);
  if (!w.core.convex()) {
    r.status = QpStatus::not_convex;
    return r;
  }
  using Core = detail::InteriorPoint;
  const auto check_answer = [&] { return w.verified(p); };
  const Core::End end = w.core.run(Core::Mode::solve, w.options.max_iterations, std::ref(check_answer), stop);
  r.iterations = w.core.iterations();
  switch (end) {
    case Core::End::converged:
      r.status = QpStatus::optimal;
      return r;
    case Core::End::stopped:
      w.verified(p);
      r.status = QpStatus::stopped;
      return r;
    case Core::End::numeric:
      r.status = QpStatus::numeric;
      break;
    default:
      r.status = QpStatus::max_iterations;
  }
  // Not solved: can the hard rows hold at all? If they can, the first run's answer is what there is.
  if (!(r.residual.primal <= w.options.tolerance)) {
    const auto least = [&] { return w.core.scaled_residual() <= kElasticTolerance; };
    const Core::End elastic =
        w.core.run(Core::Mode::elastic, w.options.max_iterations, std::ref(least), stop);
    r.iterations += w.core.iterations();
    w.unscale(p);
    if (elastic == Core::End::converged) w.name_violations(p);
    if (elastic == Core::End::stopped) r.status = QpStatus::stopped;
    if (!r.violated.empty()) r.status = QpStatus::infeasible;
    std::fill(r.y.begin(), r.y.end(), 0.0);  // they belong to the elastic problem
    std::fill(r.z.begin(), r.z.end(), 0.0);
    r.residual = qp_residual(p, r.x, r.y, r.z);
  }
  return r;
}

}  // namespace emisopt
