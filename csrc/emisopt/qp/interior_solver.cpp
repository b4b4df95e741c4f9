#include "emisopt/qp/interior_solver.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "emisopt/qp/dense.hpp"

namespace emisopt::detail {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int kRuizPasses = 6;
constexpr std::size_t kMaxNamed = 8;
constexpr double kElasticTolerance = 1e-8;  // scaled; two decades below the smallest violation that is named

}  // namespace

void note_violation(std::vector<QpViolation>& list, int where, double amount) {
  list.push_back({where, amount});
  std::sort(list.begin(), list.end(), [](const QpViolation& a, const QpViolation& b) {
    return a.amount != b.amount ? a.amount > b.amount : a.row < b.row;
  });
  if (list.size() > kMaxNamed) list.pop_back();
}

InteriorSolver::InteriorSolver(int max_variables, int max_rows, QpOptions options)
    : options_(options), kkt_(max_variables, max_rows), core(kkt_, max_variables, max_rows) {
  const auto nn = static_cast<std::size_t>(max_variables), mm = static_cast<std::size_t>(max_rows);
  column.resize(nn);
  row.resize(mm);
  pass.resize(nn);
  check_.resize(qp_residual_memory(max_variables, max_rows));
  for (auto* v : {&best_x, &best_z}) v->reserve(nn);
  for (auto* v : {&best_y, &best_slack}) v->reserve(mm);
}

// Ruiz 2001 on [H A'; A 0], then one length and one cost factor so that gradient, Newton step or box are of
// size 1: the interior point's absolute constants rely on it.
void InteriorSolver::equilibrate(const QpProblem& p) {
  const Index n = kkt_.n = p.hessian.rows, m = kkt_.m = p.rows.rows;
  View h(kkt_.hessian.data(), n, n), a(kkt_.rows.data(), m, n);
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
  for (Index i = 0; i < n * n; ++i) kkt_.hessian[static_cast<std::size_t>(i)] *= cost * length * length;
  for (Index i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double unit = row[at] / length;
    core.row_lower[at] = p.row_lower[at] * unit;
    core.row_upper[at] = p.row_upper[at] * unit;
    core.l1[at] = p.l1.empty() ? kInf : cost * p.l1[at] / unit;
    core.l2[at] = p.l2.empty() || p.l1.empty() ? 0 : cost * p.l2[at] / (unit * unit);
  }
  kkt_.load();
}

void InteriorSolver::unscale(const QpProblem& p) {
  const Index n = kkt_.n, m = kkt_.m;
  double objective = 0;
  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    double x = length * column[at] * core.x[at];
    // An interior point rests a rounding inside or, with unscaling, outside of its bound.
    if (!p.lower.empty()) x = std::max(x, p.lower[at]);
    if (!p.upper.empty()) x = std::min(x, p.upper[at]);
    out_->x[at] = x;
    out_->z[at] = core.z[at] / (cost * length * column[at]);
  }
  double* force = pass.data();
  dense::multiply(force, p.hessian, out_->x.data());
  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    objective += out_->x[at] * (p.gradient[at] + 0.5 * force[j]);
    force[j] += p.gradient[at];
  }
  for (Index i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    out_->y[at] = core.y[at] * row[at] / (cost * length);
    out_->slack[at] = 0;
    if (p.l1.empty() || !std::isfinite(p.l1[at])) continue;
    const double value = dense::dot(p.rows.row(i), out_->x.data(), n);
    double slack = std::max({0.0, p.row_lower[at] - value, value - p.row_upper[at]});
    // Below what the check can tell from zero it is zero, so that an exact penalty reads as exact.
    double size = 0;
    for (Index j = 0; j < n; ++j)
      size = std::max(size, std::abs(p.rows(i, j)) * length * column[static_cast<std::size_t>(j)]);
    if (slack <= 10 * options_.tolerance * size || cost * p.l1[at] * slack <= 10 * options_.tolerance)
      slack = 0;
    out_->slack[at] = slack;
    objective += slack * (p.l1[at] + 0.5 * (p.l2.empty() ? 0 : p.l2[at]) * slack);
  }
  out_->objective = objective;

  // A bound takes up whatever stationarity still lacks: the dual residual of a variable near it becomes a
  // term of the duality gap, which the check measures, and late rounding in the factor costs no accuracy of
  // the claim.
  dense::add_transposed(force, p.rows, out_->y.data());
  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    const double distance = force[j] > 0 ? (p.lower.empty() ? kInf : out_->x[at] - p.lower[at])
                                         : (p.upper.empty() ? kInf : p.upper[at] - out_->x[at]);
    if (distance <= length * column[at]) out_->z[at] = -force[j];
  }
}

