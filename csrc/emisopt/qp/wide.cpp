#include "emisopt/qp/wide.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/interior_solver.hpp"
#include "emisopt/qp/wide_kkt.hpp"

namespace emisopt {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

constexpr double kElasticTolerance = 1e-8;  // scaled
constexpr double kElasticRounding = 1e-6;   // what that leaves on a row that can hold, or of its multiplier

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

double value_or(std::span<const double> v, Index i, double absent) { return v.empty() ? absent : v[at(i)]; }

// Compares before it formats: a solve must not touch the heap.
void check_length(const char* what, std::size_t got, Index want, bool may_be_empty = false) {
  if (static_cast<Index>(got) == want || (may_be_empty && got == 0)) return;
  throw ShapeError(std::string("WideSolver.solve(") + what + "): expected " + std::to_string(want) +
                   " entries, got " + std::to_string(got));
}

void check_room(const char* what, Index got, int room) {
  if (got > room)
    throw ShapeError("WideSolver.solve: expected at most " + std::to_string(room) + " " + what + ", got " +
                     std::to_string(got));
}

void check(const WideProblem& p, const WideSize& room) {
  const Index n = p.variables(), m = p.rows(), outputs = p.outputs.rows;
  if (n < 1 || p.band.cols < 1)
    throw ShapeError("WideSolver.solve(band): expected (n, b + 1), got (" + std::to_string(n) + ", " +
                     std::to_string(p.band.cols) + ")");
  check_room("variables", n, room.variables);
  check_room("outputs", outputs, room.outputs);
  check_room("rows", m, room.rows);
  check_room("entries of rows", static_cast<Index>(p.row_column.size()), room.entries);
  check_room("diagonals in the band", p.band.cols - 1, room.band);
  if (outputs > 0 && p.outputs.cols != n)
    throw ShapeError("WideSolver.solve(outputs): expected " + std::to_string(n) + " columns, got " +
                     std::to_string(p.outputs.cols));
  check_length("output_weight", p.output_weight.size(), outputs);
  check_length("gradient", p.gradient.size(), n);
  check_length("lower", p.lower.size(), n, true);
  check_length("upper", p.upper.size(), n, true);
  check_length("row_start", p.row_start.size(), m + 1, m == 0);
  check_length("row_value", p.row_value.size(), static_cast<Index>(p.row_column.size()));
  check_length("row_output", p.row_output.size(), m, true);
  check_length("row_upper", p.row_upper.size(), m);
  check_length("l1", p.l1.size(), m, true);
  check_length("l2", p.l2.size(), m, true);
  int before = 0;
  for (const int start : p.row_start) {
    if (start < before || start > static_cast<int>(p.row_column.size()) || (before == 0 && start < 0))
      throw ShapeError("WideSolver.solve(row_start): expected rising numbers up to " +
                       std::to_string(p.row_column.size()) + ", got " + std::to_string(start));
    before = start;
  }
  if (!p.row_start.empty() && (p.row_start.front() != 0 || before != static_cast<int>(p.row_column.size())))
    throw ShapeError("WideSolver.solve(row_start): expected 0 first and the number of entries last");
  for (const int column : p.row_column)
    if (column < 0 || column >= n)
      throw ShapeError("WideSolver.solve(row_column): expected 0.." + std::to_string(n - 1) + ", got " +
                       std::to_string(column));
  for (const int output : p.row_output)
    if (output < -1 || output >= outputs)
      throw ShapeError("WideSolver.solve(row_output): expected -1.." + std::to_string(outputs - 1) +
                       ", got " + std::to_string(output));
}

bool bounds_usable(std::span<const double> low, std::span<const double> high) {
  for (double v : low)
    if (std::isnan(v) || v == kInf) return false;
  for (double v : high)
    if (std::isnan(v) || v == -kInf) return false;
  return true;
}

// All but J: an answer that verifies has been multiplied with each of its entries.
bool usable(const WideProblem& p) {
  for (const auto& list : {p.gradient, p.row_value})
    for (double v : list)
      if (!std::isfinite(v)) return false;
  for (double v : p.output_weight)
    if (!(v >= 0) || !std::isfinite(v)) return false;
  for (Index j = 0; j < p.variables(); ++j)
    for (Index d = 0; d < p.band.cols && d <= j; ++d)
      if (!std::isfinite(p.band(j, d))) return false;
  for (double v : p.l1)
    if (!(v > 0)) return false;
  for (double v : p.l2)
    if (!(v >= 0) || !std::isfinite(v)) return false;
  return bounds_usable(p.lower, p.upper) && bounds_usable(p.row_lower, p.row_upper);
}

// Bounds that cross by themselves.
void note_crossed(const WideProblem& p, std::vector<QpViolation>& list) {
  const Index n = p.variables(), m = p.rows();
  for (Index j = 0; j < n; ++j)
    if (const double d = value_or(p.lower, j, -kInf) - value_or(p.upper, j, kInf); d > 0)
      detail::note_violation(list, static_cast<int>(m + j), d);
  for (Index i = 0; i < m; ++i)
    if (const double d = p.row_lower[at(i)] - p.row_upper[at(i)]; d > 0)
      detail::note_violation(list, static_cast<int>(i), d);
}

}  // namespace

