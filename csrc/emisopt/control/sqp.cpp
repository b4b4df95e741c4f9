#include "emisopt/control/sqp.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "emisopt/qp/dense.hpp"

namespace emisopt {
namespace {

constexpr double kRankGap = 100;      // weight of a rank over the next: a trade of 1 % against all of it
constexpr double kSufficient = 1e-4;  // Armijo's share of the predicted decrease
constexpr double kGood = 0.7;         // shares of it: above, the trust region may grow;
constexpr double kFair = 0.3;         // below, the step is bent back to the limits;
constexpr double kPoor = 0.2;         // below, the trust region shrinks
constexpr double kFloor = 1e-2;       // of the steepest slope: least curvature, per range, of the QPs
constexpr int kTries = 8;             // trust regions tried per Jacobian
constexpr int kNoisySteps = 8;        // per tick that are taken although they gain less than rounding
constexpr double kRounding = 1e-6;    // relative, of forecasts in fp32 after some layers
constexpr int kBends = 4;             // of one step
constexpr double kBendsEnough = 0.5;  // of what is beyond the limits must go with each
constexpr int kCorrections = 5;       // of a step that ends beyond limits, per Jacobian

double worst_excess(const PlanPoint& p) {
  return p.excess.empty() ? 0 : *std::max_element(p.excess.begin(), p.excess.end());
}

// "output 2 at step 5" for the first value that is not finite.
std::string first_missing(const Matrix& m) {
  for (Index t = 0; t < m.rows; ++t)
    for (Index o = 0; o < m.cols; ++o)
      if (!std::isfinite(m(t, o))) return "output " + std::to_string(o) + " at step " + std::to_string(t);
  return "the cost";
}

}  // namespace

double limit_penalty(double s) { return s > 0 ? s + 0.5 * kSlackL2 * s * s : 0; }

void shape(Matrix& m, Index rows, Index cols, double fill) {
  m.rows = rows;
  m.cols = cols;
  m.values.assign(static_cast<std::size_t>(rows * cols), fill);
}

Sqp::Sqp(const Moves& moves, const std::vector<Limit>& limits, const Economics& economics,
         const ControllerConfig& config, int outputs)
    : moves_(moves),
      limits_(limits),
      economics_(economics),
      config_(config),
      outputs_(outputs),
      learnt_(n(), std::vector<double>(1 + limits.size(), 1.0)),
      convex_(n()),
      pressure_(1 + limits.size()),
      room_(static_cast<int>(limits.size()) * moves.horizon()),
      steady_qp_(moves.setpoints(), static_cast<int>(limits.size() + moves.interlocks().size()), kQpOptions) {
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
  make_solvers(room_ + moves.blocks() * (moves.setpoints() + static_cast<int>(moves.interlocks().size())));
  const auto size = static_cast<std::size_t>(n());
  model_.median = model_.upper = Matrix(Index{moves.horizon()} * outputs, n());
  model_.gradient.resize(size);
  known_curvature_ = hessian_ = unused_ = tame_ = Matrix(n(), n());
  last_x_.resize(size);
  last_gradient_.resize(size);
  by_step_.resize(size);
  by_change_.resize(size);
}

void Sqp::make_solvers(int rows) {
  QpOptions inner = kQpOptions;
  inner.method = QpMethod::interior_point;
  qp_ = std::make_unique<QpSolver>(n(), rows, kQpOptions);
  inner_qp_ = std::make_unique<QpSolver>(n(), rows, inner);
  same_qp_ = false;
}

PlanPoint& Sqp::spare(std::size_t i) {
  if (pool_.size() <= i) pool_.resize(i + 1);
  return pool_[i];
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
    p.penalty[static_cast<std::size_t>(rank_of(row))] += limit_penalty(p.excess[i]);
  }
}

double Sqp::merit(const PlanPoint& p) const {
  double m = p.cost.total(), w = base_;
  for (int r = ranks_ - 1; r >= 0; --r, w *= kRankGap)
    m += w * (p.penalty.empty() ? 0 : p.penalty[static_cast<std::size_t>(r)]);
  return m;
}

