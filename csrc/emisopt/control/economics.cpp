#include "emisopt/control/economics.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

constexpr double kTrackingSize = 0.01;  // share of a term's weight that counts as its size even on target

const double* row_or_null(ConstView known, Index t) { return known.cols > 0 ? known.row(t) : nullptr; }

// An error that says where a view of one tick has a gap.
void check_gaps(const char* what, ConstView given, Index steps, const char* width, std::size_t cols) {
  if (given.size() == 0) return;
  const auto where = [&] { return std::string("Controller.step(") + what + ")"; };
  if (given.rows != steps || given.cols != static_cast<Index>(cols))
    check_shape(where(), {static_cast<long>(given.rows), static_cast<long>(given.cols)},
                {{"H", static_cast<long>(steps)}, {width, static_cast<long>(cols)}});
  for (Index t = 0; t < given.rows; ++t)
    for (Index j = 0; j < given.cols; ++j)
      if (!std::isfinite(given(t, j)))
        throw InputError(where() + ": expected a number at every step, got " + std::to_string(given(t, j)) +
                         " at step " + std::to_string(t) + ", column " + std::to_string(j));
}

void copy(Matrix& m, ConstView given) {
  m.rows = given.size() == 0 ? 0 : given.rows;
  m.cols = given.size() == 0 ? 0 : given.cols;
  m.values.resize(static_cast<std::size_t>(m.rows * m.cols));
  for (Index t = 0; t < m.rows; ++t) std::copy_n(given.row(t), m.cols, m.row(t));
}

}  // namespace

Economics::Economics(Objective objective, Envelope envelope, const Moves& moves, int outputs)
    : objective_(std::move(objective)),
      envelope_(std::move(envelope)),
      moves_(moves),
      outputs_(outputs),
      convex_(outputs + moves.setpoints()) {
  const std::size_t quantities =
      objective_.map ? objective_.map->names().size() : static_cast<std::size_t>(outputs);
  if (objective_.price.size() != quantities)
    throw InputError("Objective: expected " + std::to_string(quantities) + " prices, one per quantity, got " +
                     std::to_string(objective_.price.size()));
  for (double p : objective_.price)
    if (!std::isfinite(p)) throw InputError("Objective: expected finite prices, got " + std::to_string(p));
  for (std::size_t k = 0; k < objective_.tracking.size(); ++k) {
    const Tracking& t = objective_.tracking[k];
    const auto require = [&](bool holds, const char* expected, double got) {
      if (!holds)
        throw InputError("Tracking " + std::to_string(k) + ": expected " + expected + ", got " +
                         std::to_string(got));
    };
    require(t.output >= 0 && t.output < outputs, "output to be a column of the forecast", t.output);
    require(std::isfinite(t.target), "a finite target", t.target);
    require(std::isfinite(t.weight) && t.weight >= 0, "weight >= 0", t.weight);
    require(std::isfinite(t.zone) && t.zone >= 0, "zone >= 0", t.zone);
    require(std::isfinite(t.scale) && t.scale > 0, "scale > 0", t.scale);
  }
  const auto width = static_cast<Index>(envelope_.mean.size());
  if (envelope_.radius2 > 0) {
    if (width < U() || envelope_.precision.rows != width || envelope_.precision.cols != width)
      throw InputError("Envelope: expected mean (U+D) with U=" + std::to_string(U()) +
                       " and precision (U+D, U+D), got mean of " + std::to_string(width) + " and precision " +
                       std::to_string(envelope_.precision.rows) + " x " +
                       std::to_string(envelope_.precision.cols));
    bool finite =
        std::isfinite(envelope_.radius2) && std::isfinite(envelope_.weight) && envelope_.weight >= 0;
    for (double v : envelope_.mean) finite &= std::isfinite(v);
    for (double v : envelope_.precision.values) finite &= std::isfinite(v);
    if (!finite) throw InputError("Envelope: expected finite numbers and weight >= 0");
  }
  q_.resize(quantities);
  prices_.resize(quantities);
  pv_.resize(envelope_.mean.size());
  v_.resize(envelope_.mean.size());
  probe_.resize(static_cast<std::size_t>(outputs_ + U()));
  plus_.resize(probe_.size());
  minus_.resize(probe_.size());
}

