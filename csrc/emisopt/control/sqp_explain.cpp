// What the last QP says beyond its step: what each limit costs, what else could be done, where it all tends.
#include <algorithm>
#include <cmath>

#include "emisopt/control/sqp.hpp"
#include "emisopt/qp/dense.hpp"

namespace emisopt {
namespace {

constexpr double kNothing = 1e-7;     // of the horizon's cost: a price that moves less is none
constexpr double kTargetTrust = 0.5;  // of each range: how far the steady target trusts the linear model
constexpr double kTame = 1e-4;        // of the steepest slope, as curvature of the steady target's QP

}  // namespace

// min price' (y + G s) + ... over steady setpoints u + s, within bounds and interlocks (rates bind no steady
// state), limits soft by rank at the level that the outputs settle at. G sums the answers of the last step
// to all earlier moves: the gain, if the horizon is long enough to see it.
void Sqp::steady_target(std::vector<double>& target, const PlanPoint& p, std::span<const LimitRow> rows) {
  target.clear();
  if (!p.finite || shadow_.bound.empty()) return;
  const int users = moves_.setpoints(), last = moves_.horizon() - 1, blocks = moves_.blocks();
  const auto gain = [&](const Matrix& from, int o, int u) {
    double sum = 0;
    for (int b = 0; b < blocks; ++b) sum += from(last * outputs_ + o, b * users + u);
    return sum;
  };
  std::vector<int>& asked = steady_limits_;  // limits that this tick judges
  asked.clear();
  for (const LimitRow& row : rows)
    if (std::find(asked.begin(), asked.end(), row.limit) == asked.end()) asked.push_back(row.limit);
  const auto& locks = moves_.interlocks();
  const auto m = static_cast<Index>(asked.size() + locks.size());
  const auto size = static_cast<std::size_t>(users);

  std::vector<double>&g = steady_gradient_, &low = steady_low_, &high = steady_high_, &lo = steady_lower_,
  &hi = steady_upper_, &l1 = steady_l1_, &l2 = steady_l2_;
  Matrix &a = steady_rows_, &h = steady_hessian_;
  for (auto* v : {&g, &low, &high}) v->assign(size, 0);
  lo.assign(static_cast<std::size_t>(m), -HUGE_VAL);
  for (auto* v : {&hi, &l2}) v->assign(lo.size(), 0);
  l1.assign(lo.size(), HUGE_VAL);
  shape(a, m, users);
  shape(h, users, users);
  double steepest = 0;
  for (int u = 0; u < users; ++u) {
    const auto at = static_cast<std::size_t>(u);
    for (int b = 0; b < blocks; ++b) g[at] += model_.gradient[static_cast<std::size_t>(b * users + u)];
    steepest = std::max(steepest, std::abs(g[at]));
    const Setpoint& s = moves_.setpoint(u);
    const double now = std::clamp(p.x(blocks - 1, u), s.low, s.high);
    const bool fixed = moves_.held(u, last);
    low[at] = fixed ? 0 : std::max((s.low - now) / moves_.range(u), -kTargetTrust);
    high[at] = fixed ? 0 : std::min((s.high - now) / moves_.range(u), kTargetTrust);
  }
  // The cost's curvature by block values, added up: all blocks move together.
  for (int i = 0; i < users; ++i)
    for (int j = 0; j < users; ++j)
      for (int b = 0; b < blocks; ++b)
        for (int c = 0; c < blocks; ++c) h(i, j) += hessian_(b * users + i, c * users + j);
  for (int u = 0; u < users; ++u) h(u, u) += kTame * std::max(steepest, 1e-12);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const Limit& limit = limits_[static_cast<std::size_t>(asked[i])];
    const double size_of = std::abs(limit.limit) > 0 ? std::abs(limit.limit) : 1;
    const bool middle = limit.quantile <= 0.5;
    const double y = (middle ? p.median : p.upper)(last, limit.output);
    for (int u = 0; u < users; ++u)
      a(static_cast<Index>(i), u) = gain(middle ? model_.median : model_.upper, limit.output, u) / size_of;
    hi[i] = (limit.limit - y) / size_of - config_.limit_margin;
    l1[i] =
        base_ * moves_.horizon() * std::pow(100.0, ranks_ - 1 - rank_[static_cast<std::size_t>(asked[i])]);
    l2[i] = kSlackL2 * l1[i];
  }
  for (std::size_t k = 0; k < locks.size(); ++k) {
    const auto row = static_cast<Index>(asked.size() + k);
    double now = 0;
    for (int u = 0; u < users; ++u) {
      a(row, u) = locks[k].weight[static_cast<std::size_t>(u)] * moves_.range(u);
      now += locks[k].weight[static_cast<std::size_t>(u)] * p.x(blocks - 1, u);
    }
    hi[static_cast<std::size_t>(row)] = std::max(0.0, locks[k].upper - now);
  }
  const QpResult& r = steady_qp_.solve({.hessian = h,
                                        .gradient = g,
                                        .lower = low,
                                        .upper = high,
                                        .rows = a,
                                        .row_lower = lo,
                                        .row_upper = hi,
                                        .l1 = l1,
                                        .l2 = l2});
  if (!usable(r)) return;
  target.resize(size);
  for (int u = 0; u < users; ++u) {
    const auto at = static_cast<std::size_t>(u);
    const Setpoint& s = moves_.setpoint(u);
    target[at] = moves_.held(u, last)
                     ? p.x(blocks - 1, u)
                     : std::clamp(p.x(blocks - 1, u) + r.x[at] * moves_.range(u), s.low, s.high);
  }
}