// Rank by rank: violations of rank `level`, the cost below all of them. Else the merit.
double Sqp::score(const PlanPoint& p, int level) const {
  if (level < 0) return merit(p);
  if (level == ranks_) return p.cost.total();
  return p.penalty.empty() ? 0 : p.penalty[static_cast<std::size_t>(level)];
}

// No rank above `level` gives way.
bool Sqp::keeps(const PlanPoint& p, const PlanPoint& than, int level) const {
  for (int rank = 0; rank < level; ++rank)
    if (score(p, rank) > score(than, rank) + rank_tolerance()) return false;
  return true;
}

bool Sqp::better(const PlanPoint& p, const PlanPoint& than) const {
  if (!by_rank()) return merit(p) < merit(than);
  for (int rank = 0; rank < ranks_; ++rank)
    if (std::abs(score(p, rank) - score(than, rank)) > rank_tolerance())
      return score(p, rank) < score(than, rank);
  return p.cost.total() < than.cost.total();
}

// What the forecaster's fp32 rounding makes of the score: of its money, and of each limit that is near.
double Sqp::noise(const PlanPoint& p, const SqpTick& tick, int level) const {
  if (level >= 0) return kRounding * (level == ranks_ ? p.cost.size : 1);
  double m = p.cost.size;
  for (std::size_t i = 0; i < p.excess.size(); ++i)
    if (p.excess[i] > -0.01) m += weight(tick.rows[i]);
  return kRounding * m;
}

void Sqp::evaluate(PlanPoint* points, std::size_t count, const SqpTick& tick) {
  const Index h = moves_.horizon(), rows = static_cast<Index>(count) * h;
  shape(plans_, rows, moves_.setpoints());
  shape(median_, rows, outputs_, kMissing);
  shape(upper_of_, rows, outputs_, kMissing);
  for (std::size_t k = 0; k < count; ++k) {
    PlanPoint& p = points[k];
    moves_.legalise_blocks(p.x, tick.applied.data());  // rounding in x + alpha d
    shape(p.plan, h, moves_.setpoints());
    moves_.expand(p.plan, p.x, tick.applied.data());
    std::copy(p.plan.values.begin(), p.plan.values.end(), plans_.row(static_cast<Index>(k) * h));
  }
  tick.predictor.predict_batch(median_, upper_of_, plans_, static_cast<int>(count));
  tick.bias.apply(median_);
  tick.bias.apply(upper_of_);
  for (std::size_t k = 0; k < count; ++k) {
    PlanPoint& p = points[k];
    shape(p.median, h, outputs_);
    shape(p.upper, h, outputs_);
    std::copy_n(median_.row(static_cast<Index>(k) * h), h * outputs_, p.median.row(0));
    std::copy_n(upper_of_.row(static_cast<Index>(k) * h), h * outputs_, p.upper.row(0));
    measure(p, tick);
  }
}

void Sqp::stepped(PlanPoint& to, const PlanPoint& from, const std::vector<double>& d) const {
  to.x = from.x;
  for (std::size_t k = 0; k < d.size(); ++k)
    to.x.values[k] += d[k] * moves_.range(static_cast<int>(k) % moves_.setpoints());
}

