// The quadratic programs of one point: their rows, their weights, and what their answers promise.
#include <algorithm>
#include <cmath>
#include <utility>

#include "emisopt/control/sqp.hpp"
#include "emisopt/qp/dense.hpp"

namespace emisopt {
namespace {

constexpr std::size_t kBandPlans = 64;  // forecast at once where dead-bands stand against limits

constexpr int kRaises = 2;  // times the automatic weight may be raised per tick
constexpr double kRaise = 100;
constexpr double kUsable = 1e-6;  // relative residual of a QP whose answer is still a step
constexpr double kRankCurvature =
    1e-3;                           // proximal, of a rank's own QP, whose slacks alone do not fix the plan
constexpr double kRankHair = 1e-6;  // by which a rank's least violation is widened for those below

// The least move of a dead-band, or more by rounding.
double band_end(double now, double band) {
  double to = now + band;
  while (std::abs(to - now) < std::abs(band)) to = std::nextafter(to, std::copysign(HUGE_VAL, band));
  return to;
}

}  // namespace

bool usable(const QpResult& r) {
  const bool ran_out = r.status == QpStatus::max_iterations || r.status == QpStatus::numeric;
  return r.status == QpStatus::optimal || (ran_out && r.residual.worst() <= kUsable);
}

// Where Hessian and rows are those of the call before, from its working set; else from the last multipliers.
// Near the optimum of degenerate problems the active set method may go round in circles: after more pivots
// than rows could need the interior point method takes over.
const QpResult& Sqp::ask(const SqpTick& tick, ConstView hessian, const std::vector<double>& gradient) {
  struct {
    TimeBudget& time;
    int left;
    bool spent() const { return left < 0; }
  } pivots{tick.time, 2 * static_cast<int>(gradient.size() + row_upper_.size())};
  // One pointer each: a std::function holds that much without asking for memory.
  const std::function<bool()> patience = [&pivots] { return --pivots.left < 0 || pivots.time.late(); };
  const std::function<bool()> late = [&pivots] { return pivots.time.late(); };
  const QpProblem problem{.hessian = hessian,
                          .gradient = gradient,
                          .lower = lower_,
                          .upper = upper_,
                          .rows = qp_rows_,
                          .row_lower = row_lower_,
                          .row_upper = row_upper_,
                          .l1 = l1_,
                          .l2 = l2_};
  const bool start = start_y_.size() == row_upper_.size() && start_z_.size() == gradient.size();
  const QpResult* r = &(same_qp_ ? qp_->feedback(problem, {}, {}, &patience)
                        : start  ? qp_->solve_from(problem, start_y_, start_z_, &patience)
                                 : qp_->solve(problem, &patience));
  same_qp_ = usable(*r);
  if (r->status == QpStatus::stopped && pivots.spent()) {
    r = &inner_qp_->solve(problem, &late);
    if (!usable(*r) && r->status != QpStatus::stopped) r = &qp_->solve(problem, &late);
  }
  if (usable(*r) && keep_start_) {
    start_y_ = r->y;
    start_z_ = r->z;
  }
  return *r;
}

const QpResult& Sqp::solve_qp(const SqpTick& tick) {
  for (std::size_t i = 0; i < tick.rows.size(); ++i) {
    l1_[i] = weight(tick.rows[i]);
    l2_[i] = kSlackL2 * l1_[i];
  }
  return ask(tick, hessian_, model_.gradient);
}

// The QP for a step from p; `excess` is where its limit rows start from.
void Sqp::pose(const PlanPoint& p, const std::vector<double>& excess, double trust) {
  const int users = moves_.setpoints();
  const std::vector<Interlock>& interlocks = moves_.interlocks();
  const std::size_t size = static_cast<std::size_t>(n()), soft = excess.size(),
                    locks = interlocks.size() * static_cast<std::size_t>(moves_.blocks()),
                    rows = soft + rate_rows_.size() + locks;
  if (static_cast<int>(soft) > room_) {  // a permit may ask for more windows than there are steps
    room_ = static_cast<int>(2 * soft);
    make_solvers(room_ + static_cast<int>(rate_rows_.size() + locks));
  }
  lower_.assign(size, 0);
  upper_.assign(size, 0);
  for (int b = 0; b < moves_.blocks(); ++b)
    for (int u = 0; u < users; ++u) {
      const auto k = static_cast<std::size_t>(b * users + u);
      lower_[k] = std::max(-trust, std::min(0.0, (low_(b, u) - p.x(b, u)) / moves_.range(u)));
      upper_[k] = std::min(trust, std::max(0.0, (high_(b, u) - p.x(b, u)) / moves_.range(u)));
    }
  shape(qp_rows_, static_cast<Index>(rows), n());
  row_lower_.assign(rows, -HUGE_VAL);
  row_upper_.assign(rows, HUGE_VAL);
  l1_.assign(rows, HUGE_VAL);
  l2_.assign(rows, 0);
  std::copy(model_.rows.values.begin(), model_.rows.values.end(), qp_rows_.values.begin());
  for (std::size_t i = 0; i < soft; ++i) row_upper_[i] = -excess[i];
  for (std::size_t i = 0; i < rate_rows_.size(); ++i) {
    const auto [b, u] = rate_rows_[i];
    const double rate = moves_.setpoint(u).rate, move = p.x(b, u) - p.x(b - 1, u);
    const std::size_t row = soft + i;
    qp_rows_(static_cast<Index>(row), b * users + u) = 1;
    qp_rows_(static_cast<Index>(row), (b - 1) * users + u) = -1;
    row_lower_[row] = std::min(0.0, (-rate - move) / moves_.range(u));
    row_upper_[row] = std::max(0.0, (rate - move) / moves_.range(u));
  }
  std::size_t row = soft + rate_rows_.size();
  for (int b = 0; b < moves_.blocks(); ++b)
    for (const Interlock& lock : interlocks) {
      double now = 0, norm = 0;
      for (int u = 0; u < users; ++u) {
        const double w = lock.weight[static_cast<std::size_t>(u)];
        now += w * p.x(b, u);
        norm = std::max(norm, std::abs(w) * moves_.range(u));
      }
      for (int u = 0; u < users; ++u)
        qp_rows_(static_cast<Index>(row), b * users + u) =
            lock.weight[static_cast<std::size_t>(u)] * moves_.range(u) / norm;
      row_upper_[row++] = std::max(0.0, (lock.upper - now) / norm);
    }
}

// Rank by rank: the least violation of the most important limits, held for the next, and so on; the cost
// last. Null when one of these QPs fails; then the weights have the word.
const QpResult* Sqp::rank_by_rank(const SqpTick& tick) {
  const std::size_t soft = tick.rows.size();
  asked_ = row_upper_;
  for (Index k = 0; k < n(); ++k) tame_(k, k) = kRankCurvature;
  change_.assign(static_cast<std::size_t>(n()), 0);
  same_qp_ = false;
  const bool kept = std::exchange(keep_start_, false);
  const auto end = [&](const QpResult* r) {
    if (!r) row_upper_ = asked_;
    same_qp_ = false;
    keep_start_ = kept;
    return r;
  };
  for (std::size_t i = 0; i < soft; ++i) row_upper_[i] = HUGE_VAL;
  for (int rank = 0; rank < ranks_; ++rank) {
    for (std::size_t i = 0; i < soft; ++i) {
      const bool own = rank_of(tick.rows[i]) == rank;
      if (own) row_upper_[i] = asked_[i];
      l1_[i] = own ? 1 : HUGE_VAL;
      l2_[i] = own ? kSlackL2 : 0;
    }
    const QpResult& r = ask(tick, tame_, change_);
    if (!usable(r)) return end(nullptr);
    for (std::size_t i = 0; i < soft; ++i)
      if (rank_of(tick.rows[i]) == rank) row_upper_[i] += std::max(0.0, r.slack[i]) + kRankHair;
  }
  for (std::size_t i = 0; i < soft; ++i) {
    l1_[i] = HUGE_VAL;
    l2_[i] = 0;
  }
  same_qp_ = false;
  const QpResult& r = ask(tick, hessian_, model_.gradient);
  return end(usable(r) ? &r : nullptr);
}

// A first move that would be smaller than its dead-band is not made, nor one that was `tried` and did not
// pay: then the setpoint is held in block 0 for the rest of this tick, and the others are chosen with that in
// mind.
bool Sqp::freeze(const PlanPoint& p, const SqpTick& tick, const std::vector<double>& d, double trust,
                 bool tried) {
  bool any = false;
  for (int u = 0; u < moves_.setpoints(); ++u) {
    const double band = moves_.setpoint(u).dead_band, now = tick.applied[static_cast<std::size_t>(u)];
    const double move = std::abs(d[static_cast<std::size_t>(u)]);
    if (band == 0 || move == 0 || low_(0, u) == high_(0, u)) continue;
    if (p.x(0, u) != now) {  // a move that is being made: its dead-band's end is a bound
      const double to = p.x(0, u) + d[static_cast<std::size_t>(u)] * moves_.range(u);
      double& bound = p.x(0, u) > now ? low_(0, u) : high_(0, u);
      const double end = p.x(0, u) > now ? band_end(now, band) : band_end(now, -band);
      const bool inside = p.x(0, u) > now ? to < end : to > end;
      const bool there = p.x(0, u) > now ? bound >= end : bound <= end;
      if (!inside || there) continue;
      bound = end;
      any = true;
      continue;
    }
    // A move of a band or more is tried first; one that the trust region alone holds below it may go on
    // later.
    if (!tried && move * moves_.range(u) >= band) continue;
    if (!tried && move > 0.99 * trust && trust * moves_.range(u) >= band) continue;
    low_(0, u) = high_(0, u) = now;
    any = true;
  }
  return any;
}

// The best first move of one dead-band, either way, of a setpoint that freeze() holds or of two of them, if
// it takes something of the limits' excess away; p becomes its plan, and what moved is settled for the tick.
bool Sqp::move_whole_bands(PlanPoint& p, const SqpTick& tick) {
  if (tick.time.late()) return false;
  std::vector<std::pair<int, double>> bands;  // setpoint, value
  for (int u = 0; u < moves_.setpoints(); ++u) {
    const double band = moves_.setpoint(u).dead_band, now = tick.applied[static_cast<std::size_t>(u)];
    if (band == 0 || p.x(0, u) != now || low_(0, u) != high_(0, u)) continue;
    const auto reach = moves_.reach(u, now);
    for (const double way : {-1.0, 1.0}) {
      const double to = band_end(now, way * band);
      if (to >= reach.low && to <= reach.high) bands.emplace_back(u, to);
    }
  }
  if (bands.empty()) return false;
  std::size_t tried = 0;
  const auto add = [&](const std::pair<int, double>& one, const std::pair<int, double>& other) {
    if (tried == kBandPlans) return;
    PlanPoint& q = spare(tried++);
    q.x = p.x;
    q.x(0, one.first) = one.second;
    q.x(0, other.first) = other.second;
  };
  for (const auto& one : bands) add(one, one);
  for (std::size_t i = 0; i < bands.size(); ++i)
    for (std::size_t j = i + 1; j < bands.size(); ++j)
      if (bands[i].first != bands[j].first) add(bands[i], bands[j]);
  evaluate(pool_.data(), tried, tick);
  // Limits before money: merit's weights are those of a choice that may be as small as it likes.
  const auto ahead = [&](const PlanPoint& q, const PlanPoint& than) {
    for (int rank = 0; rank < ranks_; ++rank)
      if (const double gap = score(q, rank) - score(than, rank); std::abs(gap) > rank_tolerance())
        return gap < 0 ? 1 : -1;
    return 0;
  };
  const PlanPoint* best = &p;
  for (std::size_t i = 0; i < tried; ++i) {
    const PlanPoint& q = pool_[i];
    if (!q.finite || ahead(q, p) <= 0) continue;
    const int by_limits = ahead(q, *best);
    if (by_limits > 0 || (by_limits == 0 && q.cost.total() < best->cost.total())) best = &q;
  }
  if (best == &p) return false;
  p = *best;
  for (const auto& [u, to] : bands)
    if (p.x(0, u) == to) low_(0, u) = high_(0, u) = to;
  return true;
}

QpStatus Sqp::quadratic(const PlanPoint& p, const SqpTick& tick, double trust, Step& step) {
  const std::size_t soft = tick.rows.size();
  pose(p, p.excess, trust);
  const QpResult* r = &solve_qp(tick);
  if (usable(*r) && freeze(p, tick, r->x, trust, false)) {
    pose(p, p.excess, trust);
    r = &solve_qp(tick);
  }
  // Exactness of the automatic weight: slack that a far larger weight removes was not forced by the limits,
  // so the weight was below a multiplier; slack that stays is the least there is.
  const auto total_slack = [&](const QpResult& q) {
    double sum = 0;
    for (std::size_t i = 0; i < soft; ++i) sum += q.slack[i] * std::pow(100.0, -rank_of(tick.rows[i]));
    return sum;
  };
  while (raises_ < kRaises && config_.slack_l1 == 0 && usable(*r)) {
    const double before = total_slack(*r), old = base_;
    if (before <= config_.limit_margin || tick.time.late()) break;
    base_ *= kRaise;
    r = &solve_qp(tick);
    const double gain = usable(*r) ? before - total_slack(*r) : -1;
    if (gain > 0.01 * before + config_.limit_margin) {
      ++raises_;
      continue;
    }
    base_ = old;
    r = &solve_qp(tick);
    break;
  }
  if (!usable(*r)) return r->status;
  if (by_rank() && total_slack(*r) > 0.01 * config_.limit_margin) {
    const QpResult* strict = rank_by_rank(tick);
    r = strict ? strict : &solve_qp(tick);
    if (!usable(*r)) return r->status;
  }
  step.verified = r->status == QpStatus::optimal;
  step.d = r->x;
  step.multiplier.assign(r->y.begin(), r->y.begin() + static_cast<Index>(soft));
  predict(p, tick, *r, step);
  stationarity(p, *r, trust, step);
  return QpStatus::optimal;
}

// What the step promises: of the merit; rank by rank, of the first rank that it changes.
void Sqp::predict(const PlanPoint& p, const SqpTick& tick, const QpResult& r, Step& step) {
  const std::size_t soft = tick.rows.size();
  if (!by_rank()) {
    double now = 0;
    for (std::size_t i = 0; i < soft; ++i) now += weight(tick.rows[i]) * limit_penalty(p.excess[i]);
    step.level = -1;
    step.predicted = now - r.objective;
    return;
  }
  left_.assign(static_cast<std::size_t>(ranks_), 0);
  for (std::size_t i = 0; i < soft; ++i)
    left_[static_cast<std::size_t>(rank_of(tick.rows[i]))] +=
        limit_penalty(p.excess[i] + dense::dot(model_.rows.row(static_cast<Index>(i)), step.d.data(), n()));
  for (int rank = 0; rank < ranks_; ++rank) {
    const double gain = (p.penalty.empty() ? 0 : p.penalty[static_cast<std::size_t>(rank)]) -
                        left_[static_cast<std::size_t>(rank)];
    if (gain <= rank_tolerance()) continue;
    step.level = rank;
    step.predicted = gain;
    return;
  }
  step.level = ranks_;
  step.predicted = -dense::dot(model_.gradient.data(), step.d.data(), n());
  for (Index k = 0; k < n(); ++k)
    step.predicted -=
        0.5 * step.d[static_cast<std::size_t>(k)] * dense::dot(hessian_.row(k), step.d.data(), n());
}

// Stationarity of the problem itself, at p, with the QP's multipliers: what the curvature term and the trust
// region had to balance. A multiplier of the trust region does not belong to the problem.
void Sqp::stationarity(const PlanPoint& p, const QpResult& r, double trust, Step& step) {
  const int users = moves_.setpoints();
  const std::size_t size = static_cast<std::size_t>(n()), soft = step.multiplier.size(),
                    rows = row_upper_.size();
  step.complementarity = 0;
  step.rest.assign(size, 0);
  shadow_.bound.assign(size, 0);
  double residual = 0;
  for (std::size_t k = 0; k < size; ++k) {
    double rest = dense::dot(hessian_.row(static_cast<Index>(k)), step.d.data(), n());
    const int b = static_cast<int>(k) / users, u = static_cast<int>(k) % users;
    const double bound =
        r.z[k] > 0 ? (high_(b, u) - p.x(b, u)) / moves_.range(u) : (low_(b, u) - p.x(b, u)) / moves_.range(u);
    if (std::abs(bound) > trust) {
      rest += r.z[k];
    } else {
      step.complementarity += std::abs(r.z[k] * bound);
      shadow_.bound[k] = r.z[k];
    }
    step.rest[k] = rest;
    residual = std::max(residual, std::abs(rest));
  }
  for (std::size_t i = 0; i < soft; ++i) {
    const double y = step.multiplier[i], e = p.excess[i];
    if (std::isinf(l1_[i]))  // rank by rank: held at what its rank has to bear
      step.complementarity += y != 0 ? std::abs(y * row_upper_[i]) : 0;
    else
      step.complementarity += e <= 0 ? std::abs(y * e) : std::abs((l1_[i] + l2_[i] * e - y) * e);
  }
  for (std::size_t i = soft; i < rows; ++i)
    if (const double side = r.y[i] > 0 ? row_upper_[i] : -row_lower_[i]; std::isfinite(side))
      step.complementarity += std::abs(r.y[i]) * side;
  step.kkt = std::max(residual, step.complementarity) / cost_scale_;
  shadow_.limit = step.multiplier;
  shadow_.reached.resize(soft);
  for (std::size_t i = 0; i < soft; ++i)
    shadow_.reached[i] =
        p.excess[i] + dense::dot(model_.rows.row(static_cast<Index>(i)), step.d.data(), n()) >
        -config_.limit_margin;
  const auto rate_end = r.y.begin() + static_cast<Index>(soft + rate_rows_.size());
  shadow_.rate.assign(r.y.begin() + static_cast<Index>(soft), rate_end);
  shadow_.interlock.assign(rate_end, r.y.begin() + static_cast<Index>(rows));
}

}  // namespace emisopt
