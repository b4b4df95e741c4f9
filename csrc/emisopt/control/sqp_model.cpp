// The model of one point: condensed Jacobians, gradients, known curvature, and what is learnt of the rest.
#include <algorithm>
#include <cmath>

#include "emisopt/control/sqp.hpp"
#include "emisopt/qp/dense.hpp"

namespace emisopt {

namespace {

constexpr double kShortest = 1e-4;        // a step, in ranges, that is too short to learn slopes from
constexpr double kSlopeNoise = 4e-6;      // of a value: what fp32 leaves open in a difference of two
constexpr double kLeastCurvature = 1e-8;  // of the largest: what is convex to the QP's own check
constexpr double kGradientNoise = 1e-5;   // of the largest sum of terms: likewise of two gradients

}  // namespace

bool all_finite(const Matrix& m) {
  for (double v : m.values)
    if (!std::isfinite(v)) return false;
  return true;
}

// Jacobians by block values in units of each setpoint's range.
bool Sqp::jacobian(const PlanPoint& p, Predictor& predictor, const BiasFilter& bias, std::string& detail) {
  predictor.sensitivities(model_.median, model_.upper, p.plan, block_moves_);
  for (Matrix* m : {&model_.median, &model_.upper})
    for (Index r = 0; r < m->rows; ++r)
      for (Index k = 0; k < n(); ++k)
        (*m)(r, k) *= moves_.range(static_cast<int>(k) % moves_.setpoints()) *
                      bias.slope(static_cast<int>(r) % outputs_);
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

void Sqp::limit_gradients(std::span<const LimitRow> rows) {
  shape(model_.rows, static_cast<Index>(rows.size()), n());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const LimitRow& row = rows[i];
    const Limit& limit = limits_[static_cast<std::size_t>(row.limit)];
    const Matrix& from = limit.quantile <= 0.5 ? model_.median : model_.upper;
    for (int t = row.first_step; t <= row.end_step; ++t)
      dense::axpy(model_.rows.row(static_cast<Index>(i)),
                  row.coefficient[static_cast<std::size_t>(t - row.first_step)] / scale(row),
                  from.row(t * outputs_ + limit.output), n());
  }
}

// The rows of the limits and the gradient of the cost at p. With a Jacobian of another point (not `fresh`)
// the rows are its, and the gradient is corrected by a backward pass at p (Bock, Diehl, Kostina, Schloeder
// 2007): gradient + rows' multiplier is then the exact gradient of the Lagrangian, so what the steps converge
// to is the optimum itself. False when the gradient is not exact, because the predictor offers no backward
// pass.
bool Sqp::linearise(const PlanPoint& p, const SqpTick& tick, bool fresh) {
  limit_gradients(tick.rows);
  same_qp_ = false;
  std::vector<double>& g = model_.gradient;
  if (!fresh && lagrangian(g, p, tick)) {
    for (std::size_t i = 0; i < tick.rows.size(); ++i)
      dense::axpy(g.data(), -multiplier_[i], model_.rows.row(static_cast<Index>(i)), n());
    return true;
  }
  const Index h = moves_.horizon(), users = moves_.setpoints();
  shape(dy_, h, outputs_);
  shape(du_, h, users);
  economics_.gradient(dy_, du_, p.plan, p.median, tick.predictor.known());
  std::fill(g.begin(), g.end(), 0.0);
  dense::add_transposed(g.data(), model_.median, dy_.values.data());
  add_direct(g, p, tick);
  return fresh;
}

// g (n) += what the plan costs by itself, du_ by block values and move suppression.
void Sqp::add_direct(std::vector<double>& g, const PlanPoint& p, const SqpTick& tick) {
  const int users = moves_.setpoints();
  for (int t = 0; t < moves_.horizon(); ++t)
    for (int u = 0; u < users; ++u)
      g[static_cast<std::size_t>(moves_.block_of(t) * users + u)] += du_(t, u) * moves_.range(u);
  economics_.suppression(g.data(), unused_, p.x, tick.applied.data());
}

// g (n): exact gradient at p of cost + multiplier_' rows. False when the predictor offers no backward pass.
bool Sqp::lagrangian(std::vector<double>& g, const PlanPoint& p, const SqpTick& tick) {
  shape(dy_, moves_.horizon(), outputs_);
  shape(du_, moves_.horizon(), moves_.setpoints());
  economics_.gradient(dy_, du_, p.plan, p.median, tick.predictor.known());
  g.assign(static_cast<std::size_t>(n()), 0);
  if (!pull_back(g, dy_, p, tick, multiplier_)) return false;
  add_direct(g, p, tick);
  return true;
}

// g (n) += gradient of sum dy * median + sum over limit rows of multiplier * row, exact at p, by one backward
// pass. False, g untouched, when the predictor offers none or it is not finite.
bool Sqp::pull_back(std::vector<double>& g, const Matrix& dy, const PlanPoint& p, const SqpTick& tick,
                    const std::vector<double>& multiplier) {
  const int h = moves_.horizon(), users = moves_.setpoints();
  Matrix &median = seed_median_, &upper = seed_upper_, &out = pulled_;
  median = dy;
  shape(upper, h, outputs_);
  shape(out, h, users);
  for (std::size_t i = 0; i < tick.rows.size(); ++i) {
    if (multiplier[i] == 0) continue;
    const LimitRow& row = tick.rows[i];
    const Limit& limit = limits_[static_cast<std::size_t>(row.limit)];
    Matrix& into = limit.quantile <= 0.5 ? median : upper;
    for (int t = row.first_step; t <= row.end_step; ++t)
      into(t, limit.output) +=
          multiplier[i] * row.coefficient[static_cast<std::size_t>(t - row.first_step)] / scale(row);
  }
  for (int t = 0; t < h; ++t)
    for (int o = 0; o < outputs_; ++o) {
      median(t, o) *= tick.bias.slope(o);
      upper(t, o) *= tick.bias.slope(o);
    }
  if (!tick.predictor.gradient(out, median, upper, p.plan) || !all_finite(out)) return false;
  for (int t = 0; t < h; ++t)
    for (int u = 0; u < users; ++u)
      g[static_cast<std::size_t>(moves_.block_of(t) * users + u)] += out(t, u) * moves_.range(u);
  return true;
}

// A step on an older Jacobian looks converged: is it, at p itself? What the new multipliers pull on the rows
// there, less what the old rows said, is what was missing; one more backward pass tells.
bool Sqp::confirm(const PlanPoint& p, const SqpTick& tick, Step& step) {
  change_ = step.multiplier;
  defect_.assign(static_cast<std::size_t>(n()), 0);
  double largest = 0;
  for (std::size_t i = 0; i < change_.size(); ++i) {
    change_[i] -= multiplier_[i];
    largest = std::max(largest, std::abs(change_[i]));
  }
  if (largest > 0) {
    shape(dy_, moves_.horizon(), outputs_);
    if (!pull_back(defect_, dy_, p, tick, change_)) return false;
    for (std::size_t i = 0; i < change_.size(); ++i)
      dense::axpy(defect_.data(), -change_[i], model_.rows.row(static_cast<Index>(i)), n());
  }
  double residual = 0;
  for (std::size_t k = 0; k < defect_.size(); ++k)
    residual = std::max(residual, std::abs(defect_[k] - step.rest[k]));
  step.kkt = std::max(residual, step.complementarity) / cost_scale_;
  return step.kkt <= config_.kkt_tolerance;
}

bool Sqp::prepare(Predictor& predictor, const Matrix& x, const std::vector<double>& applied,
                  const BiasFilter& bias) {
  PlanPoint& p = trial_;
  p.x = x;
  shape(p.plan, moves_.horizon(), moves_.setpoints());
  moves_.expand(p.plan, p.x, applied.data());
  std::string& detail = out_.detail;
  prepared_ = false;
  try {
    prepared_ = jacobian(p, predictor, bias, detail);
  } catch (const std::exception&) {  // the next solve() will meet it, and say so
  }
  return prepared_;
}

// Generalised Gauss-Newton: [J; E]' S [J; E] per step, S the convex curvature of the cost by (y, u).
void Sqp::curvature(const PlanPoint& p, const SqpTick& tick) {
  const int users = moves_.setpoints(), width = outputs_ + users;
  std::fill(known_curvature_.values.begin(), known_curvature_.values.end(), 0.0);
  economics_.suppression(by_step_.data(), known_curvature_, p.x, tick.applied.data());
  Matrix &s = s_, &stack = stack_, &product = product_;
  shape(s, width, width);
  shape(stack, width, n());
  shape(product, width, n());
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

// H of the QPs: what is known and learnt, and no eigenvalue below the floor.
void Sqp::convexify() {
  const bool between = backward_ && config_.adjoint_steps > 0;
  hessian_.values = known_curvature_.values;
  learnt_.add(hessian_, pressure_);
  const double lift = floor_ + (learnt_.known() || between ? 0 : stand_in_);
  for (Index k = 0; k < n(); ++k) hessian_(k, k) += lift;
  double largest = 0;
  for (Index i = 0; i < n(); ++i) {
    largest = std::max(largest, std::abs(hessian_(i, i)));
    for (Index j = 0; j < i; ++j) hessian_(i, j) = hessian_(j, i) = 0.5 * (hessian_(i, j) + hessian_(j, i));
  }
  convex_.raise(hessian_, std::max(floor_, kLeastCurvature * largest));
  same_qp_ = false;
}

void Sqp::forget() {
  learnt_.forget();
  prepared_ = false;
  multiplier_.clear();
  start_y_.clear();
}

// The multipliers that the Lagrangian is taken with from here on.
void Sqp::weigh(const SqpTick& tick, const std::vector<double>& multiplier) {
  if (&multiplier != &multiplier_) multiplier_ = multiplier;
  std::fill(pressure_.begin(), pressure_.end(), 0.0);
  pressure_[0] = 1;
  for (std::size_t i = 0; i < tick.rows.size(); ++i)
    pressure_[static_cast<std::size_t>(1 + tick.rows[i].limit)] += std::max(0.0, multiplier_[i]);
}

// A step is taken from p, where model_ is.
void Sqp::depart(const PlanPoint& p) {
  for (std::size_t k = 0; k < last_x_.size(); ++k)
    last_x_[k] = p.x.values[k] / moves_.range(static_cast<int>(k) % moves_.setpoints());
  last_gradient_ = model_.gradient;
  dense::add_transposed(last_gradient_.data(), model_.rows, multiplier_.data());
  steepest_ = 0;  // of all terms, which may cancel in their sum
  for (Index k = 0; k < n(); ++k) {
    double size = std::abs(model_.gradient[static_cast<std::size_t>(k)]);
    for (Index i = 0; i < model_.rows.rows; ++i)
      size += std::abs(multiplier_[static_cast<std::size_t>(i)] * model_.rows(i, k));
    steepest_ = std::max(steepest_, size);
  }
}

// What the known curvature does not explain of the Lagrangian's gradient at p, against where depart() was.
void Sqp::learn(const PlanPoint& p, const std::vector<double>& gradient) {
  std::vector<double>&s = by_step_, &y = by_change_;
  double longest = 0;
  for (std::size_t k = 0; k < s.size(); ++k) {
    s[k] = p.x.values[k] / moves_.range(static_cast<int>(k) % moves_.setpoints()) - last_x_[k];
    longest = std::max(longest, std::abs(s[k]));
  }
  if (!(longest > kShortest)) return;
  for (std::size_t k = 0; k < s.size(); ++k)
    y[k] = gradient[k] - last_gradient_[k] -
           dense::dot(known_curvature_.row(static_cast<Index>(k)), s.data(), n());
  learnt_.learn(pressure_, s, y, kGradientNoise * steepest_);
}

// The Jacobians made to say what a step has shown: the least change that keeps what lies in a step's future
// out of it (Broyden 1965; Schubert 1970).
void Sqp::secant(const PlanPoint& from, const PlanPoint& to) {
  const int users = moves_.setpoints();
  std::vector<double>& s = by_step_;
  for (std::size_t k = 0; k < s.size(); ++k)
    s[k] = (to.x.values[k] - from.x.values[k]) / moves_.range(static_cast<int>(k) % users);
  for (int t = 0; t < moves_.horizon(); ++t) {
    const Index width = Index{moves_.block_of(t) + 1} * users;
    const double ss = dense::dot(s.data(), s.data(), width);
    if (!(ss > kShortest * kShortest)) continue;
    for (int o = 0; o < outputs_; ++o)
      for (const bool upper : {false, true}) {
        double* row = (upper ? model_.upper : model_.median).row(Index{t} * outputs_ + o);
        const double value = (upper ? to.upper : to.median)(t, o);
        const double rest =
            value - (upper ? from.upper : from.median)(t, o) - dense::dot(row, s.data(), width);
        if (std::abs(rest) > kSlopeNoise * std::abs(value)) dense::axpy(row, rest / ss, s.data(), width);
      }
  }
}

}  // namespace emisopt