// The full step bent back to the limits (Fletcher 1982): the same QP with the rows' true values at its end in
// place of their linear forecast; and the bent step bent again while that takes enough of what is beyond the
// limits away. Without it a step along a curved limit is cut at every iteration, however close the optimum
// (Maratos 1978). The best of them by `level` lies in bent_; `gain`: what it gains over `from`.
bool Sqp::bend(const PlanPoint& full, const PlanPoint& from, const SqpTick& tick, const Step& step,
               double trust, double& gain) {
  const PlanPoint* at = &full;
  bool any = false;
  gain = -HUGE_VAL;
  double beyond = HUGE_VAL;
  for (int round = 0; round < kBends && at->finite && !tick.time.late(); ++round) {
    excess_ = at->excess;
    bool needed = false;
    double left = 0;
    for (std::size_t i = 0; i < excess_.size(); ++i) {
      const double* row = model_.rows.row(static_cast<Index>(i));
      double slope = 0;
      for (Index k = 0; k < n(); ++k)
        slope += row[k] *
                 (at->x.values[static_cast<std::size_t>(k)] - from.x.values[static_cast<std::size_t>(k)]) /
                 moves_.range(static_cast<int>(k) % moves_.setpoints());
      const double promised = std::max(0.0, from.excess[i] + dense::dot(row, step.d.data(), n()));
      needed |= excess_[i] > promised + 1e-3 * config_.limit_margin;
      left += std::max(0.0, excess_[i] - promised);
      excess_[i] -= slope;
    }
    if (!needed || !(left < kBendsEnough * beyond)) break;
    beyond = left;
    pose(from, excess_, trust);
    const QpResult& r = solve_qp(tick);
    if (!usable(r) || tick.time.late()) break;
    stepped(candidate_, from, r.x);
    evaluate(&candidate_, 1, tick);
    const double gained = gain_of(candidate_, from, step.level);
    if (gained > gain) {
      gain = gained;
      any = true;
      std::swap(bent_, candidate_);
      at = &bent_;
      if (gain > kFair * step.predicted) break;
    } else {
      at = &candidate_;
    }
  }
  return any;
}

// Of the merit, or of what `level` looks at.
double Sqp::gain_of(const PlanPoint& p, const PlanPoint& from, int level) const {
  return p.finite && keeps(p, from, level) ? score(from, level) - score(p, level) : -HUGE_VAL;
}

// The full step, and the bent one if `trust` > 0 and the full one falls short of its promise; the better one
// becomes `current`, whose place trial_ takes. Else trial_ is the full step.
bool Sqp::search(PlanPoint& current, const SqpTick& tick, const Step& step, double trust, double& gained) {
  stepped(trial_, current, step.d);
  evaluate(&trial_, 1, tick);
  const int level = step.level;
  const double enough = std::max(kSufficient * step.predicted, 0.0);
  gained = gain_of(trial_, current, level);
  bool found = gained > 0 && gained >= enough;
  double bent = 0;
  if (trust > 0 && gained < kFair * step.predicted && bend(trial_, current, tick, step, trust, bent) &&
      bent > 0 && bent >= enough && bent > gained) {
    gained = bent;
    found = true;
    std::swap(trial_, bent_);
  }
  // Near the end a step promises less than the forecast's rounding: its value can no longer tell, the next
  // point's gradient can. Such a step is taken if nothing but rounding speaks against it.
  if (!found && noisy_steps_ < kNoisySteps && step.predicted <= noise(current, tick, level) &&
      trial_.finite && keeps(trial_, current, level) && gained >= -noise(current, tick, level)) {
    gained = std::max(gained, 0.0);
    found = true;
    ++noisy_steps_;
  }
  if (!found) return false;
  secant(current, trial_);
  std::swap(current, trial_);
  return true;
}

