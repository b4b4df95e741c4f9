#include "emisopt/qp/qp.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "emisopt/base/error.hpp"
#include "emisopt/qp/certificate.hpp"
#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/dual_active_set.hpp"
#include "emisopt/qp/interior_solver.hpp"
#include "emisopt/qp/reduction.hpp"

namespace emisopt {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kClean = 1e-4;          // of the tolerance: no refinement is worth its time
constexpr double kInnerShare = 1e-3;     // of the tolerance, for a problem without its equalities
constexpr Index kActiveSetOrder = 2048;  // cold starts up to here begin with the active set method

// 0 x is NaN where x is not finite, and a sum keeps it: no branch per entry.
bool all_finite(ConstView m) {
  double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (Index i = 0; i < m.rows; ++i) {
    const double* a = m.row(i);
    Index j = 0;
    for (; j + 4 <= m.cols; j += 4) {
      s0 += 0 * a[j];
      s1 += 0 * a[j + 1];
      s2 += 0 * a[j + 2];
      s3 += 0 * a[j + 3];
    }
    for (; j < m.cols; ++j) s0 += 0 * a[j];
  }
  return (s0 + s1) + (s2 + s3) == 0;
}

// NaN, a lower bound of +inf or an upper bound of -inf cannot be meant. No branch per entry: a solver that is
// asked now and then has none predicted.
bool bounds_usable(std::span<const double> low, std::span<const double> high) {
  int bad = 0;
  for (double v : low) bad |= !(v < kInf);
  for (double v : high) bad |= !(v > -kInf);
  return bad == 0;
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

// All but the matrices: those are looked at when an answer does not verify, because an answer that does has
// been multiplied with every entry.
bool usable(const QpProblem& p) {
  int bad = 0;
  for (double v : p.gradient) bad |= !(std::abs(v) < kInf);
  for (double v : p.l1) bad |= !(v > 0);
  for (double v : p.l2) bad |= !(v >= 0) | !(v < kInf);
  return bad == 0 && bounds_usable(p.lower, p.upper) && bounds_usable(p.row_lower, p.row_upper);
}

// Multipliers to start from; none, or of no use: a cold start.
bool usable_start(const QpProblem& p, std::span<const double> y, std::span<const double> z) {
  if (y.empty() && z.empty()) return false;
  check_length("QpSolver.solve_from(y)", y.size(), p.rows.rows);
  check_length("QpSolver.solve_from(z)", z.size(), p.hessian.rows);
  int bad = 0;
  for (double v : y) bad |= !(std::abs(v) < kInf);
  for (double v : z) bad |= !(std::abs(v) < kInf);
  return bad == 0;
}

// In advance, by size alone: from a cold start the interior point method needs a number of factorisations
// that hardly grows, the active set method a step per constraint that binds (docs/qp.md has the figures).
bool chooses_active_set(const QpProblem& p) { return p.hessian.rows <= kActiveSetOrder; }

}  // namespace

struct QpSolver::Workspace {
  Workspace(int max_variables, int max_rows, QpOptions o)
      : max_n(max_variables),
        max_m(max_rows),
        options(o),
        dual(max_variables, max_rows),
        interior(max_variables, max_rows, o),
        reduction(max_variables, max_rows) {
    const auto nn = static_cast<std::size_t>(max_n), mm = static_cast<std::size_t>(max_m);
    for (auto* v : {&result.x, &result.z}) v->reserve(nn);
    for (auto* v : {&result.y, &result.slack}) v->reserve(mm);
    result.violated.reserve(9);
    memory.resize(qp_residual_memory(max_n, max_m));
    metric.resize(nn * nn);
    zero.resize(nn);
    shifted.resize(nn);
    proof_y.resize(mm);
    proof_z.resize(nn);
    for (auto* v : {&kept_x, &kept_z}) v->reserve(nn);
    kept_y.reserve(mm);
  }