std::vector<Reason> Sqp::reasons(const SqpTick& tick) const {
  std::vector<Reason> list;
  if (shadow_.bound.empty()) return list;
  const int users = moves_.setpoints();
  const double least = kNothing * cost_scale_;
  const auto note = [&](Reason::Kind kind, const std::string& name, double price, int first, int last) {
    for (Reason& r : list)
      if (r.kind == kind && r.name == name) {
        r.price += price;
        r.first_step = std::min(r.first_step, first);
        r.last_step = std::max(r.last_step, last);
        return &r;
      }
    list.push_back({kind, name, price, false, first, last});
    return &list.back();
  };
  const auto end_of = [&](int b) {
    return b + 1 < moves_.blocks() ? moves_.block_start(b + 1) - 1 : moves_.horizon() - 1;
  };
  for (std::size_t i = 0; i < shadow_.limit.size(); ++i) {
    const LimitRow& row = tick.rows[i];
    if (std::abs(shadow_.limit[i]) <= least) continue;
    Reason* r = note(Reason::Kind::limit, limits_[static_cast<std::size_t>(row.limit)].name,
                     shadow_.limit[i] / scale(row), row.end_step, row.end_step);
    r->given_up |= !by_rank() && shadow_.limit[i] >= 0.999 * weight(row);
  }
  // Rows that say the same share one price, and which of them carries it is the solver's choice: a limit
  // binds wherever it is reached.
  for (std::size_t i = 0; i < shadow_.limit.size(); ++i)
    for (Reason& r : list)
      if (const LimitRow& row = tick.rows[i];
          shadow_.reached[i] && r.name == limits_[static_cast<std::size_t>(row.limit)].name) {
        r.first_step = std::min(r.first_step, row.end_step);
        r.last_step = std::max(r.last_step, row.end_step);
      }
  for (std::size_t k = 0; k < shadow_.bound.size(); ++k) {
    const double price = std::abs(shadow_.bound[k]);
    if (price <= least) continue;
    const int b = static_cast<int>(k) / users, u = static_cast<int>(k) % users;
    const Setpoint& s = moves_.setpoint(u);
    // What one tick may reach binds before the bound does, when the rate is in the way.
    const bool upper = shadow_.bound[k] > 0;
    const bool at_bound = upper ? high_(b, u) >= s.high : low_(b, u) <= s.low;
    const bool held = moves_.held(u, moves_.block_start(b)) || low_(b, u) == high_(b, u);
    const auto kind = held ? Reason::Kind::held : at_bound ? Reason::Kind::bound : Reason::Kind::rate;
    note(kind, s.name, price / moves_.range(u), moves_.block_start(b), end_of(b));
  }
  for (std::size_t i = 0; i < shadow_.rate.size(); ++i) {
    const auto [b, u] = rate_rows_[i];
    if (std::abs(shadow_.rate[i]) > least)
      note(Reason::Kind::rate, moves_.setpoint(u).name, std::abs(shadow_.rate[i]) / moves_.range(u),
           moves_.block_start(b), moves_.block_start(b));
  }
  const auto& locks = moves_.interlocks();
  for (std::size_t i = 0; i < shadow_.interlock.size(); ++i) {
    if (std::abs(shadow_.interlock[i]) <= least) continue;
    const Interlock& lock = locks[i % locks.size()];
    double norm = 0;
    for (int u = 0; u < users; ++u)
      norm = std::max(norm, std::abs(lock.weight[static_cast<std::size_t>(u)]) * moves_.range(u));
    const int b = static_cast<int>(i / locks.size());
    note(Reason::Kind::interlock, lock.name, shadow_.interlock[i] / norm, moves_.block_start(b), end_of(b));
  }
  // Per unit the prices of different things do not compare; what their own size moves does.
  std::stable_sort(list.begin(), list.end(), [](const Reason& p, const Reason& q) {
    return (p.kind == Reason::Kind::limit) > (q.kind == Reason::Kind::limit);
  });
  return list;
}