struct WideSolver::Workspace {
  Workspace(WideSize r, QpOptions o) : room(r), options(o), kkt(r), core(kkt, r.variables, r.rows) {
    const auto n = at(r.variables), m = at(r.rows);
    for (auto* v : {&result.x, &result.z, &kept_x, &kept_z}) v->reserve(n);
    for (auto* v : {&result.y, &result.slack, &kept_y, &kept_slack}) v->reserve(m);
    result.violated.reserve(9);
    column.resize(n);
    row.resize(m);
    output.resize(at(r.outputs));
    memory.resize(wide_residual_memory(r.variables, r.rows, r.outputs));
  }

  void scale(const WideProblem& p);
  void unscale(const WideProblem& p);
  bool verified(const WideProblem& p);
  void objective(const WideProblem& p);
  bool prove(const WideProblem& p, const std::function<bool()>* stop);

  WideSize room;
  QpOptions options;
  detail::WideKkt kkt;
  detail::InteriorPoint core;
  QpResult result;
  std::vector<double> column, row, output, memory;  // x = column .* x', rows' factors, outputs' factors
  double cost = 1, worth = HUGE_VAL;                // mean product from which a check may pass
  std::vector<double> kept_x, kept_y, kept_z, kept_slack;
};

// H gets a unit diagonal; outputs and rows a largest entry of 1; then one length and one cost, as for dense
// problems (interior_solver.cpp).
void WideSolver::Workspace::scale(const WideProblem& p) {
  const Index n = p.variables(), m = p.rows(), outputs = p.outputs.rows;
  for (Index j = 0; j < n; ++j) column[at(j)] = std::max(0.0, p.band(j, 0));
  for (Index k = 0; k < outputs; ++k) {
    const double* a = p.outputs.row(k);
    const double w = p.output_weight[at(k)];
    if (w > 0)
      for (Index j = 0; j < n; ++j) column[at(j)] += w * a[j] * a[j];
  }
  double largest_g = 0, box = 0;
  for (Index j = 0; j < n; ++j) {
    double& c = column[at(j)];
    c = c > 1e-300 && c < 1e300 ? 1 / std::sqrt(c) : 0;
    largest_g = std::max(largest_g, c * std::abs(p.gradient[at(j)]));
  }
  // A variable without curvature of its own is as large as its box, or as the others.
  double typical = 0;
  for (Index j = 0; j < n; ++j) typical = std::max(typical, column[at(j)]);
  for (Index j = 0; j < n; ++j) {
    const double low = value_or(p.lower, j, -kInf), high = value_or(p.upper, j, kInf);
    const double reach = std::max(std::abs(low), std::abs(high));
    double& c = column[at(j)];
    if (c == 0) c = reach > 0 && reach < kInf ? reach : typical > 0 ? typical : 1;
    if (reach < kInf) box = std::max(box, reach / c);
    largest_g = std::max(largest_g, c * std::abs(p.gradient[at(j)]));
  }
  double length = largest_g > 0 ? largest_g : kInf;
  if (box > 0) length = std::min(length, box);
  if (!(length < kInf)) length = 1;
  cost = 1 / std::max(length * largest_g, length * length);
  for (Index j = 0; j < n; ++j) column[at(j)] *= length;

  for (Index k = 0; k < outputs; ++k) {
    const double* a = p.outputs.row(k);
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    Index j = 0;
    for (; j + 4 <= n; j += 4) {
      s0 = std::max(s0, std::abs(a[j] * column[at(j)]));
      s1 = std::max(s1, std::abs(a[j + 1] * column[at(j + 1)]));
      s2 = std::max(s2, std::abs(a[j + 2] * column[at(j + 2)]));
      s3 = std::max(s3, std::abs(a[j + 3] * column[at(j + 3)]));
    }
    for (; j < n; ++j) s0 = std::max(s0, std::abs(a[j] * column[at(j)]));
    const double largest = std::max(std::max(s0, s1), std::max(s2, s3));
    output[at(k)] = largest > 0 && largest < kInf ? 1 / largest : 1;
  }
  for (Index i = 0; i < m; ++i) {
    const int k = p.row_output.empty() ? -1 : p.row_output[at(i)];
    double largest = 0;
    for (int e = p.row_start[at(i)]; e < p.row_start[at(i) + 1]; ++e)
      largest = std::max(largest, std::abs(p.row_value[at(e)] * column[at(p.row_column[at(e)])]));
    row[at(i)] = k >= 0 ? output[at(k)] : largest > 0 ? 1 / largest : 1;
  }
  for (Index j = 0; j < n; ++j) {
    const double c = column[at(j)];
    core.gradient[at(j)] = cost * c * p.gradient[at(j)];
    core.lower[at(j)] = value_or(p.lower, j, -kInf) / c;
    core.upper[at(j)] = value_or(p.upper, j, kInf) / c;
  }
  for (Index i = 0; i < m; ++i) {
    const double unit = row[at(i)];
    core.row_lower[at(i)] = p.row_lower[at(i)] * unit;
    core.row_upper[at(i)] = p.row_upper[at(i)] * unit;
    core.l1[at(i)] = p.l1.empty() ? kInf : cost * p.l1[at(i)] / unit;
    core.l2[at(i)] = p.l2.empty() || p.l1.empty() ? 0 : cost * p.l2[at(i)] / (unit * unit);
  }
}

