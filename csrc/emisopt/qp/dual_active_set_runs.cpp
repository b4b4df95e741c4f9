// How a run of the dual active set method begins and ends (the steps between: dual_active_set.cpp).
#include <algorithm>
#include <cmath>

#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/dual_active_set.hpp"

namespace emisopt::detail {
namespace {
std::size_t at(Index i) { return static_cast<std::size_t>(i); }
}  // namespace

DualActiveSet::End DualActiveSet::run(const QpProblem& p, std::span<const double> y0,
                                      std::span<const double> z0, int max_pivots,
                                      const std::function<bool()>* stop) {
  metric_.moved(p);
  take_bounds(p);
  pivots_ = 0;
  ignored_ = false;
  open_set(y0, z0);
  start(p);
  const int count = factor_.size();
  products(origin_.data(), right_.data());
  for (int i = 0; i < count; ++i) right_[at(i)] -= bound(i);
  return iterate(max_pivots, stop);
}

void DualActiveSet::multipliers() {
  const Index n = metric_.n, m = metric_.m;
  position();
  std::copy_n(value_.begin() + m, n, x.begin());
  std::fill(y.begin(), y.end(), 0.0);
  std::fill(z.begin(), z.end(), 0.0);
  for (int i = 0; i < factor_.size(); ++i) {
    const int k = id_[at(i)];
    if (k < m)
      y[at(k)] = lambda_[at(i)];
    else
      z[at(k - m)] = lambda_[at(i)];
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
  const int count = factor_.size();
  products(origin_.data(), right_.data());
  for (int i = 0; i < count; ++i) right_[at(i)] -= bound(i);
  return iterate(max_pivots, stop);
}

void DualActiveSet::refine(const QpProblem& p) {
  const Index n = metric_.n, m = metric_.m;
  const int count = factor_.size();
  double *force = u_.data(), *move = tmp_.data();
  table_.gemv(force, p.hessian.data, p.hessian.stride, x.data(), static_cast<int>(n), static_cast<int>(n));
  for (Index j = 0; j < n; ++j) force[j] += p.gradient[at(j)] + z[at(j)];
  metric_.add_rows(force, y.data());
  metric_.forward(force);
  products(force, target_.data());
  for (int i = 0; i < count; ++i) {
    const int k = id_[at(i)];
    target_[at(i)] = metric_.value(k, x.data()) - bound(i) - open_[at(i)] * lambda_[at(i)] - target_[at(i)];
  }
  factor_.solve(target_.data());
  for (int i = 0; i < count; ++i) {
    lambda_[at(i)] += target_[at(i)];
    scattered_[at(slot_[at(i)])] = -target_[at(i)];
  }
  for (Index j = 0; j < n; ++j) move[j] = -force[j];
  table_.gemv_transposed(move, members_.data(), stride_, scattered_.data(), count, static_cast<int>(n));
  metric_.backward(move);
  for (Index j = 0; j < n; ++j) x[at(j)] += move[j];
  for (int i = 0; i < count; ++i) {
    const int k = id_[at(i)];
    (k < m ? y[at(k)] : z[at(k - m)]) = lambda_[at(i)];
  }
}

}  // namespace emisopt::detail