void Economics::set_tick(const TickInput& input, const std::vector<double>& pull, double pull_weight) {
  const Index h = moves_.horizon();
  check_gaps("price", input.price, h, "Q", objective_.price.size());
  check_gaps("setpoint_price", input.setpoint_price, h, "U", static_cast<std::size_t>(U()));
  check_gaps("target", input.target, h, "K", objective_.tracking.size());
  copy(price_, input.price);
  copy(setpoint_price_, input.setpoint_price);
  copy(target_, input.target);
  if (pull_weight > 0)
    pull_ = pull;
  else
    pull_.clear();
  pull_weight_ = pull_weight;
}

double Economics::deviation(Index t, std::size_t k, const double* y) const {
  const Tracking& term = objective_.tracking[k];
  const double target = target_.rows > 0 ? target_(t, static_cast<Index>(k)) : term.target;
  const double away = y[term.output] - target;
  return away > 0 ? std::max(0.0, away - term.zone) : std::min(0.0, away + term.zone);
}

double Economics::distance(std::vector<double>& pv, const double* u, const double* d) const {
  const auto width = static_cast<Index>(envelope_.mean.size());
  for (Index i = 0; i < width; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double value = i < U() ? u[i] : d ? d[i - U()] : kMissing;
    v_[at] = i >= U() && !std::isfinite(value) ? 0 : value - envelope_.mean[at];
  }
  double m2 = 0;
  for (Index i = 0; i < width; ++i) {
    double sum = 0;
    for (Index j = 0; j < width; ++j)  // the symmetric part, whatever was handed in
      sum += 0.5 * (envelope_.precision(i, j) + envelope_.precision(j, i)) * v_[static_cast<std::size_t>(j)];
    pv[static_cast<std::size_t>(i)] = sum;
    m2 += v_[static_cast<std::size_t>(i)] * sum;
  }
  return m2;
}

Economics::Cost Economics::value(ConstView plan, ConstView median, ConstView known,
                                 const double* applied) const {
  Cost cost;
  const auto pay = [&](double amount) {
    cost.money += amount;
    cost.size += std::abs(amount);
  };
  for (Index t = 0; t < plan.rows; ++t) {
    const double* q = median.row(t);
    if (objective_.map) {
      objective_.map->value(q_.data(), median.row(t), plan.row(t), row_or_null(known, t));
      q = q_.data();
    }
    for (std::size_t j = 0; j < objective_.price.size(); ++j)
      if (price(t, j) != 0) pay(price(t, j) * q[j]);
    for (std::size_t k = 0; k < objective_.tracking.size(); ++k) {
      const Tracking& term = objective_.tracking[k];
      const double away = deviation(t, k, median.row(t));
      const double wish = term.weight * away * away / (term.scale * term.scale);
      cost.penalty += std::isnan(median(t, term.output)) ? kMissing : wish;
      cost.size += std::max(wish, kTrackingSize * term.weight);
    }
    const double* before = t > 0 ? plan.row(t - 1) : applied;
    for (int u = 0; u < U(); ++u) {
      pay(setpoint_price(t, u) * plan(t, u));
      if (!pull_.empty()) {
        const double away = (plan(t, u) - pull_[static_cast<std::size_t>(u)]) / moves_.range(u);
        cost.penalty += pull_weight_ * away * away;
      }
      const double move = (plan(t, u) - before[u]) / moves_.range(u);
      cost.penalty += moves_.setpoint(u).move_weight * move * move;
    }
    if (envelope_.radius2 > 0) {
      const double beyond =
          std::max(0.0, distance(pv_, plan.row(t), row_or_null(known, t)) - envelope_.radius2);
      cost.penalty += envelope_.weight * beyond * beyond;
    }
  }
  return cost;
}

void Economics::map_gradient(double* dy, double* du, Index t, const double* y, const double* u,
                             const double* d) const {
  std::fill_n(dy, outputs_, 0.0);
  std::fill_n(du, U(), 0.0);
  for (std::size_t j = 0; j < prices_.size(); ++j) prices_[j] = price(t, j);
  if (objective_.map)
    objective_.map->vjp(dy, du, prices_.data(), y, u, d);
  else
    std::copy_n(prices_.data(), outputs_, dy);
}

