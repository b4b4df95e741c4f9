// How a run of the dual active set method begins and ends (the steps between: dual_active_set.cpp).
#include <algorithm>
#include <cmath>
#include <limits>

#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/dual_active_set.hpp"

namespace emisopt::detail {
namespace {
std::size_t at(Index i) { return static_cast<std::size_t>(i); }
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int kOneByOne = 12;    // members up to which a set is opened by joining, with the same code
constexpr int kRounds = 6;       // of letting ties go
constexpr int kMany = 1;         // ties that contradict: more, and the load has jumped
constexpr int kWorthTying = 16;  // ties are at least one in so many of the variables, and a third of the set
}  // namespace

void DualActiveSet::take_bounds(const QpProblem& p) {
  const Index n = metric_.n, m = metric_.m;
  std::copy_n(p.row_lower.begin(), m, low_.begin());
  std::copy_n(p.row_upper.begin(), m, high_.begin());
  if (p.lower.empty())
    std::fill_n(low_.begin() + m, n, -kInf);
  else
    std::copy_n(p.lower.begin(), n, low_.begin() + m);
  if (p.upper.empty())
    std::fill_n(high_.begin() + m, n, kInf);
  else
    std::copy_n(p.upper.begin(), n, high_.begin() + m);
  if (p.l1.empty())
    std::fill_n(l1_.begin(), m, kInf);
  else
    std::copy_n(p.l1.begin(), m, l1_.begin());
  if (p.l2.empty())
    std::fill_n(l2_.begin(), m, 0.0);
  else
    std::copy_n(p.l2.begin(), m, l2_.begin());
}

void DualActiveSet::start(const QpProblem& p) {
  const Index n = metric_.n;
  double* force = u_.data();  // at x0, which is 0 where nothing is tied
  if (tied())
    table_.gemv(force, p.hessian.data, p.hessian.stride, ties_.offsets(), static_cast<int>(n),
                static_cast<int>(n));
  else
    std::fill_n(force, n, 0.0);
  for (Index j = 0; j < n; ++j) force[j] = -force[j] - p.gradient[at(j)];
  if (held_ > 0)
    for (Index i = 0; i < metric_.m; ++i)
      if (std::abs(state_[at(i)]) == 3)
        dense::axpy(force, state_[at(i)] > 0 ? -l1_[at(i)] : l1_[at(i)], p.rows.row(i), n);
  metric_.gather(origin_.data(), force);
  metric_.forward(origin_.data());
  products(origin_.data(), right_.data());
  for (int i = 0; i < factor_.size(); ++i) right_[at(i)] -= bound(i) - metric_.offset(id_[at(i)]);
  factor_.stale(0);
}

// The working set of given multipliers, in one block: rows, Gram matrix, factor.
void DualActiveSet::open_set(std::span<const double> y0, std::span<const double> z0) {
  const Index n = metric_.n, m = metric_.m, d = metric_.d;
  std::fill_n(state_.begin(), m + n, 0);
  for (int t = 0; t < ties_.count(); ++t) state_[at(ties_.constraint(t))] = kTied;
  held_ = 0;
  int count = 0;
  const int room = static_cast<int>(std::min<Index>(factor_.capacity(), m + n));
  const auto enter = [&](int k, double lambda) {
    const bool both = low_[at(k)] == high_[at(k)];
    if ((lambda == 0 && !both) || state_[at(k)] == kTied) return;
    const int side = lambda >= 0 ? 1 : -1;
    if (!both && !std::isfinite(side > 0 ? high_[at(k)] : low_[at(k)])) return;
    bool beyond = false;
    if (soft(k) && std::abs(lambda) >= l1_[at(k)] * (1 - 1e-9)) {
      if (l2_[at(k)] == 0) {
        state_[at(k)] = static_cast<signed char>(3 * side);
        ++held_;
        return;
      }
      beyond = true;
    }
    if (count == room) return;
    id_[at(count)] = k;
    state_[at(k)] = static_cast<signed char>(beyond ? 2 * side : side);
    ranges(k, beyond, side, least_[at(count)], most_[at(count)]);
    lambda_[at(count)] = std::clamp(lambda, least_[at(count)], most_[at(count)]);
    open_[at(count)] = beyond ? 1 / l2_[at(k)] : 0;
    ++count;
  };
  for (Index k = 0; k < m; ++k) enter(static_cast<int>(k), y0.empty() ? 0 : y0[at(k)]);
  for (Index j = 0; j < n; ++j) enter(static_cast<int>(m + j), z0.empty() ? 0 : z0[at(j)]);

  metric_.build(id_.data(), count);
  if (count <= kOneByOne) {
    factor_.clear();
    for (int i = 0; i < count; ++i) {
      const int k = id_[at(i)];
      const double *row = metric_.row(k), square = dense::dot(row, row, d), open = open_[at(i)];
      products(row, product_.data());
      const double rest = remainder(row, square);
      if (open > 0 ? factor_.join(std::max(rest, 0.0) + open)
                   : rest > kDependent * square && factor_.join(rest))
        push(k, lambda_[at(i)], open > 0, square);
      else
        state_[at(k)] = 0;  // it may come back by itself, if it is violated then
    }
    return;
  }
  for (int i = 0; i < count; ++i) {
    slot_[at(i)] = i;
    std::copy_n(metric_.row(id_[at(i)]), d, members_.data() + i * stride_);
  }
  while (count > 0) {
    View g = factor_.open(count);
    factor_.gram(members_.data(), stride_, static_cast<int>(d));
    for (int i = 0; i < count; ++i) {
      square_[at(i)] = g(i, i);
      g(i, i) += open_[at(i)];
    }
    const int bad = factor_.seal(kDependent);
    if (bad < 0) break;
    state_[at(id_[at(bad)])] = 0;
    --count;
    for (int i = bad; i < count; ++i) {
      const auto to = at(i), from = at(i + 1);
      id_[to] = id_[from];
      lambda_[to] = lambda_[from];
      least_[to] = least_[from];
      most_[to] = most_[from];
      open_[to] = open_[from];
      std::copy_n(members_.data() + (i + 1) * stride_, d, members_.data() + i * stride_);
    }
  }
  if (count == 0) factor_.clear();
}

DualActiveSet::End DualActiveSet::run(const QpProblem& p, std::span<const double> y0,
                                      std::span<const double> z0, int max_pivots,
                                      const std::function<bool()>* stop) {
  metric_.moved(p);
  take_bounds(p);
  pivots_ = 0;
  ignored_ = false;
  open_set(y0, z0);
  start(p);
  return iterate(max_pivots, stop);
}

int DualActiveSet::tie() {
  const Index n = metric_.n, m = metric_.m;
  ties_.clear(n);
  const auto hold = [&](Index k, double lambda, int i, double a, int j, double b) {
    const double value = lambda > 0 ? high_[at(k)] : low_[at(k)];
    if (std::isfinite(value) && ties_.tie(static_cast<int>(k), i, a, j, b, value))
      side_[at(ties_.count() - 1)] = lambda > 0 ? 1 : -1;
  };
  for (Index j = 0; j < n; ++j)
    if (start_z[at(j)] != 0 || low_[at(m + j)] == high_[at(m + j)])
      hold(m + j, start_z[at(j)], static_cast<int>(j), 1, -1, 0);
  for (Index i = 0; i < m; ++i) {
    const int k = static_cast<int>(i), entries = metric_.entries(k);
    if ((start_y[at(i)] == 0 && low_[at(i)] != high_[at(i)]) || soft(k) || entries < 1 || entries > 2)
      continue;
    const auto* e = metric_.entry(k);
    if (entries == 1)
      hold(i, start_y[at(i)], e[0].column, e[0].value, -1, 0);
    else
      hold(i, start_y[at(i)], e[0].column, e[0].value, e[1].column, e[1].value);
  }
  return ties_.finish() > 0 ? ties_.count() : 0;
}

int DualActiveSet::tied_multipliers(const QpProblem& p, bool objective, bool release) {
  const Index n = metric_.n, m = metric_.m;
  const auto of = [m](int k, auto& rows, auto& bounds) -> double& {
    return k < m ? rows[at(k)] : bounds[at(k - m)];
  };
  for (int t = 0; t < ties_.count(); ++t) of(ties_.constraint(t), y, z) = 0;
  double *force = u_.data(), *size = tmp_.data();
  if (objective)
    table_.gemv(force, p.hessian.data, p.hessian.stride, x.data(), static_cast<int>(n), static_cast<int>(n));
  for (Index j = 0; j < n; ++j) {
    size[j] = objective ? std::abs(force[j]) + std::abs(p.gradient[at(j)]) : 0;
    force[j] = z[at(j)] + (objective ? force[j] + p.gradient[at(j)] : 0);
  }
  metric_.add_rows(force, y.data());
  ties_.multipliers(tied_.data(), floor_.data(), force, size);
  int wrong = 0;
  for (int t = 0; t < ties_.count(); ++t) {
    const int k = ties_.constraint(t);
    double& to = of(k, y, z);
    to = tied_[at(t)];
    if (low_[at(k)] == high_[at(k)] || (side_[at(t)] > 0 ? to >= 0 : to <= 0)) continue;
    if (std::abs(to) > floor_[at(t)]) {
      ++wrong;
      if (!release) continue;
      of(k, start_y, start_z) = 0;
    }
    to = 0;
  }
  return wrong;
}

bool DualActiveSet::run_tied(const QpProblem& p, std::span<const double> y0, std::span<const double> z0,
                             int max_pivots, const std::function<bool()>* stop, End& end) {
  const Index n = p.hessian.rows, m = p.rows.rows;
  factor_.clear();
  metric_.take(p);
  take_bounds(p);
  pivots_ = 0;
  ignored_ = false;
  const auto take_y = [&](std::span<const double> from) {
    from.empty() ? std::fill_n(start_y.begin(), m, 0.0) : std::copy_n(from.begin(), m, start_y.begin());
  };
  const auto take_z = [&](std::span<const double> from) {
    from.empty() ? std::fill_n(start_z.begin(), n, 0.0) : std::copy_n(from.begin(), n, start_z.begin());
  };
  take_y(y0);
  take_z(z0);
  const auto named = [&] {
    return m + n - std::count(start_y.begin(), start_y.begin() + m, 0.0) -
           std::count(start_z.begin(), start_z.begin() + n, 0.0);
  };
  int contradictions = 0;
  for (int round = 0; round < kRounds; ++round) {
    const int ties = tie();
    if (ties < 1 || ties * kWorthTying < n || 3 * ties < named()) break;
    stride_ = ties_.free() + (ties_.free() % 64 == 0 ? 8 : 0);
    if (!metric_.factorise(p, ties_, kDefinite)) break;
    open_set({start_y.data(), at(m)}, {start_z.data(), at(n)});
    start(p);
    end = iterate(max_pivots, stop);
    if (end == End::pivots) break;
    const int wrong = tied_multipliers(p, end != End::infeasible, end != End::stopped);
    if (wrong == 0 || end == End::stopped) return true;
    if (end == End::infeasible && (++contradictions > 2 || wrong > kMany)) {
      take_y(y0);
      take_z(z0);
      break;
    }
    if (end ==
        End::infeasible) {  // y, z are the proof; the multipliers that it stopped at stand with the set
      multipliers(true);
      for (int t = 0; t < ties_.count(); ++t) {
        const int k = ties_.constraint(t);
        (k < m ? y[at(k)] : z[at(k - m)]) = k < m ? start_y[at(k)] : start_z[at(k - m)];
      }
    }
    take_y(y);
    take_z(z);
  }
  ties_.clear(0);
  return false;
}

void DualActiveSet::multipliers(bool positioned) {
  const Index n = metric_.n, m = metric_.m;
  if (!positioned) position();
  std::copy_n(value_.begin() + m, n, x.begin());
  std::fill(y.begin(), y.end(), 0.0);
  std::fill(z.begin(), z.end(), 0.0);
  for (int i = 0; i < factor_.size(); ++i) {
    const int k = id_[at(i)];
    if (k < m) {
      y[at(k)] = lambda_[at(i)];
    } else {  // at its bound, not near it: what rounding leaves between them costs its multiplier
      z[at(k - m)] = lambda_[at(i)];
      x[at(k - m)] = bound(i);
    }
  }
  if (held_ > 0)
    for (Index i = 0; i < m; ++i)
      if (std::abs(state_[at(i)]) == 3) y[at(i)] = state_[at(i)] > 0 ? l1_[at(i)] : -l1_[at(i)];
}

DualActiveSet::End DualActiveSet::feedback(const QpProblem& p, int max_pivots,
                                           const std::function<bool()>* stop) {
  const Index m = metric_.m;
  bool same = true;  // other weights are other entries of the factor
  for (Index i = 0; i < m && same; ++i)
    same = l1_[at(i)] == (p.l1.empty() ? HUGE_VAL : p.l1[at(i)]) &&
           l2_[at(i)] == (p.l2.empty() ? 0 : p.l2[at(i)]);
  if (!same) return run(p, y, z, max_pivots, stop);
  metric_.moved(p);
  take_bounds(p);
  pivots_ = 0;
  if (ignored_)
    for (signed char& state : state_)
      if (state == 4) state = 0;
  ignored_ = false;
  for (int i = factor_.size() - 1; i >= 0; --i) {
    const int k = id_[at(i)], side = state_[at(k)] > 0 ? 1 : -1;
    if (!std::isfinite(side > 0 ? high_[at(k)] : low_[at(k)])) {
      state_[at(k)] = 0;
      remove(i);
      continue;
    }
    ranges(k, open_[at(i)] > 0, side, least_[at(i)], most_[at(i)]);
    lambda_[at(i)] = std::clamp(lambda_[at(i)], least_[at(i)], most_[at(i)]);
  }
  if (held_ > 0)
    for (Index k = 0; k < m; ++k)
      if (std::abs(state_[at(k)]) == 3 && !std::isfinite(state_[at(k)] > 0 ? high_[at(k)] : low_[at(k)])) {
        state_[at(k)] = 0;
        --held_;
      }
  start(p);
  return iterate(max_pivots, stop);
}

void DualActiveSet::refine(const QpProblem& p) {
  const Index n = metric_.n, m = metric_.m;
  const int count = factor_.size();
  double *force = u_.data(), *move = tmp_.data();
  table_.gemv(force, p.hessian.data, p.hessian.stride, x.data(), static_cast<int>(n), static_cast<int>(n));
  for (Index j = 0; j < n; ++j) force[j] += p.gradient[at(j)] + z[at(j)];
  metric_.add_rows(force, y.data());
  double* reduced = tied() ? floor_.data() : force;
  metric_.gather(reduced, force);
  metric_.forward(reduced);
  products(reduced, target_.data());
  for (int i = 0; i < count; ++i) {
    const int k = id_[at(i)];
    target_[at(i)] = metric_.value(k, x.data()) - bound(i) - open_[at(i)] * lambda_[at(i)] - target_[at(i)];
  }
  factor_.solve(target_.data());
  for (int i = 0; i < count; ++i) {
    lambda_[at(i)] += target_[at(i)];
    scattered_[at(slot_[at(i)])] = -target_[at(i)];
  }
  const Index d = metric_.d;
  for (Index j = 0; j < d; ++j) move[j] = -reduced[j];
  table_.gemv_transposed(move, members_.data(), stride_, scattered_.data(), count, static_cast<int>(d));
  metric_.backward(move);
  if (tied())
    ties_.add(x.data(), move);
  else
    dense::axpy(x.data(), 1, move, n);
  for (int i = 0; i < count; ++i) {
    const int k = id_[at(i)];
    (k < m ? y[at(k)] : z[at(k - m)]) = lambda_[at(i)];
    if (k >= m) x[at(k - m)] = bound(i);
  }
  if (tied()) tied_multipliers(p, true, false);
}

}  // namespace emisopt::detail