// Steps from one linearisation, with smaller trust regions until one is accepted. On an older Jacobian one
// attempt is enough: a new Jacobian tells more than a smaller step.
Sqp::Tried Sqp::improve(PlanPoint& current, const SqpTick& tick, bool fresh, bool exact, double& trust,
                        SqpOutcome& out) {
  Step& step = step_;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (tick.time.late()) return Tried::late;
    convexify();
    const QpStatus status = quadratic(current, tick, trust, step);
    if (status == QpStatus::stopped) return Tried::late;
    if (status != QpStatus::optimal) {
      out.detail = to_string(status);
      return Tried::failed;
    }
    ++out.solved;
    bool converged = step.verified && exact && step.kkt <= config_.kkt_tolerance;
    if (converged && !fresh) converged = !tick.time.late() && confirm(current, tick, step);
    if ((attempt == 0 && exact) || converged) out.kkt = step.kkt;
    if (converged) return Tried::converged;
    if (tick.time.late()) return Tried::late;
    double gained = 0, longest = 0;
    for (double d : step.d) longest = std::max(longest, std::abs(d));
    weigh(tick, step.multiplier);
    depart(current);
    const bool found = search(current, tick, step, trust, gained);
    const bool froze = freeze(current, tick, step.d, trust, true);
    if (!found) {
      if (froze) continue;
      if (!fresh) return Tried::stuck;
      // A step that fails tells how the slopes change along it; the next one begins knowing that.
      if (trial_.finite && exact && !tick.time.late() && lagrangian(defect_, trial_, tick))
        learn(trial_, defect_);
      trust = std::max(0.25 * longest, 1e-8);
      continue;
    }
    has_last_ = exact;
    const double ratio = step.predicted > 0 ? gained / step.predicted : 1;
    if (ratio > kGood && longest > 0.99 * trust)
      trust = std::min(2 * trust, 1.0);
    else if (ratio < kPoor && step.predicted > noise(current, tick, step.level))
      trust = std::max(0.5 * longest, 1e-6);
    return Tried::moved;
  }
  return Tried::stuck;
}

// Back to limits that bend away: rows and values are exact at the new point, only the Jacobian is old. Again
// while that helps; limits beyond reach end it at once.
void Sqp::come_back(PlanPoint& current, const SqpTick& tick, double trust) {
  double worst = worst_excess(current);
  for (int round = 0; round < kCorrections && worst > config_.limit_margin && !tick.time.late(); ++round) {
    linearise(current, tick, false);
    double gained = 0;
    if (quadratic(current, tick, trust, correction_) != QpStatus::optimal || tick.time.late()) break;
    bool found = search(current, tick, correction_, 0, gained);
    if (!found && !tick.time.late()) {
      for (double& d : correction_.d) d *= 0.5;
      correction_.predicted *= 0.5;
      found = search(current, tick, correction_, 0, gained);
    }
    if (!found) break;
    const double before_round = std::exchange(worst, worst_excess(current));
    if (worst > 0.9 * before_round) break;
  }
}

// From out.best: steps until the residual is small, nothing helps any more, or what may be spent is spent.
// A Jacobian serves as long as its steps keep what they promise: values and the Lagrangian's gradient are
// those of the point itself, so the steps lead to the optimum whatever Jacobian they are taken on.
SqpOutcome::Stop Sqp::descend(const SqpTick& tick, bool prepared, SqpOutcome& out) {
  using Stop = SqpOutcome::Stop;
  PlanPoint& current = out.best;
  double trust = config_.trust, jacobian_seconds = 0;
  bool fresh = !prepared;
  int age = 0;  // steps on the Jacobian in hand
  for (bool first = true;; first = false) {
    if (fresh) {
      if (out.iterations >= config_.max_iterations) return Stop::iterations;
      // A tile that will not fit is not begun: the last Jacobian tells what the next one takes.
      if (!tick.time.fits(jacobian_seconds)) return Stop::deadline;
      const double before = tick.time.elapsed();
      if (!jacobian(current, tick.predictor, tick.bias, out.detail)) return Stop::jacobian_nan;
      jacobian_seconds = std::max(0.0, tick.time.elapsed() - before);
      ++out.iterations;
      age = 0;
    } else if (!first && tick.time.late()) {
      return Stop::deadline;
    }
    const bool exact = linearise(current, tick, fresh);
    if (!fresh && !exact) {
      backward_ = false;
      if (!first) {  // the predictor has no backward pass: back to what an old Jacobian is good for
        come_back(current, tick, trust);
        fresh = true;
        continue;
      }
    }
    if (fresh || first) curvature(current, tick);
    double steepest = 0;
    for (double g : model_.gradient) steepest = std::max(steepest, std::abs(g));
    floor_ = kFloor * std::max(steepest, 1e-6 * cost_scale_);
    stand_in_ = 0.5 * steepest / config_.trust;  // brings the steepest coordinate to the trust region
    if (exact && has_last_) {
      by_change_ = model_.gradient;
      dense::add_transposed(by_change_.data(), model_.rows, multiplier_.data());
      learn(current, by_change_);
    }
    has_last_ = false;

    const bool between = backward_ && config_.adjoint_steps > 0;
    switch (improve(current, tick, fresh, exact, trust, out)) {
      case Tried::converged:
        return Stop::converged;
      case Tried::late:
        return Stop::deadline;
      case Tried::failed:
        return Stop::qp_failed;
      case Tried::stuck:
        if (fresh) return Stop::no_descent;
        fresh = true;
        break;
      case Tried::moved:
        if (!fresh) ++out.adjoint;
        ++age;
        if (!between) come_back(current, tick, trust);
        fresh = !between || age > config_.adjoint_steps;
        break;
    }
  }
}