void Economics::gradient(View dy, View du, ConstView plan, ConstView median, ConstView known) const {
  for (Index t = 0; t < plan.rows; ++t) {
    const double* d = row_or_null(known, t);
    map_gradient(dy.row(t), du.row(t), t, median.row(t), plan.row(t), d);
    for (std::size_t k = 0; k < objective_.tracking.size(); ++k) {
      const Tracking& term = objective_.tracking[k];
      dy(t, term.output) += 2 * term.weight * deviation(t, k, median.row(t)) / (term.scale * term.scale);
    }
    for (int u = 0; u < U(); ++u) {
      du(t, u) += setpoint_price(t, u);
      if (!pull_.empty())
        du(t, u) += 2 * pull_weight_ * (plan(t, u) - pull_[static_cast<std::size_t>(u)]) /
                    (moves_.range(u) * moves_.range(u));
    }
    if (envelope_.radius2 <= 0) continue;
    const double beyond = distance(pv_, plan.row(t), d) - envelope_.radius2;
    if (beyond <= 0) continue;
    for (int u = 0; u < U(); ++u)
      du(t, u) += 4 * envelope_.weight * beyond * pv_[static_cast<std::size_t>(u)];
  }
}

void Economics::curvature(Matrix& s, Index t, ConstView plan, ConstView median, ConstView known) const {
  const Index n = outputs_ + U();
  std::fill(s.values.begin(), s.values.end(), 0.0);
  const double* d = row_or_null(known, t);
  if (objective_.map) {
    // Central differences of the exact first derivative: 2 (O+U) calls of a function of a few flops.
    std::copy_n(median.row(t), outputs_, probe_.begin());
    std::copy_n(plan.row(t), U(), probe_.begin() + outputs_);
    const auto vjp = [&](std::vector<double>& g) {
      map_gradient(g.data(), g.data() + outputs_, t, probe_.data(), probe_.data() + outputs_, d);
    };
    bool any = false;
    for (Index i = 0; i < n; ++i) {
      double& value = probe_[static_cast<std::size_t>(i)];
      const double at = value;
      const double h =
          1e-4 * (i < outputs_ ? std::max(std::abs(at), 1e-6) : moves_.range(static_cast<int>(i) - outputs_));
      value = at + h;
      vjp(plus_);
      value = at - h;
      vjp(minus_);
      value = at;
      for (Index j = 0; j < n; ++j) {
        const double c = (plus_[static_cast<std::size_t>(j)] - minus_[static_cast<std::size_t>(j)]) / (2 * h);
        if (!std::isfinite(c)) continue;  // a map at the edge of its domain: no curvature known there
        s(i, j) += 0.5 * c;
        s(j, i) += 0.5 * c;
        any |= c != 0;
      }
    }
    if (any) convex_.raise(s, 0);
  }
  for (std::size_t k = 0; k < objective_.tracking.size(); ++k) {
    const Tracking& term = objective_.tracking[k];
    if (term.zone > 0 && deviation(t, k, median.row(t)) == 0) continue;
    s(term.output, term.output) += 2 * term.weight / (term.scale * term.scale);
  }
  if (!pull_.empty())
    for (int u = 0; u < U(); ++u)
      s(outputs_ + u, outputs_ + u) += 2 * pull_weight_ / (moves_.range(u) * moves_.range(u));
  if (envelope_.radius2 <= 0) return;
  const double beyond = distance(pv_, plan.row(t), d) - envelope_.radius2;
  if (beyond <= 0) return;
  // Hessian of w (m2 - r)^2: 2 w (2Pv)(2Pv)' + 4 w (m2 - r) P; both terms are convex.
  for (int i = 0; i < U(); ++i)
    for (int j = 0; j < U(); ++j)
      s(outputs_ + i, outputs_ + j) +=
          envelope_.weight * (8 * pv_[static_cast<std::size_t>(i)] * pv_[static_cast<std::size_t>(j)] +
                              2 * beyond * (envelope_.precision(i, j) + envelope_.precision(j, i)));
}

void Economics::suppression(double* g, View h, ConstView x, const double* applied) const {
  for (Index b = 0; b < x.rows; ++b)
    for (int u = 0; u < U(); ++u) {
      const double w = 2 * moves_.setpoint(u).move_weight;
      const Index k = b * U() + u, before = k - U();
      const double move = (x(b, u) - (b > 0 ? x(b - 1, u) : applied[u])) / moves_.range(u);
      g[k] += w * move;
      h(k, k) += w;
      if (b == 0) continue;
      g[before] -= w * move;
      h(before, before) += w;
      h(k, before) -= w;
      h(before, k) -= w;
    }
}

}  // namespace emisopt
