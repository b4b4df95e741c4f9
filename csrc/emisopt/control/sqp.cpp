#include "emisopt/control/sqp.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "emisopt/qp/dense.hpp"

namespace emisopt {
namespace {

constexpr double kRankGap = 100;      // weight of a rank over the next: a trade of 1 % against all of it
constexpr double kQuadratic = 1e-3;   // phi(s) = s + kQuadratic/2 s^2: the slack's L2 share
constexpr double kSufficient = 1e-4;  // Armijo's share of the predicted decrease
constexpr int kTries = 4;             // trust regions tried per Jacobian
constexpr int kRaises = 2;            // times the automatic weight may be raised per QP
constexpr double kRaise = 100;
const std::vector<double> kAlphas = {1, 0.5, 0.25, 0.1};
const std::vector<double> kCorrectionAlphas = {1, 0.5};

double phi(double s) { return s > 0 ? s + 0.5 * kQuadratic * s * s : 0; }

bool all_finite(const Matrix& m) {
  for (double v : m.values)
    if (!std::isfinite(v)) return false;
  return true;
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
  const Index h = moves.horizon(), o = outputs, u = moves.setpoints();
  jac_median_ = jac_upper_ = Matrix(h * o, h * u);
  model_.median = model_.upper = Matrix(h * o, n());
  model_.gradient.resize(static_cast<std::size_t>(n()));
  known_curvature_ = learnt_ = hessian_ = Matrix(n(), n());
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

// Jacobians by block values in units of each setpoint's range: the columns of a block's steps add up.
bool Sqp::jacobian(const PlanPoint& p, const SqpTick& tick, std::string& detail) {
  tick.predictor.jacobian(jac_median_, jac_upper_, p.plan);
  const int h = moves_.horizon(), users = moves_.setpoints();
  const auto condense = [&](Matrix& out, const Matrix& full) {
    std::fill(out.values.begin(), out.values.end(), 0.0);
    for (int t = 0; t < h; ++t)
      for (int o = 0; o < outputs_; ++o) {
        const double* from = full.row(t * outputs_ + o);
        double* to = out.row(t * outputs_ + o);
        const double slope = tick.bias.slope(o);
        for (int s = 0; s <= t; ++s)
          for (int u = 0; u < users; ++u)
            to[moves_.block_of(s) * users + u] += from[s * users + u] * moves_.range(u) * slope;
      }
  };
  condense(model_.median, jac_median_);
  condense(model_.upper, jac_upper_);
  if (all_finite(model_.median) && all_finite(model_.upper)) return true;
  const Matrix& bad = all_finite(model_.median) ? model_.upper : model_.median;
  for (Index r = 0; r < bad.rows; ++r)
    for (Index c = 0; c < bad.cols; ++c)
      if (!std::isfinite(bad(r, c))) {
        detail = "output " + std::to_string(r % outputs_) + " at step " + std::to_string(r / outputs_);
        return false;
      }
  return false;
}

void Sqp::linearise(const PlanPoint& p, const SqpTick& tick) {
  const Index h = moves_.horizon(), users = moves_.setpoints();
  Matrix dy(h, outputs_), du(h, users), unused(n(), n());
  economics_.gradient(dy, du, p.plan, p.median, tick.predictor.known());
  std::vector<double>& g = model_.gradient;
  std::fill(g.begin(), g.end(), 0.0);
  dense::add_transposed(g.data(), model_.median, dy.values.data());
  for (int t = 0; t < h; ++t)
    for (int u = 0; u < users; ++u)
      g[static_cast<std::size_t>(moves_.block_of(t) * users + u)] += du(t, u) * moves_.range(u);
  economics_.suppression(g.data(), unused, p.x, tick.applied.data());

  model_.rows = Matrix(static_cast<Index>(tick.rows.size()), n());
  for (std::size_t i = 0; i < tick.rows.size(); ++i) {
    const LimitRow& row = tick.rows[i];
    const Limit& limit = limits_[static_cast<std::size_t>(row.limit)];
    const Matrix& from = limit.quantile <= 0.5 ? model_.median : model_.upper;
    for (int t = row.first_step; t <= row.end_step; ++t)
      dense::axpy(model_.rows.row(static_cast<Index>(i)),
                  row.coefficient[static_cast<std::size_t>(t - row.first_step)] / scale(row),
                  from.row(t * outputs_ + limit.output), n());
  }
}

// Generalised Gauss-Newton: [J; E]' S [J; E] per step, S the convex curvature of the cost by (y, u).
void Sqp::curvature(const PlanPoint& p, const SqpTick& tick) {
  const int users = moves_.setpoints(), width = outputs_ + users;
  std::fill(known_curvature_.values.begin(), known_curvature_.values.end(), 0.0);
  std::vector<double> unused(static_cast<std::size_t>(n()));
  economics_.suppression(unused.data(), known_curvature_, p.x, tick.applied.data());
  Matrix s(width, width), stack(width, n()), product(width, n());
  for (int t = 0; t < moves_.horizon(); ++t) {
    economics_.curvature(s, t, p.plan, p.median, tick.predictor.known());
    if (std::all_of(s.values.begin(), s.values.end(), [](double v) { return v == 0; })) continue;
    std::fill(stack.values.begin(), stack.values.end(), 0.0);
    for (int o = 0; o < outputs_; ++o) std::copy_n(model_.median.row(t * outputs_ + o), n(), stack.row(o));
    for (int u = 0; u < users; ++u) stack(outputs_ + u, moves_.block_of(t) * users + u) = moves_.range(u);
    for (int i = 0; i < width; ++i) {
      std::fill_n(product.row(i), n(), 0.0);
      for (int j = 0; j < width; ++j)
        if (s(i, j) != 0) dense::axpy(product.row(i), s(i, j), stack.row(j), n());
    }
    for (int i = 0; i < width; ++i)
      for (int k = 0; k < n(); ++k)
        if (stack(i, k) != 0) dense::axpy(known_curvature_.row(k), stack(i, k), product.row(i), n());
  }
}

// Damped BFGS (Powell 1978) on what the known curvature does not explain of the Lagrangian's gradient.
void Sqp::learn(const PlanPoint& p) {
  const Index size = n();
  std::vector<double> x(static_cast<std::size_t>(size)), gradient = model_.gradient;
  for (Index k = 0; k < size; ++k)
    x[static_cast<std::size_t>(k)] =
        p.x.values[static_cast<std::size_t>(k)] / moves_.range(static_cast<int>(k) % moves_.setpoints());
  if (has_last_) {
    // The Lagrangian of both points has the multipliers of the QP between them.
    dense::add_transposed(gradient.data(), model_.rows, multiplier_.data());
    std::vector<double> s(static_cast<std::size_t>(size)), y(s.size()), bs(s.size());
    for (std::size_t k = 0; k < s.size(); ++k) {
      s[k] = x[k] - last_x_[k];
      y[k] = gradient[k] - last_gradient_[k];
    }
    for (Index k = 0; k < size; ++k)
      y[static_cast<std::size_t>(k)] -= dense::dot(known_curvature_.row(k), s.data(), size);
    const double ss = dense::dot(s.data(), s.data(), size);
    double sy = dense::dot(s.data(), y.data(), size);
    if (ss > 1e-16 && std::isfinite(sy)) {
      if (!hessian_known_) {  // first pair: the identity takes the size of the curvature just seen
        const double first = std::max(std::abs(sy) / ss, floor_);
        std::fill(learnt_.values.begin(), learnt_.values.end(), 0.0);
        for (Index k = 0; k < size; ++k) learnt_(k, k) = first;
        hessian_known_ = true;
      }
      dense::multiply(bs.data(), learnt_, s.data());
      const double sbs = dense::dot(s.data(), bs.data(), size);
      if (sbs > 0 && std::isfinite(sbs)) {
        if (sy < 0.2 * sbs) {
          const double theta = 0.8 * sbs / (sbs - sy);
          for (std::size_t k = 0; k < y.size(); ++k) y[k] = theta * y[k] + (1 - theta) * bs[k];
          sy = 0.2 * sbs;
        }
        for (Index i = 0; i < size; ++i)
          for (Index j = 0; j < size; ++j)
            learnt_(i, j) += y[static_cast<std::size_t>(i)] * y[static_cast<std::size_t>(j)] / sy -
                             bs[static_cast<std::size_t>(i)] * bs[static_cast<std::size_t>(j)] / sbs;
      }
    }
  }
  last_x_ = x;
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

QpStatus Sqp::quadratic(const PlanPoint& p, const SqpTick& tick, double trust, Step& step) {
  const int users = moves_.setpoints();
  const std::size_t size = static_cast<std::size_t>(n()), soft = tick.rows.size(),
                    rows = soft + rate_rows_.size();
  hessian_ = known_curvature_;
  for (std::size_t k = 0; k < hessian_.values.size(); ++k) hessian_.values[k] += learnt_.values[k];
  for (Index k = 0; k < n(); ++k) hessian_(k, k) += levenberg_;

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
  for (std::size_t i = 0; i < soft; ++i) row_upper_[i] = -p.excess[i];
  for (std::size_t i = 0; i < rate_rows_.size(); ++i) {
    const auto [b, u] = rate_rows_[i];
    const double rate = moves_.setpoint(u).rate, move = p.x(b, u) - p.x(b - 1, u);
    const std::size_t row = soft + i;
    qp_rows_(static_cast<Index>(row), b * users + u) = 1;
    qp_rows_(static_cast<Index>(row), (b - 1) * users + u) = -1;
    row_lower_[row] = std::min(0.0, (-rate - move) / moves_.range(u));
    row_upper_[row] = std::max(0.0, (rate - move) / moves_.range(u));
  }

  const QpResult* r = &solve_qp(tick);
  // Exactness of the automatic weight: slack that a far larger weight removes was not forced by the limits,
  // so the weight was below a multiplier; slack that stays is the least there is.
  const auto total_slack = [&](const QpResult& q) {
    double sum = 0;
    for (std::size_t i = 0; i < soft; ++i) sum += q.slack[i] * std::pow(kRankGap, -rank_of(tick.rows[i]));
    return sum;
  };
  for (int raise = 0; raise < kRaises && config_.slack_l1 == 0 && r->status == QpStatus::optimal; ++raise) {
    const double before = total_slack(*r), old = base_;
    if (before <= config_.limit_margin || tick.late()) break;
    base_ *= kRaise;
    r = &solve_qp(tick);
    const double gain = r->status == QpStatus::optimal ? before - total_slack(*r) : -1;
    if (gain > 0.01 * before + config_.limit_margin) continue;
    base_ = old;
    r = &solve_qp(tick);
    break;
  }
  if (r->status != QpStatus::optimal) return r->status;

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

bool Sqp::search(PlanPoint& current, const SqpTick& tick, const Step& step, const std::vector<double>& alphas,
                 double& gained) {
  std::vector<PlanPoint> candidates(alphas.size());
  for (std::size_t c = 0; c < alphas.size(); ++c) {
    candidates[c].x = current.x;
    for (std::size_t k = 0; k < step.d.size(); ++k)
      candidates[c].x.values[k] +=
          alphas[c] * step.d[k] * moves_.range(static_cast<int>(k) % moves_.setpoints());
  }
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
      learn(current);
      if (!hessian_known_) {
        std::fill(learnt_.values.begin(), learnt_.values.end(), 0.0);
        // Nothing learnt yet: a curvature that brings the steepest coordinate to the trust region.
        for (Index k = 0; k < n(); ++k) learnt_(k, k) = 0.5 * steepest / config_.trust;
      }

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
        if (attempt == 0) out.kkt = step.kkt;
        if (step.kkt <= config_.kkt_tolerance) return out.stop = Stop::converged, out;
        if (tick.late()) return out.stop = Stop::deadline, out;
        double gained = 0, longest = 0;
        for (double d : step.d) longest = std::max(longest, std::abs(d));
        // What the Lagrangian's gradient was here; learn() needs it with these multipliers.
        last_gradient_ = model_.gradient;
        dense::add_transposed(last_gradient_.data(), model_.rows, step.multiplier.data());
        multiplier_ = step.multiplier;
        moved = search(current, tick, step, kAlphas, gained);
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

      // Second-order correction: rows and gradient are exact at the new point, only the Jacobian is old.
      const double worst =
          current.excess.empty() ? 0 : *std::max_element(current.excess.begin(), current.excess.end());
      if (worst > config_.limit_margin && !tick.late()) {
        linearise(current, tick);
        Step correction;
        double gained = 0;
        if (quadratic(current, tick, trust, correction) == QpStatus::optimal && !tick.late())
          search(current, tick, correction, kCorrectionAlphas, gained);
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
