#include "emisopt/control/sqp.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "emisopt/qp/dense.hpp"

namespace emisopt {
namespace {

constexpr double kRankGap = 100;      // weight of a rank over the next: a trade of 1 % against all of it
constexpr double kQuadratic = 1e-3;   // phi(s) = s + kQuadratic/2 s^2: the slack's L2 share
constexpr double kSufficient = 1e-4;  // Armijo's share of the predicted decrease
constexpr int kTries = 4;             // trust regions tried per Jacobian
constexpr int kRaises = 2;            // times the automatic weight may be raised per tick
constexpr double kRaise = 100;
constexpr double kUsable = 1e-6;    // relative residual of a QP whose answer is still a step
constexpr int kNoisySteps = 8;      // per tick that are taken although they gain less than rounding
constexpr double kRounding = 1e-6;  // relative, of forecasts in fp32 after some layers
constexpr int kCorrections = 5;     // of a step that ends beyond limits, per Jacobian
const std::vector<double> kAlphas = {1, 0.5, 0.25, 0.1};
const std::vector<double> kCorrectionAlphas = {1, 0.5};

double phi(double s) { return s > 0 ? s + 0.5 * kQuadratic * s * s : 0; }

double worst_excess(const PlanPoint& p) {
  return p.excess.empty() ? 0 : *std::max_element(p.excess.begin(), p.excess.end());
}

// A step is judged by what it gains, so a nearly verified answer serves; "converged" asks for a verified one.
bool usable(const QpResult& r) {
  const bool ran_out = r.status == QpStatus::max_iterations || r.status == QpStatus::numeric;
  return r.status == QpStatus::optimal || (ran_out && r.residual.worst() <= kUsable);
}

// "output 2 at step 5" for the first value that is not finite.
std::string first_missing(const Matrix& m) {
  for (Index t = 0; t < m.rows; ++t)
    for (Index o = 0; o < m.cols; ++o)
      if (!std::isfinite(m(t, o))) return "output " + std::to_string(o) + " at step " + std::to_string(t);
  return "the cost";
}

}  // namespace

Sqp::Sqp(const Moves& moves, const std::vector<Limit>& limits, const Economics& economics,
         const ControllerConfig& config, int outputs)
    : moves_(moves),
      limits_(limits),
      economics_(economics),
      config_(config),
      outputs_(outputs),
      learnt_(block_steps(moves), 1 + static_cast<int>(limits.size())),
      pressure_(limits.size()),
      qp_(moves.blocks() * moves.setpoints(),
          static_cast<int>(limits.size()) * moves.horizon() + moves.blocks() * moves.setpoints(),
          {.max_iterations = 60, .tolerance = 1e-8}) {
  std::set<int> distinct;
  for (const Limit& l : limits) distinct.insert(l.rank);
  for (const Limit& l : limits)
    rank_.push_back(static_cast<int>(std::distance(distinct.begin(), distinct.find(l.rank))));
  ranks_ = std::max<int>(1, static_cast<int>(distinct.size()));
  for (int b = 1; b < moves.blocks(); ++b)
    for (int u = 0; u < moves.setpoints(); ++u)
      if (std::isfinite(moves.setpoint(u).rate)) rate_rows_.emplace_back(b, u);
  for (int b = 0; b < moves.blocks(); ++b)
    for (int u = 0; u < moves.setpoints(); ++u)
      block_moves_.push_back({u, moves.block_start(b),
                              b + 1 < moves.blocks() ? moves.block_start(b + 1) - 1 : moves.horizon() - 1});
  model_.median = model_.upper = Matrix(Index{moves.horizon()} * outputs, n());
  model_.gradient.resize(static_cast<std::size_t>(n()));
  known_curvature_ = hessian_ = Matrix(n(), n());
}

double Sqp::scale(const LimitRow& row) const {
  const double limit = std::abs(limits_[static_cast<std::size_t>(row.limit)].limit);
  return limit > 0 ? limit : 1;
}

double Sqp::weight(const LimitRow& row) const {
  return base_ * std::pow(kRankGap, ranks_ - 1 - rank_of(row));
}

void Sqp::measure(PlanPoint& p, const SqpTick& tick) const {
  p.finite = all_finite(p.median) && all_finite(p.upper);
  if (!p.finite) return;
  p.cost = economics_.value(p.plan, p.median, tick.predictor.known(), tick.applied.data());
  p.finite = std::isfinite(p.cost.total()) && std::isfinite(p.cost.size);
  p.excess.assign(tick.rows.size(), 0);
  p.penalty.assign(static_cast<std::size_t>(ranks_), 0);
  for (std::size_t i = 0; i < tick.rows.size(); ++i) {
    const LimitRow& row = tick.rows[i];
    const Limit& limit = limits_[static_cast<std::size_t>(row.limit)];
    const Matrix& y = limit.quantile <= 0.5 ? p.median : p.upper;
    double value = 0;
    for (int t = row.first_step; t <= row.end_step; ++t)
      value += row.coefficient[static_cast<std::size_t>(t - row.first_step)] * y(t, limit.output);
    p.excess[i] = (value - row.rhs) / scale(row) + config_.limit_margin;
    p.penalty[static_cast<std::size_t>(rank_of(row))] += phi(p.excess[i]);
  }
}

double Sqp::merit(const PlanPoint& p) const {
  double m = p.cost.total(), w = base_;
  for (int r = ranks_ - 1; r >= 0; --r, w *= kRankGap)
    m += w * (p.penalty.empty() ? 0 : p.penalty[static_cast<std::size_t>(r)]);
  return m;
}

// What the forecaster's fp32 rounding makes of the merit: of its money, and of each limit that is near.
double Sqp::noise(const PlanPoint& p, const SqpTick& tick) const {
  double m = p.cost.size;
  for (std::size_t i = 0; i < p.excess.size(); ++i)
    if (p.excess[i] > -0.01) m += weight(tick.rows[i]);
  return kRounding * m;
}

void Sqp::evaluate(std::vector<PlanPoint>& points, const SqpTick& tick) {
  const Index h = moves_.horizon(), count = static_cast<Index>(points.size());
  Matrix plans(count * h, moves_.setpoints()), median(count * h, outputs_, kMissing), upper = median;
  for (Index k = 0; k < count; ++k) {
    PlanPoint& p = points[static_cast<std::size_t>(k)];
    moves_.legalise_blocks(p.x, tick.applied.data());  // rounding in x + alpha d
    p.plan = Matrix(h, moves_.setpoints());
    moves_.expand(p.plan, p.x, tick.applied.data());
    std::copy(p.plan.values.begin(), p.plan.values.end(), plans.row(k * h));
  }
  tick.predictor.predict_batch(median, upper, plans, static_cast<int>(count));
  tick.bias.apply(median);
  tick.bias.apply(upper);
  for (Index k = 0; k < count; ++k) {
    PlanPoint& p = points[static_cast<std::size_t>(k)];
    p.median = p.upper = Matrix(h, outputs_);
    std::copy_n(median.row(k * h), h * outputs_, p.median.row(0));
    std::copy_n(upper.row(k * h), h * outputs_, p.upper.row(0));
    measure(p, tick);
  }
}

const QpResult& Sqp::solve_qp(const SqpTick& tick) {
  const std::size_t limit_rows = tick.rows.size();
  for (std::size_t i = 0; i < limit_rows; ++i) {
    l1_[i] = weight(tick.rows[i]);
    l2_[i] = kQuadratic * l1_[i];
  }
  return qp_.solve({.hessian = hessian_,
                    .gradient = model_.gradient,
                    .lower = lower_,
                    .upper = upper_,
                    .rows = qp_rows_,
                    .row_lower = row_lower_,
                    .row_upper = row_upper_,
                    .l1 = l1_,
                    .l2 = l2_},
                   &tick.late);
}

// The QP for a step from p; `excess` is where its limit rows start from.
void Sqp::pose(const PlanPoint& p, const std::vector<double>& excess, double trust) {
  const int users = moves_.setpoints();
  const std::size_t size = static_cast<std::size_t>(n()), soft = excess.size(),
                    rows = soft + rate_rows_.size();
  hessian_ = known_curvature_;
  learnt_.add(hessian_, 0, 1);
  for (std::size_t l = 0; l < pressure_.size(); ++l)
    learnt_.add(hessian_, 1 + static_cast<int>(l), pressure_[l]);
  for (Index k = 0; k < n(); ++k) hessian_(k, k) += levenberg_ + (learnt_.known(0) ? 0 : stand_in_);

  lower_.assign(size, 0);
  upper_.assign(size, 0);
  for (int b = 0; b < moves_.blocks(); ++b)
    for (int u = 0; u < users; ++u) {
      const auto k = static_cast<std::size_t>(b * users + u);
      lower_[k] = std::max(-trust, std::min(0.0, (low_(b, u) - p.x(b, u)) / moves_.range(u)));
      upper_[k] = std::min(trust, std::max(0.0, (high_(b, u) - p.x(b, u)) / moves_.range(u)));
    }
  qp_rows_ = Matrix(static_cast<Index>(rows), n());
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
}

QpStatus Sqp::quadratic(const PlanPoint& p, const SqpTick& tick, double trust, Step& step) {
  const int users = moves_.setpoints();
  const std::size_t size = static_cast<std::size_t>(n()), soft = tick.rows.size(),
                    rows = soft + rate_rows_.size();
  pose(p, p.excess, trust);
  const QpResult* r = &solve_qp(tick);
  // Exactness of the automatic weight: slack that a far larger weight removes was not forced by the limits,
  // so the weight was below a multiplier; slack that stays is the least there is.
  const auto total_slack = [&](const QpResult& q) {
    double sum = 0;
    for (std::size_t i = 0; i < soft; ++i) sum += q.slack[i] * std::pow(kRankGap, -rank_of(tick.rows[i]));
    return sum;
  };
  while (raises_ < kRaises && config_.slack_l1 == 0 && usable(*r)) {
    const double before = total_slack(*r), old = base_;
    if (before <= config_.limit_margin || tick.late()) break;
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
  step.verified = r->status == QpStatus::optimal;

  step.d = r->x;
  step.multiplier.assign(r->y.begin(), r->y.begin() + static_cast<Index>(soft));
  double now = 0;
  for (std::size_t i = 0; i < soft; ++i) now += weight(tick.rows[i]) * phi(p.excess[i]);
  step.predicted = now - r->objective;

  // Stationarity of the problem itself, at p, with the QP's multipliers: what the curvature term and the
  // trust region had to balance. A multiplier of the trust region does not belong to the problem.
  step.at_trust = false;
  double residual = 0, complementarity = 0;
  for (std::size_t k = 0; k < size; ++k) {
    double rest = dense::dot(hessian_.row(static_cast<Index>(k)), step.d.data(), n());
    const int b = static_cast<int>(k) / users, u = static_cast<int>(k) % users;
    const double bound = r->z[k] > 0 ? (high_(b, u) - p.x(b, u)) / moves_.range(u)
                                     : (low_(b, u) - p.x(b, u)) / moves_.range(u);
    if (std::abs(bound) > trust) {
      rest += r->z[k];
      step.at_trust |= std::abs(step.d[k]) > 0.99 * trust;
    } else {
      complementarity += std::abs(r->z[k] * bound);
    }
    residual = std::max(residual, std::abs(rest));
  }
  for (std::size_t i = 0; i < soft; ++i) {
    const double y = step.multiplier[i], e = p.excess[i];
    complementarity += e <= 0 ? std::abs(y * e) : std::abs((l1_[i] + l2_[i] * e - y) * e);
  }
  for (std::size_t i = soft; i < rows; ++i)
    complementarity += std::abs(r->y[i]) * (r->y[i] > 0 ? row_upper_[i] : -row_lower_[i]);
  step.kkt = std::max(residual, complementarity) / cost_scale_;
  return QpStatus::optimal;
}

PlanPoint Sqp::stepped(const PlanPoint& from, const std::vector<double>& d, double alpha) const {
  PlanPoint p;
  p.x = from.x;
  for (std::size_t k = 0; k < d.size(); ++k)
    p.x.values[k] += alpha * d[k] * moves_.range(static_cast<int>(k) % moves_.setpoints());
  return p;
}

// The full step bent back to the limits (Fletcher 1982): the same QP with the rows' true values at its end in
// place of their linear forecast. Without it a step along a curved limit is halved at every iteration,
// however close the optimum (Maratos 1978).
bool Sqp::bend(PlanPoint& full, const PlanPoint& from, const SqpTick& tick, const Step& step, double trust) {
  if (!full.finite || tick.late()) return false;
  std::vector<double> excess = full.excess;
  bool needed = false;
  for (std::size_t i = 0; i < excess.size(); ++i) {
    const double slope = dense::dot(model_.rows.row(static_cast<Index>(i)), step.d.data(), n());
    needed |= excess[i] > std::max(0.0, from.excess[i] + slope) + 1e-3 * config_.limit_margin;
    excess[i] -= slope;
  }
  if (!needed) return false;
  pose(from, excess, trust);
  const QpResult& r = solve_qp(tick);
  if (!usable(r) || tick.late()) return false;
  std::vector<PlanPoint> bent = {stepped(from, r.x, 1)};
  evaluate(bent, tick);
  full = std::move(bent[0]);
  return full.finite;
}

// Steps of 1, 1/2, ... in one batch, and the bent one if `trust` > 0; the best by merit becomes `current`.
bool Sqp::search(PlanPoint& current, const SqpTick& tick, const Step& step, const std::vector<double>& alphas,
                 double trust, double& gained) {
  std::vector<PlanPoint> candidates;
  for (const double alpha : alphas) candidates.push_back(stepped(current, step.d, alpha));
  evaluate(candidates, tick);
  const double now = merit(current);
  std::size_t best = alphas.size();
  double best_merit = now;
  for (std::size_t c = 0; c < alphas.size(); ++c) {
    if (!candidates[c].finite) continue;
    const double m = merit(candidates[c]);
    if (m < best_merit && now - m >= kSufficient * alphas[c] * step.predicted) {
      best = c;
      best_merit = m;
    }
  }
  if (trust > 0 && best != 0 && bend(candidates[0], current, tick, step, trust)) {
    const double m = merit(candidates[0]);
    if (m < best_merit && now - m >= kSufficient * step.predicted) {
      best = 0;
      best_merit = m;
    }
  }
  // Near the end a step promises less than the forecast's rounding: its value can no longer tell, the next
  // point's gradient can. Such a step is taken in full if nothing but rounding speaks against it.
  if (best == alphas.size() && noisy_steps_ < kNoisySteps && step.predicted <= noise(current, tick) &&
      candidates[0].finite && merit(candidates[0]) <= now + noise(current, tick)) {
    best = 0;
    best_merit = std::min(now, merit(candidates[0]));
    ++noisy_steps_;
  }
  if (best == alphas.size()) return false;
  gained = now - best_merit;
  current = std::move(candidates[best]);
  return true;
}

SqpOutcome Sqp::solve(const SqpTick& tick) {
  using Stop = SqpOutcome::Stop;
  SqpOutcome out;
  has_last_ = false;
  moves_.reachable(low_, high_, tick.applied.data());
  try {
    std::vector<PlanPoint> starts(tick.starts.size());
    for (std::size_t k = 0; k < starts.size(); ++k) starts[k].x = tick.starts[k];
    evaluate(starts, tick);
    cost_scale_ = 0;
    for (const PlanPoint& p : starts)
      if (p.finite) cost_scale_ = std::max(cost_scale_, p.cost.size);
    if (cost_scale_ == 0) cost_scale_ = 1;
    base_ = config_.slack_l1 > 0 ? config_.slack_l1 / std::pow(kRankGap, ranks_ - 1) : cost_scale_;
    for (PlanPoint& p : starts) {
      if (!p.finite) {
        if (out.detail.empty()) out.detail = first_missing(all_finite(p.median) ? p.upper : p.median);
      } else if (!out.found || merit(p) < merit(out.best)) {
        out.best = std::move(p);
        out.found = true;
      }
    }
    if (!out.found) {
      out.stop = Stop::forecast_nan;
      return out;
    }

    PlanPoint& current = out.best;
    double trust = config_.trust;
    double jacobian_seconds = 0;
    levenberg_ = 0;
    raises_ = noisy_steps_ = 0;
    for (out.iterations = 0; out.iterations < config_.max_iterations;) {
      // A tile that will not fit is not begun: the last Jacobian tells what the next one takes.
      const double before = tick.remaining();
      if (before <= jacobian_seconds) return out.stop = Stop::deadline, out;
      std::string detail;
      if (!jacobian(current, tick, detail)) {
        out.detail = detail;
        return out.stop = Stop::jacobian_nan, out;
      }
      jacobian_seconds = std::max(0.0, before - tick.remaining());
      ++out.iterations;
      linearise(current, tick);
      curvature(current, tick);
      double steepest = 0;
      for (double g : model_.gradient) steepest = std::max(steepest, std::abs(g));
      floor_ = 1e-4 * std::max(steepest, 1e-6 * cost_scale_);
      if (levenberg_ == 0) levenberg_ = floor_;
      learn(current, tick);
      stand_in_ = 0.5 * steepest / config_.trust;  // brings the steepest coordinate to the trust region

      bool moved = false;
      Step step;
      for (int attempt = 0; attempt < kTries && !moved; ++attempt) {
        if (tick.late()) return out.stop = Stop::deadline, out;
        const QpStatus status = quadratic(current, tick, trust, step);
        if (status == QpStatus::stopped) return out.stop = Stop::deadline, out;
        if (status != QpStatus::optimal) {
          out.detail = to_string(status);
          return out.stop = Stop::qp_failed, out;
        }
        ++out.solved;
        const bool converged = step.verified && step.kkt <= config_.kkt_tolerance;
        if (attempt == 0 || converged) out.kkt = step.kkt;
        if (converged) return out.stop = Stop::converged, out;
        if (tick.late()) return out.stop = Stop::deadline, out;
        double gained = 0, longest = 0;
        for (double d : step.d) longest = std::max(longest, std::abs(d));
        // What the gradients were here; learn() weighs them by these multipliers.
        last_gradient_ = model_.gradient;
        last_rows_ = model_.rows;
        multiplier_ = step.multiplier;
        std::fill(pressure_.begin(), pressure_.end(), 0.0);
        for (std::size_t i = 0; i < tick.rows.size(); ++i)
          pressure_[static_cast<std::size_t>(tick.rows[i].limit)] += std::max(0.0, multiplier_[i]);
        moved = search(current, tick, step, kAlphas, trust, gained);
        if (!moved) {
          trust = std::max(0.1 * longest, 1e-8);
          levenberg_ = std::max(10 * levenberg_, floor_);
          continue;
        }
        has_last_ = true;
        if (gained > 0.5 * step.predicted) {
          levenberg_ = std::max(0.25 * levenberg_, floor_);
          if (step.at_trust) trust = std::min(2 * trust, 1.0);
        } else if (gained < 0.1 * step.predicted) {
          trust = std::max(0.5 * longest, 1e-8);
        }
      }
      if (!moved) return out.stop = Stop::no_descent, out;

      // Back to limits that bend away: rows and gradient are exact at the new point, only the Jacobian is
      // old. Again while that helps; limits beyond reach end it at once.
      double worst = worst_excess(current);
      for (int round = 0; round < kCorrections && worst > config_.limit_margin && !tick.late(); ++round) {
        linearise(current, tick);
        Step correction;
        double gained = 0;
        if (quadratic(current, tick, trust, correction) != QpStatus::optimal || tick.late() ||
            !search(current, tick, correction, kCorrectionAlphas, 0, gained))
          break;
        const double before_round = std::exchange(worst, worst_excess(current));
        if (worst > 0.9 * before_round) break;
      }
    }
    out.stop = Stop::iterations;
  } catch (const std::exception& e) {
    out.stop = Stop::threw;
    out.detail = e.what();
  }
  return out;
}

}  // namespace emisopt