void WideSolver::Workspace::unscale(const WideProblem& p) {
  QpResult& r = result;
  for (Index j = 0; j < p.variables(); ++j) {
    const auto k = at(j);
    const double low = value_or(p.lower, j, -kInf), high = value_or(p.upper, j, kInf);
    r.x[k] = std::min(std::max(column[k] * core.x[k], low), high);
    // A bound takes up what stationarity still lacks: it becomes a term of the duality gap, which is checked.
    double z = core.z[k];
    const double taken = z - core.rest[k];
    const double distance = taken > 0 ? core.upper[k] - core.x[k] : core.x[k] - core.lower[k];
    if (distance <= 1) z = taken;
    r.z[k] = z / (cost * column[k]);
  }
  for (Index i = 0; i < p.rows(); ++i) {
    const auto k = at(i);
    r.y[k] = core.y[k] * row[k] / cost;
    r.slack[k] = 0;
    if (p.l1.empty() || !std::isfinite(p.l1[k])) continue;
    const double value = core.value[k] / row[k];
    const double slack = std::max({0.0, p.row_lower[k] - value, value - p.row_upper[k]});
    // Below what the check can tell from zero it is zero, so that an exact penalty reads as exact.
    if (slack * row[k] > 10 * options.tolerance && cost * p.l1[k] * slack > 10 * options.tolerance)
      r.slack[k] = slack;
  }
}