std::vector<PlanPoint> Sqp::alternatives(const PlanPoint& best, const SqpTick& tick,
                                         const std::vector<double>& move, std::vector<int>& held) {
  const int users = moves_.setpoints();
  std::vector<PlanPoint> points;
  held.clear();
  if (shadow_.bound.empty()) return points;
  moves_.reachable(low_, high_, tick.applied.data());
  linearise(best, tick, false);
  keep_start_ = false;        // what is asked here leaves no trace in the ticks to come
  std::vector<double> first;  // the move asked about, legal
  if (!move.empty()) {
    first = move;
    moves_.legalise(first.data(), tick.applied.data());
    moves_.quiet(first.data(), tick.applied.data());
  }
  for (int only = move.empty() ? 0 : -1; only < (move.empty() ? users : 0); ++only) {
    if (only >= 0 && best.x(0, only) == tick.applied[static_cast<std::size_t>(only)]) continue;
    pose(best, best.excess, 1);
    for (int b = 0; b < moves_.blocks(); ++b)
      for (int u = 0; u < users; ++u) {
        const bool fixed = only >= 0 ? u == only : b == 0;
        if (!fixed) continue;
        const double to =
            only >= 0 ? tick.applied[static_cast<std::size_t>(u)] : first[static_cast<std::size_t>(u)];
        const auto k = static_cast<std::size_t>(b * users + u);
        lower_[k] = upper_[k] = (to - best.x(b, u)) / moves_.range(u);
      }
    const QpResult& r = solve_qp(tick);
    PlanPoint p;
    stepped(p, best, usable(r) ? r.x : std::vector<double>(static_cast<std::size_t>(n()), 0.0));
    if (only >= 0)
      for (int b = 0; b < moves_.blocks(); ++b) p.x(b, only) = tick.applied[static_cast<std::size_t>(only)];
    else
      std::copy(first.begin(), first.end(), p.x.row(0));
    points.push_back(std::move(p));
    held.push_back(only);
  }
  if (!points.empty()) evaluate(points.data(), points.size(), tick);
  same_qp_ = false;
  return points;
}

}  // namespace emisopt