// Checks the iterate; the best of those checked is what `result` holds at the end.
bool InteriorSolver::verified(const QpProblem& p) {
  best_x = out_->x;
  best_y = out_->y;
  best_z = out_->z;
  best_slack = out_->slack;
  const double best_objective = out_->objective;
  const QpResidual best = out_->residual;
  unscale(p);
  out_->residual =
      qp_residual(p, out_->x, out_->y, out_->z, check_, options_.tolerance, 1e6 * options_.tolerance);
  if (!(out_->residual.worst() < best.worst())) {
    out_->x.swap(best_x);
    out_->y.swap(best_y);
    out_->z.swap(best_z);
    out_->slack.swap(best_slack);
    out_->objective = best_objective;
    out_->residual = best;
  }
  return out_->residual.worst() <= options_.tolerance;
}

void InteriorSolver::name_violations(const QpProblem& p) {
  for (Index i = 0; i < kkt_.m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (!p.l1.empty() && std::isfinite(p.l1[at])) continue;
    const double value = dense::dot(p.rows.row(i), out_->x.data(), kkt_.n);
    const double amount = std::max(p.row_lower[at] - value, value - p.row_upper[at]);
    // In scaled units 1e-6 is far above what the elastic run leaves on a row that can hold.
    if (amount * row[at] / length > 1e-6) note_violation(out_->violated, static_cast<int>(i), amount);
  }
}

void InteriorSolver::solve(const QpProblem& p, QpResult& r, const std::function<bool()>* stop) {
  out_ = &r;
  equilibrate(p);
  if (!kkt_.convex()) {
    r.status = QpStatus::not_convex;
    return;
  }
  const auto check_answer = [&] { return verified(p); };
  using Core = InteriorPoint;
  const Core::End end = core.run(Core::Mode::solve, options_.max_iterations, std::ref(check_answer), stop);
  r.iterations += core.iterations();
  switch (end) {
    case Core::End::converged:
      r.status = QpStatus::optimal;
      return;
    case Core::End::stopped:
      verified(p);
      r.status = QpStatus::stopped;
      return;
    case Core::End::numeric:
      r.status = QpStatus::numeric;
      break;
    default:
      r.status = QpStatus::max_iterations;
  }
  // On the way a bound of the residual was enough to go on.
  r.residual = qp_residual(p, r.x, r.y, r.z, check_);
  if (r.residual.worst() <= options_.tolerance) r.status = QpStatus::optimal;
}

void InteriorSolver::least_violation(const QpProblem& p, QpResult& r, const std::function<bool()>* stop) {
  out_ = &r;
  equilibrate(p);
  const auto least = [&] { return core.scaled_residual() <= kElasticTolerance; };
  const InteriorPoint::End elastic =
      core.run(InteriorPoint::Mode::elastic, options_.max_iterations, std::ref(least), stop);
  r.iterations += core.iterations();
  unscale(p);
  if (elastic == InteriorPoint::End::converged) name_violations(p);
  if (elastic == InteriorPoint::End::stopped) r.status = QpStatus::stopped;
}

}  // namespace emisopt::detail