// Checks the iterate; the best of those checked is what `result` holds at the end.
bool WideSolver::Workspace::verified(const WideProblem& p) {
  QpResult& r = result;
  kept_x.swap(r.x);
  kept_y.swap(r.y);
  kept_z.swap(r.z);
  kept_slack.swap(r.slack);
  const QpResidual kept = r.residual;
  unscale(p);
  r.residual = wide_residual(p, r.x, r.y, r.z, memory);
  if (!(r.residual.worst() < kept.worst())) {
    kept_x.swap(r.x);
    kept_y.swap(r.y);
    kept_z.swap(r.z);
    kept_slack.swap(r.slack);
    r.residual = kept;
  }
  // A gap falls as the products do: until it may have fallen enough, no check.
  worth = core.mean_product() * std::min(1.0, 10 * options.tolerance / r.residual.complementarity);
  return r.residual.worst() <= options.tolerance;
}

void WideSolver::Workspace::objective(const WideProblem& p) {
  QpResult& r = result;
  double twice = 0;
  if (r.status == QpStatus::optimal) {  // x'Hx = -x'(g + A'y + z)
    for (Index j = 0; j < p.variables(); ++j) twice += r.x[at(j)] * (p.gradient[at(j)] - r.z[at(j)]);
    for (Index i = 0; i < p.rows(); ++i) twice -= r.y[at(i)] * core.value[at(i)] / row[at(i)];
  } else {
    for (Index j = 0; j < p.variables(); ++j) {
      double force = p.band(j, 0) * r.x[at(j)];
      for (Index d = 1; d < p.band.cols && d <= j; ++d) force += 2 * p.band(j, d) * r.x[at(j - d)];
      twice += r.x[at(j)] * (2 * p.gradient[at(j)] + force);
    }
    for (Index k = 0; k < p.outputs.rows; ++k) {
      const double value = dense::dot(p.outputs.row(k), r.x.data(), p.variables());
      twice += p.output_weight[at(k)] * value * value;
    }
  }
  r.objective = 0.5 * twice;
  for (Index i = 0; i < p.rows(); ++i)
    if (r.slack[at(i)] > 0)
      r.objective += r.slack[at(i)] * (p.l1[at(i)] + 0.5 * value_or(p.l2, i, 0) * r.slack[at(i)]);
}

// The point of least total violation; its multipliers, without what is rounding among them, are the proof.
bool WideSolver::Workspace::prove(const WideProblem& p, const std::function<bool()>* stop) {
  const auto least = [&] { return core.scaled_residual() <= kElasticTolerance; };
  const auto end =
      core.run(detail::InteriorPoint::Mode::elastic, options.max_iterations, std::ref(least), stop);
  result.iterations += core.iterations();
  if (end != detail::InteriorPoint::End::converged) return false;
  const auto n = at(p.variables()), m = at(p.rows());
  for (std::size_t i = 0; i < m; ++i)
    kept_y[i] = std::abs(core.y[i]) <= kElasticRounding ? 0 : core.y[i] * row[i] / cost;
  if (!proves_infeasible(p, kept_y, kept_z, memory)) return false;
  for (std::size_t j = 0; j < n; ++j) {
    const auto k = static_cast<Index>(j);
    result.x[j] = std::clamp(column[j] * core.x[j], value_or(p.lower, k, -kInf), value_or(p.upper, k, kInf));
  }
  std::copy_n(kept_y.begin(), m, result.y.begin());
  std::copy_n(kept_z.begin(), n, result.z.begin());
  result.residual = wide_residual(p, result.x, result.y, result.z, memory);
  for (std::size_t i = 0; i < m; ++i) {
    result.slack[i] = 0;
    if (!p.l1.empty() && std::isfinite(p.l1[i])) continue;
    const double value = core.value[i] / row[i],
                 amount = std::max(p.row_lower[i] - value, value - p.row_upper[i]);
    if (amount * row[i] > kElasticRounding)
      detail::note_violation(result.violated, static_cast<int>(i), amount);
  }
  return true;
}