  /// What every solve begins with. False: the result says already why not.
  bool begin(const QpProblem& p);
  /// The active set method's End as a status; `optimal` only when verified.
  bool judge(const QpProblem& p, detail::DualActiveSet::End end);
  void take(const QpProblem& p);
  void interior_point(const QpProblem& p, const std::function<bool()>* stop);
  const QpResult& fall_back(const QpProblem& p, bool tried_active, const std::function<bool()>* stop);
  const QpResult& cold_or_warm(const QpProblem& p, std::span<const double> y, std::span<const double> z,
                               const std::function<bool()>* stop);
  bool reduced(const QpProblem& p, const std::function<bool()>* stop);
  bool proximal(const QpProblem& p, const std::function<bool()>* stop);
  bool prove(const QpProblem& p);
  void infeasible(const QpProblem& p, const std::function<bool()>* stop);
  int pivots(const QpProblem& p) const {
    return options.max_iterations * static_cast<int>(4 + (p.hessian.rows + p.rows.rows) / 4);
  }

  int max_n, max_m;
  QpOptions options;
  detail::DualActiveSet dual;
  detail::InteriorSolver interior;
  detail::Reduction reduction;
  QpResult result;
  std::vector<double> memory, metric, zero, shifted, proof_y, proof_z, kept_x, kept_y, kept_z;
  bool loaded = false;  // dual holds the matrices of the last problem
};

bool QpSolver::Workspace::begin(const QpProblem& p) {
  check(p, max_n, max_m);
  const auto n = static_cast<std::size_t>(p.hessian.rows), m = static_cast<std::size_t>(p.rows.rows);
  QpResult& r = result;
  r.x.assign(n, 0.0);
  r.z.assign(n, 0.0);
  r.y.assign(m, 0.0);
  r.slack.assign(m, 0.0);
  r.violated.clear();
  r.objective = 0;
  r.iterations = 0;
  r.residual = {kInf, kInf, kInf};
  r.status = QpStatus::invalid;
  r.method = QpMethod::automatic;
  if (!usable(p)) return false;
  int crossed = 0;
  for (std::size_t j = 0; j < n && !p.lower.empty() && !p.upper.empty(); ++j)
    crossed |= p.lower[j] > p.upper[j];
  for (std::size_t i = 0; i < m; ++i) crossed |= p.row_lower[i] > p.row_upper[i];
  if (!crossed) return true;
  for (std::size_t j = 0; j < n && !p.lower.empty() && !p.upper.empty(); ++j)
    if (p.lower[j] > p.upper[j])
      detail::note_violation(r.violated, static_cast<int>(m + j), p.lower[j] - p.upper[j]);
  for (std::size_t i = 0; i < m; ++i)
    if (p.row_lower[i] > p.row_upper[i])
      detail::note_violation(r.violated, static_cast<int>(i), p.row_lower[i] - p.row_upper[i]);
  r.status = QpStatus::infeasible;
  return false;
}

// The answer of the active set method in the caller's terms, and the check of it.
void QpSolver::Workspace::take(const QpProblem& p) {
  const auto n = static_cast<std::size_t>(p.hessian.rows), m = static_cast<std::size_t>(p.rows.rows);
  QpResult& r = result;
  double twice = 0;  // x'Hx = -x'(g + A'y + z)
  for (std::size_t j = 0; j < n; ++j) {
    double v = dual.x[j];
    if (!p.lower.empty()) v = std::max(v, p.lower[j]);
    if (!p.upper.empty()) v = std::min(v, p.upper[j]);
    r.x[j] = v;
    r.z[j] = dual.z[j];
    twice += v * (p.gradient[j] - dual.z[j]);
  }
  double paid = 0;
  for (std::size_t i = 0; i < m; ++i) {
    const double y = dual.y[i];
    r.y[i] = y;
    r.slack[i] = 0;
    if (y == 0) continue;
    const double value = dual.row_value(static_cast<int>(i));
    twice -= y * value;
    if (p.l1.empty() || std::abs(y) < p.l1[i] || p.l1[i] == kInf) continue;
    const double slack = std::max(0.0, y > 0 ? value - p.row_upper[i] : p.row_lower[i] - value);
    if (slack <= 10 * options.tolerance * std::abs(value)) continue;  // what the check cannot tell from zero
    r.slack[i] = slack;
    paid += slack * (p.l1[i] + 0.5 * (p.l2.empty() ? 0 : p.l2[i]) * slack);
  }
  r.objective = 0.5 * twice + paid;
  r.residual = qp_residual(p, r.x, r.y, r.z, memory, options.tolerance);
}

bool QpSolver::Workspace::judge(const QpProblem& p, detail::DualActiveSet::End end) {
  using End = detail::DualActiveSet::End;
  result.method = QpMethod::active_set;
  result.iterations += dual.pivots();
  if (end == End::infeasible) {
    std::copy_n(dual.y.begin(), result.y.size(), proof_y.begin());
    std::copy_n(dual.z.begin(), result.z.size(), proof_z.begin());
    result.status = detail::proves_infeasible(p, proof_y, proof_z) ? QpStatus::infeasible : QpStatus::numeric;
    return result.status == QpStatus::infeasible;
  }
  result.status = end == End::stopped ? QpStatus::stopped : QpStatus::max_iterations;
  // Weights of slacks far above the gradient cost digits: one refinement is made while some can be had
  // cheaply, more only where the answer would fail.
  take(p);
  for (int k = 0; k < 3 && end == End::converged && dual.binds() &&
                  !(result.residual.worst() <= (k == 0 ? kClean : 1) * options.tolerance);
       ++k) {
    dual.refine(p);
    take(p);
  }
  if (end == End::converged && result.residual.worst() <= options.tolerance)
    result.status = QpStatus::optimal;
  return result.status == QpStatus::optimal || result.status == QpStatus::stopped;
}

void QpSolver::Workspace::interior_point(const QpProblem& p, const std::function<bool()>* stop) {
  result.method = QpMethod::interior_point;
  result.residual = {kInf, kInf, kInf};
  interior.solve(p, result, stop);
}

// The other method, then the question whether there is an answer.
const QpResult& QpSolver::Workspace::fall_back(const QpProblem& p, bool tried_active,
                                               const std::function<bool()>* stop) {
  QpResult& r = result;
  if (!all_finite(p.hessian) || !all_finite(p.rows)) {
    for (auto* v : {&r.x, &r.y, &r.z, &r.slack}) std::fill(v->begin(), v->end(), 0.0);
    r.violated.clear();
    r.objective = 0;
    r.iterations = 0;
    r.residual = {kInf, kInf, kInf};
    r.status = QpStatus::invalid;
    return r;
  }
  const auto settled = [&] {
    return r.status == QpStatus::optimal || r.status == QpStatus::stopped || r.status == QpStatus::not_convex;
  };
  if (!tried_active || options.method == QpMethod::automatic) {
    interior_point(p, stop);
    if (settled()) return r;
  }
  if (!tried_active && options.method == QpMethod::automatic && dual.load(p)) {
    const QpStatus before = r.status;
    loaded = true;
    if (judge(p, dual.run(p, {}, {}, pivots(p), stop))) {
      if (r.status == QpStatus::infeasible) infeasible(p, stop);
      return r;
    }
    r.status = before;
  }
  // Not solved: can the hard rows hold at all?
  if (!(r.residual.primal <= options.tolerance) && prove(p)) infeasible(p, stop);
  return r;
}

// Can the hard rows hold at all? The dual method on a Hessian of its own answers with multipliers.
bool QpSolver::Workspace::prove(const QpProblem& p) {
  const Index n = p.hessian.rows;
  QpProblem nearest = p;
  View h(metric.data(), n, n);
  std::fill_n(metric.begin(), n * n, 0.0);
  for (Index j = 0; j < n; ++j) {
    double size = 0;
    for (Index i = 0; i < p.rows.rows; ++i) size = std::max(size, std::abs(p.rows(i, j)));
    h(j, j) = size > 0 ? size * size : 1;
  }
  nearest.hessian = h;
  nearest.gradient = std::span<const double>(zero.data(), static_cast<std::size_t>(n));
  loaded = false;
  if (!dual.load(nearest)) return false;
  if (dual.run(nearest, {}, {}, pivots(p), nullptr) != detail::DualActiveSet::End::infeasible) return false;
  std::copy_n(dual.y.begin(), result.y.size(), proof_y.begin());
  std::copy_n(dual.z.begin(), result.z.size(), proof_z.begin());
  return detail::proves_infeasible(p, proof_y, proof_z);
}

// With the proof at hand: the point of least total violation and by how much each row is off there.
void QpSolver::Workspace::infeasible(const QpProblem& p, const std::function<bool()>* stop) {
  QpResult& r = result;
  r.status = QpStatus::infeasible;
  interior.least_violation(p, r, stop);
  std::copy_n(proof_y.begin(), r.y.size(), r.y.begin());
  std::copy_n(proof_z.begin(), r.z.size(), r.z.begin());
  r.residual = qp_residual(p, r.x, r.y, r.z, memory, options.tolerance);
  if (!r.violated.empty()) return;
  const auto m = r.y.size();
  for (std::size_t i = 0; i < m; ++i)
    if (r.y[i] != 0) detail::note_violation(r.violated, static_cast<int>(i), 0);
  for (std::size_t j = 0; j < r.z.size(); ++j)
    if (r.z[j] != 0) detail::note_violation(r.violated, static_cast<int>(m + j), 0);
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
  return solve_from(p, {}, {}, stop);
}

const QpResult& QpSolver::solve_from(const QpProblem& p, std::span<const double> y, std::span<const double> z,
                                     const std::function<bool()>* stop) {
  Workspace& w = *work_;
  if (!w.begin(p)) return w.loaded = false, w.result;
  const bool warm = usable_start(p, y, z);
  if (!warm && w.reduction.worthwhile(p) && w.reduced(p, stop)) return w.result;
  return warm ? w.cold_or_warm(p, y, z, stop) : w.cold_or_warm(p, {}, {}, stop);
}

const QpResult& QpSolver::Workspace::cold_or_warm(const QpProblem& p, std::span<const double> y,
                                                  std::span<const double> z,
                                                  const std::function<bool()>* stop) {
  const bool warm = !y.empty() || !z.empty();
  loaded = false;
  const bool active = options.method == QpMethod::active_set ||
                      (options.method == QpMethod::automatic && (warm || chooses_active_set(p)));
  detail::DualActiveSet::End end{};
  if (active && warm && dual.run_tied(p, y, z, pivots(p), stop, end) && judge(p, end)) {
    if (result.status == QpStatus::infeasible) infeasible(p, stop);
    return result;
  }
  if (active && dual.load(p)) {
    loaded = true;
    if (judge(p, warm ? dual.run(p, {dual.start_y.data(), p.row_lower.size()},
                                 {dual.start_z.data(), p.gradient.size()}, pivots(p), stop)
                      : dual.run(p, {}, {}, pivots(p), stop))) {
      if (result.status == QpStatus::infeasible) infeasible(p, stop);
      return result;
    }
  }
  return fall_back(p, active, stop);
}

// A singular H, as condensed problems have it where inputs cost nothing: the dual method on H + eps D. What
// that changed, steps of refinement with H itself take back (the proximal point method; Rockafellar 1976).
bool QpSolver::Workspace::proximal(const QpProblem& p, const std::function<bool()>* stop) {
  constexpr double kProximal = 1e-9;  // eps, of the diagonal of H
  constexpr int kProximalSteps = 4;
  const Index n = p.hessian.rows;
  QpProblem near = p;
  View h(metric.data(), n, n);
  double largest = 0;
  for (Index j = 0; j < n; ++j) {
    std::copy_n(p.hessian.row(j), n, h.row(j));
    largest = std::max(largest, h(j, j));
  }
  if (!(largest > 0)) return false;
  for (Index j = 0; j < n; ++j) h(j, j) += kProximal * (h(j, j) > 0 ? h(j, j) : largest);
  near.hessian = h;
  if (!dual.load(near)) return false;
  result.method = QpMethod::active_set;
  near.gradient = std::span<const double>(shifted.data(), static_cast<std::size_t>(n));
  std::copy_n(p.gradient.begin(), n, shifted.begin());
  using End = detail::DualActiveSet::End;
  End end = dual.run(near, {}, {}, pivots(p), stop);
  for (int k = 0; k < kProximalSteps && end == End::converged; ++k) {
    result.iterations += dual.pivots();
    for (int steps = 0; steps < 2; ++steps) {  // with H itself, the set as it is
      dual.refine(p);
      // Where several sets give the same x, rounding may turn the sign of a multiplier of 0.
      for (std::size_t i = 0; i < result.y.size(); ++i)
        if (std::isinf(dual.y[i] > 0 ? p.row_upper[i] : p.row_lower[i])) dual.y[i] = 0;
      for (std::size_t j = 0; j < result.z.size(); ++j)
        if (dual.z[j] > 0 ? p.upper.empty() || std::isinf(p.upper[j])
                          : p.lower.empty() || std::isinf(p.lower[j]))
          dual.z[j] = 0;
      take(p);
      if (result.residual.worst() <= options.tolerance) {
        result.status = QpStatus::optimal;
        return true;
      }
    }
    for (Index j = 0; j < n; ++j)
      shifted[static_cast<std::size_t>(j)] =
          p.gradient[static_cast<std::size_t>(j)] -
          (h(j, j) - p.hessian(j, j)) * dual.x[static_cast<std::size_t>(j)];
    end = dual.feedback(near, pivots(p), stop);
  }
  return false;
}

// Without fixed variables and what equalities determine. False: no verified answer that way.
bool QpSolver::Workspace::reduced(const QpProblem& p, const std::function<bool()>* stop) {
  const QpProblem smaller = reduction.reduce(p);
  QpResult& r = result;
  // What is small among the terms of the smaller problem need not be small among those of `p`.
  const double tolerance = options.tolerance;
  options.tolerance *= kInnerShare;
  interior.tolerance(options.tolerance);
  const bool dual_first = options.method != QpMethod::interior_point;
  if (begin(smaller) && !(dual_first && proximal(smaller, stop)) && begin(smaller))
    cold_or_warm(smaller, {}, {}, stop);
  options.tolerance = tolerance;
  interior.tolerance(tolerance);
  loaded = false;
  const bool solved = r.status == QpStatus::stopped || r.residual.worst() <= tolerance;
  const QpStatus status = r.status;
  const QpMethod method = r.method;
  const int iterations = r.iterations;
  kept_x.assign(r.x.begin(), r.x.end());
  kept_y.assign(r.y.begin(), r.y.end());
  kept_z.assign(r.z.begin(), r.z.end());
  begin(p);
  if (!solved) return false;
  reduction.restore(p, kept_x, kept_y, kept_z, r.x, r.y, r.z);
  r.status = status == QpStatus::stopped ? status : QpStatus::optimal;
  r.method = method;
  r.iterations = iterations;
  dense::multiply(memory.data(), p.hessian, r.x.data());
  for (std::size_t j = 0; j < r.x.size(); ++j) r.objective += r.x[j] * (p.gradient[j] + 0.5 * memory[j]);
  for (std::size_t i = 0; i < r.y.size(); ++i) {
    if (p.l1.empty() || !std::isfinite(p.l1[i]) || std::abs(r.y[i]) < p.l1[i]) continue;
    const double value = dense::dot(p.rows.row(static_cast<Index>(i)), r.x.data(), p.hessian.rows);
    const double slack = std::max({0.0, value - p.row_upper[i], p.row_lower[i] - value});
    if (slack <= 10 * options.tolerance * std::abs(value)) continue;
    r.slack[i] = slack;
    r.objective += slack * (p.l1[i] + 0.5 * (p.l2.empty() ? 0 : p.l2[i]) * slack);
  }
  r.residual = qp_residual(p, r.x, r.y, r.z, memory, options.tolerance);
  if (!(r.residual.worst() <= options.tolerance)) {
    reduction.correct(p, r.x, r.y, r.z);
    r.residual = qp_residual(p, r.x, r.y, r.z, memory, options.tolerance);
  }
  return status == QpStatus::stopped || r.residual.worst() <= options.tolerance;
}

bool QpSolver::prepare(const QpProblem& p) {
  Workspace& w = *work_;
  w.loaded = false;
  if (!w.begin(p) || !w.dual.load(p)) return false;
  w.dual.prebuild();
  return w.loaded = true;
}

const QpResult& QpSolver::feedback(const QpProblem& p, std::span<const double> y, std::span<const double> z,
                                   const std::function<bool()>* stop) {
  Workspace& w = *work_;
  if (!w.loaded && w.dual.tied() && w.dual.fits(p) && y.empty() && z.empty()) {
    w.kept_y.assign(w.dual.y.begin(), w.dual.y.begin() + p.rows.rows);
    w.kept_z.assign(w.dual.z.begin(), w.dual.z.begin() + p.hessian.rows);
    return solve_from(p, w.kept_y, w.kept_z, stop);
  }
  if (!w.loaded || !w.dual.fits(p)) return solve_from(p, y, z, stop);
  if (!w.begin(p)) return w.result;
  const bool named = usable_start(p, y, z);
  if (w.judge(p, named ? w.dual.run(p, y, z, w.pivots(p), stop) : w.dual.feedback(p, w.pivots(p), stop))) {
    if (w.result.status == QpStatus::infeasible) w.infeasible(p, stop);
    return w.result;
  }
  return solve(p, stop);
}

}  // namespace emisopt