// What the multipliers of the last tick say one row on: the window that closed at step t + 1 closes at t.
void Sqp::shift(std::span<const LimitRow> rows) {
  if (multiplier_.size() != rows.size()) {
    multiplier_.assign(rows.size(), 0);
    start_y_.clear();
    return;
  }
  for (std::size_t i = 0; i + 1 < rows.size(); ++i)
    if (rows[i].limit == rows[i + 1].limit) {
      multiplier_[i] = multiplier_[i + 1];
      if (!start_y_.empty()) start_y_[i] = start_y_[i + 1];
    }
}

SqpOutcome& Sqp::solve(const SqpTick& tick) {
  using Stop = SqpOutcome::Stop;
  SqpOutcome& out = out_;
  out.stop = Stop::iterations;
  out.found = false;
  out.solved = out.iterations = out.adjoint = 0;
  out.kkt = kMissing;
  out.detail.clear();
  has_last_ = same_qp_ = false;
  keep_start_ = true;
  shadow_.bound.clear();
  shadow_.limit.clear();
  const bool prepared = std::exchange(prepared_, false);
  shift(tick.rows);
  weigh(tick, multiplier_);
  moves_.reachable(low_, high_, tick.applied.data());
  try {
    const std::size_t count = tick.starts.size();
    spare(count - 1);
    for (std::size_t k = 0; k < count; ++k) pool_[k].x = tick.starts[k];
    evaluate(pool_.data(), count, tick);
    cost_scale_ = 0;
    for (std::size_t k = 0; k < count; ++k)
      if (pool_[k].finite) cost_scale_ = std::max(cost_scale_, pool_[k].cost.size);
    if (cost_scale_ == 0) cost_scale_ = 1;
    learnt_.resize(0, cost_scale_);
    base_ = config_.slack_l1 > 0 ? config_.slack_l1 / std::pow(kRankGap, ranks_ - 1) : cost_scale_;
    for (std::size_t k = 0; k < count; ++k) {
      PlanPoint& p = pool_[k];
      if (!p.finite) {
        if (out.detail.empty()) out.detail = first_missing(all_finite(p.median) ? p.upper : p.median);
      } else if (!out.found || better(p, out.best)) {
        std::swap(out.best, p);
        out.found = true;
      }
    }
    if (!out.found) return out.stop = Stop::forecast_nan, out;

    raises_ = noisy_steps_ = 0;
    if (prepared) out.iterations = 1;
    out.stop = descend(tick, prepared, out);
    // A limit may ask for less than a dead-band lets through: it gets the whole band, and the rest of the
    // plan is chosen anew.
    if (out.stop != Stop::deadline && worst_excess(out.best) > config_.limit_margin &&
        move_whole_bands(out.best, tick))
      out.stop = descend(tick, false, out);
  } catch (const std::exception& e) {
    out.stop = Stop::threw;
    out.detail = e.what();
  }
  return out;
}

}  // namespace emisopt