WideSolver::WideSolver(WideSize room, QpOptions options) {
  if (room.variables < 1 || room.outputs < 0 || room.rows < 0 || room.entries < 0 || room.band < 0 ||
      options.max_iterations < 1 || !(options.tolerance > 0))
    throw InputError(
        "WideSolver: expected variables >= 1, no negative sizes, max_iterations >= 1, tolerance > 0");
  work_ = std::make_unique<Workspace>(room, options);
}
WideSolver::~WideSolver() = default;
WideSolver::WideSolver(WideSolver&&) noexcept = default;

const QpResult& WideSolver::solve(const WideProblem& p, const std::function<bool()>* stop) {
  Workspace& w = *work_;
  check(p, w.room);
  const auto n = at(p.variables()), m = at(p.rows());
  QpResult& r = w.result;
  for (auto* v : {&r.x, &r.z, &w.kept_x, &w.kept_z}) v->assign(n, 0.0);
  for (auto* v : {&r.y, &r.slack, &w.kept_y, &w.kept_slack}) v->assign(m, 0.0);
  r.violated.clear();
  r.objective = 0;
  r.iterations = 0;
  r.residual = {kInf, kInf, kInf};
  r.method = QpMethod::interior_point;
  r.status = QpStatus::invalid;
  if (!usable(p)) return r;
  note_crossed(p, r.violated);
  r.status = QpStatus::infeasible;
  if (!r.violated.empty()) return r;
  w.scale(p);
  r.status = QpStatus::numeric;
  if (!w.kkt.load(p, w.column.data(), w.row.data(), w.output.data(), w.cost)) return r;
  w.worth = HUGE_VAL;
  const auto accept = [&] { return w.core.mean_product() <= w.worth && w.verified(p); };
  using Core = detail::InteriorPoint;
  const Core::End end = w.core.run(Core::Mode::solve, w.options.max_iterations, std::ref(accept), stop);
  r.iterations = w.core.iterations();
  const bool solved = end == Core::End::converged || w.verified(p);
  r.status = end == Core::End::stopped   ? QpStatus::stopped
             : solved                    ? QpStatus::optimal
             : end == Core::End::numeric ? QpStatus::numeric
                                         : QpStatus::max_iterations;
  if (!solved && end != Core::End::stopped && !(r.residual.primal <= w.options.tolerance) && w.prove(p, stop))
    r.status = QpStatus::infeasible;
  w.objective(p);
  return r;
}

DenseCopy to_dense(const WideProblem& p) {
  const Index n = p.variables(), m = p.rows();
  DenseCopy c{Matrix(n, n), Matrix(m, n), {}};
  for (Index j = 0; j < n; ++j)
    for (Index d = 0; d < p.band.cols && d <= j; ++d)
      c.hessian(j, j - d) = c.hessian(j - d, j) = p.band(j, d);
  for (Index k = 0; k < p.outputs.rows; ++k) {
    const double* a = p.outputs.row(k);
    for (Index i = 0; i < n; ++i)
      if (a[i] != 0) dense::axpy(c.hessian.row(i), p.output_weight[at(k)] * a[i], a, n);
  }
  for (Index i = 0; i < m; ++i) {
    const int k = p.row_output.empty() ? -1 : p.row_output[at(i)];
    if (k >= 0) std::copy_n(p.outputs.row(k), n, c.rows.row(i));
    for (int e = p.row_start[at(i)]; e < p.row_start[at(i) + 1]; ++e)
      c.rows(i, p.row_column[at(e)]) += p.row_value[at(e)];
  }
  c.problem = {c.hessian.view(), p.gradient,  p.lower, p.upper, c.rows.view(),
               p.row_lower,      p.row_upper, p.l1,    p.l2};
  return c;
}

}  // namespace emisopt
