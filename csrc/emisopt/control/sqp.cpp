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
constexpr int kTries = 4;             // trust regions tried per Jacobian
constexpr int kNoisySteps = 8;        // per tick that are taken although they gain less than rounding
constexpr double kRounding = 1e-6;    // relative, of forecasts in fp32 after some layers
constexpr int kCorrections = 5;       // of a step that ends beyond limits, per Jacobian
const std::vector<double> kAlphas = {1, 0.5, 0.25, 0.1};
const std::vector<double> kCorrectionAlphas = {1, 0.5};

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

Sqp::Sqp(const Moves& moves, const std::vector<Limit>& limits, const Economics& economics,
         const ControllerConfig& config, int outputs)
    : moves_(moves),
      limits_(limits),
      economics_(economics),
      config_(config),
      outputs_(outputs),
      learnt_(block_steps(moves), 1 + static_cast<int>(limits.size())),
      pressure_(limits.size()),
      room_(static_cast<int>(limits.size()) * moves.horizon()),
      qp_(std::make_unique<QpSolver>(
          moves.blocks() * moves.setpoints(),
          room_ + moves.blocks() * (moves.setpoints() + static_cast<int>(moves.interlocks().size())),
          kQpOptions)) {
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
  if (!full.finite || tick.time.late()) return false;
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
  if (!usable(r) || tick.time.late()) return false;
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
  const int level = step.level;
  const double now = score(current, level);
  std::size_t best = alphas.size();
  double best_merit = now;
  for (std::size_t c = 0; c < alphas.size(); ++c) {
    if (!candidates[c].finite || !keeps(candidates[c], current, level)) continue;
    const double m = score(candidates[c], level);
    if (m < best_merit && now - m >= kSufficient * alphas[c] * step.predicted) {
      best = c;
      best_merit = m;
    }
  }
  if (trust > 0 && best != 0 && bend(candidates[0], current, tick, step, trust) &&
      keeps(candidates[0], current, level)) {
    const double m = score(candidates[0], level);
    if (m < best_merit && now - m >= kSufficient * step.predicted) {
      best = 0;
      best_merit = m;
    }
  }
  // Near the end a step promises less than the forecast's rounding: its value can no longer tell, the next
  // point's gradient can. Such a step is taken in full if nothing but rounding speaks against it.
  if (best == alphas.size() && noisy_steps_ < kNoisySteps && step.predicted <= noise(current, tick, level) &&
      candidates[0].finite && keeps(candidates[0], current, level) &&
      score(candidates[0], level) <= now + noise(current, tick, level)) {
    best = 0;
    best_merit = std::min(now, score(candidates[0], level));
    ++noisy_steps_;
  }
  if (best == alphas.size()) return false;
  gained = now - best_merit;
  current = std::move(candidates[best]);
  return true;
}

// Steps from one linearisation, with smaller trust regions until one is accepted. On an older Jacobian one
// attempt is enough: a new Jacobian tells more than a smaller step.
Sqp::Tried Sqp::improve(PlanPoint& current, const SqpTick& tick, bool fresh, bool exact, double& trust,
                        SqpOutcome& out) {
  Step step;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (tick.time.late()) return Tried::late;
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
    if (fresh) {
      // What the gradients were here; learn() weighs them by these multipliers.
      last_gradient_ = model_.gradient;
      last_rows_ = model_.rows;
    }
    multiplier_ = step.multiplier;
    std::fill(pressure_.begin(), pressure_.end(), 0.0);
    for (std::size_t i = 0; i < tick.rows.size(); ++i)
      pressure_[static_cast<std::size_t>(tick.rows[i].limit)] += std::max(0.0, multiplier_[i]);
    const bool found = search(current, tick, step, fresh ? kAlphas : kCorrectionAlphas, trust, gained);
    const bool froze = freeze(current, tick, step.d, trust, true);
    if (!found) {
      if (froze) continue;
      if (!fresh) return Tried::stuck;
      trust = std::max(0.1 * longest, 1e-8);
      levenberg_ = std::max(10 * levenberg_, floor_);
      continue;
    }
    if (fresh) has_last_ = true;
    if (gained > 0.5 * step.predicted) {
      levenberg_ = std::max(0.25 * levenberg_, floor_);
      if (step.at_trust) trust = std::min(2 * trust, 1.0);
    } else if (gained < 0.1 * step.predicted) {
      trust = std::max(0.5 * longest, 1e-8);
    }
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
    Step correction;
    double gained = 0;
    if (quadratic(current, tick, trust, correction) != QpStatus::optimal || tick.time.late() ||
        !search(current, tick, correction, kCorrectionAlphas, 0, gained))
      break;
    const double before_round = std::exchange(worst, worst_excess(current));
    if (worst > 0.9 * before_round) break;
  }
}

// From out.best: steps until the residual is small, nothing helps any more, or what may be spent is spent.
SqpOutcome::Stop Sqp::descend(const SqpTick& tick, bool prepared, SqpOutcome& out) {
  using Stop = SqpOutcome::Stop;
  PlanPoint& current = out.best;
  double trust = config_.trust, jacobian_seconds = 0;
  levenberg_ = 0;
  bool fresh = !prepared, adjoint = true;
  int rounds = 0;
  for (bool first = true;; first = false) {
    if (!(first && prepared)) {
      fresh = rounds == 0;
      if (fresh) {
        if (out.iterations >= config_.max_iterations) return Stop::iterations;
        // A tile that will not fit is not begun: the last Jacobian tells what the next one takes.
        if (!tick.time.fits(jacobian_seconds)) return Stop::deadline;
        const double before = tick.time.elapsed();
        if (!jacobian(current, tick.predictor, tick.bias, out.detail)) return Stop::jacobian_nan;
        jacobian_seconds = std::max(0.0, tick.time.elapsed() - before);
        ++out.iterations;
      } else if (tick.time.late()) {
        return Stop::deadline;
      }
    }
    const bool exact = linearise(current, tick, fresh);
    if (!fresh && !exact) {
      adjoint = false;
      if (!first) {  // the predictor has no backward pass: back to what an old Jacobian is good for
        rounds = 0;
        come_back(current, tick, trust);
        continue;
      }
    }
    if (fresh || first) curvature(current, tick);
    double steepest = 0;
    for (double g : model_.gradient) steepest = std::max(steepest, std::abs(g));
    floor_ = 1e-4 * std::max(steepest, 1e-6 * cost_scale_);
    if (levenberg_ == 0) levenberg_ = floor_;
    if (fresh) learn(current, tick);
    stand_in_ = 0.5 * steepest / config_.trust;  // brings the steepest coordinate to the trust region

    switch (improve(current, tick, fresh, exact, trust, out)) {
      case Tried::converged:
        return Stop::converged;
      case Tried::late:
        return Stop::deadline;
      case Tried::failed:
        return Stop::qp_failed;
      case Tried::stuck:
        if (fresh) return Stop::no_descent;
        rounds = 0;
        break;
      case Tried::moved:
        if (!fresh) ++out.adjoint;
        if (fresh || first)
          rounds = adjoint ? config_.adjoint_steps : 0;
        else
          --rounds;
        if (!adjoint || config_.adjoint_steps == 0) come_back(current, tick, trust);
        break;
    }
  }
}

SqpOutcome Sqp::solve(const SqpTick& tick) {
  using Stop = SqpOutcome::Stop;
  SqpOutcome out;
  has_last_ = false;
  shadow_ = {};
  const bool prepared = std::exchange(prepared_, false);
  multiplier_.assign(tick.rows.size(), 0);
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
      } else if (!out.found || better(p, out.best)) {
        out.best = std::move(p);
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
