// Mehrotra 1992; the elimination order follows Frison & Diehl 2020 (slacks cost a diagonal). Primal
// regularisation rho (dx only, so it moves no solution) and dual regularisation delta on equalities follow
// the proximal method of multipliers (Pougkakiotis & Gondzio 2021).
#include "emisopt/qp/interior_point.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace emisopt::detail {
namespace {

constexpr double kDelta = 1e-8;           // equality regularisation; the data is of size 1
constexpr double kRho = 1e-10;            // first primal regularisation
constexpr double kToBoundary = 0.995;     // share of the step to the nearest zero
constexpr double kWorthAsking = 1e-5;     // scaled residual from which the caller's check may pass
constexpr double kLeastTarget = 1e-16;    // of the products; below, distances are rounding of rows' values
constexpr double kLeastUsefulMu = 2e-16;  // below, rounding in the factor outweighs progress
constexpr double kLeastMu = 0.01;         // of the first iterate
constexpr double kStartShare = 0.1;       // of the largest weighted violation at the first iterate
constexpr double kLeastDistance = 0.1;    // of a hard side at the first iterate
constexpr double kMehrotra = 3;           // the target falls with this power of what the predictor promises
constexpr double kBold = 8;               // the same where corrections follow
constexpr double kGain = 0.9;             // the products fall at least to this, or
constexpr int kPatience = 3;              // after so many iterations
constexpr double kPlain = 0.3;            // a plain step aims at no less than this share of them
constexpr double kLongEnough = 0.9;       // a step that needs no more centring
constexpr double kReachBeyond = 0.5;      // how much longer a correction tries to make the step
constexpr double kLeastGain = 0.1;        // share of that which pays for it
constexpr double kNarrow = 0.1, kWide = 10;  // products between these, in targets, are near the path
constexpr double kRounding = 3e-15;          // of a distance: x cannot be told from where it should be
constexpr double kEqual = 1e-13;             // bounds closer than this, in scaled units, are one

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

InteriorPoint::InteriorPoint(KktSystem& kkt, int max_variables, int max_rows) : kkt_(kkt) {
  const auto nn = at(max_variables), mm = at(max_rows);
  for (auto* v : {&gradient, &lower, &upper, &x, &z, &rest, &dx_, &rhs_, &bound_weight_, &force_, &dx2_})
    v->resize(nn);
  for (auto* v : {&row_lower, &row_upper, &l1, &l2, &y, &value, &eq_y_, &row_weight_, &target_, &dy_,
                  &dvalue_, &dy2_, &value2_, &target2_})
    v->resize(mm);
  const auto most = 2 * nn + 2 * mm;
  for (auto* v : {&sign_, &b_, &t_, &z_, &dt_, &dz_, &rp_, &rtz_, &d_, &q_}) v->resize(most);
  for (auto* v : {&e_, &w_, &de_, &dw_, &re_, &rew_, &l1_, &l2_}) v->resize(most);
  for (auto* v : {&old_dt_, &old_dz_, &old_de_, &old_dw_, &over_t_, &over_z_, &over_e_, &over_w_})
    v->resize(most);
  old_dx_.resize(nn);
  old_dy_.resize(mm);
  of_.resize(most);
  twin_.resize(most);
  fixed_.resize(nn);
  equality_.resize(mm);
}

double InteriorPoint::scaled_residual() const { return std::max({primal_, dual_, mu_}); }

void InteriorPoint::open(Index of, double value, double sign, double b, double weight1, double weight2,
                         double mu) {
  if (!std::isfinite(b)) return;
  const std::size_t s = count_++;
  const bool soft = std::isfinite(weight1);
  of_[s] = of;
  twin_[s] = -1;
  sign_[s] = sign;
  b_[s] = b;
  e_[s] = w_[s] = de_[s] = dw_[s] = re_[s] = rew_[s] = 0;
  l1_[s] = weight1;
  l2_[s] = weight2;
  const double c = sign * (value - b);
  ++products_;
  if (!soft) {
    t_[s] = std::max(std::abs(c), kLeastDistance);
    z_[s] = mu / t_[s];
    return;
  }
  // A soft side can start on the central path: t z = e w = mu, z + w = l1 and c + e = t hold at once.
  const double reach = weight1 * c, root = std::hypot(reach, 2 * mu);
  const double sum = 2 * mu + std::abs(reach) + root;
  const double wide = sum / (2 * weight1), narrow = 2 * mu * (2 * mu + root) / (weight1 * sum);
  t_[s] = c >= 0 ? wide : narrow;
  e_[s] = c >= 0 ? narrow : wide;
  z_[s] = mu / t_[s];
  w_[s] = mu / e_[s];
  ++products_;
}

void InteriorPoint::start(Mode mode) {
  mode_ = mode;
  n_ = kkt_.n;
  m_ = kkt_.m;
  kkt_.elastic = mode == Mode::elastic;
  rho_ = kRho;
  products_ = 0;
  count_ = 0;
  refine_ = false;
  promised_ = HUGE_VAL;
  for (std::size_t j = 0; j < at(n_); ++j) {
    const double low = lower[j], high = upper[j], width = high - low;
    fixed_[j] = width <= kEqual;
    if (fixed_[j])
      x[j] = 0.5 * (low + high);
    else if (std::isfinite(width))
      x[j] = std::clamp(0.0, low + 0.25 * width, high - 0.25 * width);
    else
      x[j] = std::clamp(0.0, std::isfinite(low) ? low + 1 : -1.0, std::isfinite(high) ? high - 1 : 1.0);
  }
  std::fill_n(y.begin(), m_, 0.0);
  kkt_.products(x.data(), y.data(), value.data(), force_.data());

  // Complementarity to start from: that of the soft rows as x violates them, so that neither t nor e has to
  // grow from nearly nothing.
  const bool all_soft = mode == Mode::elastic;
  double mu = kLeastMu;
  for (std::size_t i = 0; i < at(m_); ++i) {
    const double weight = all_soft ? 1 : l1[i];
    const double beyond = std::max({0.0, row_lower[i] - value[i], value[i] - row_upper[i]});
    if (std::isfinite(weight)) mu = std::max(mu, kStartShare * weight * beyond);
    equality_[i] = !all_soft && !std::isfinite(l1[i]) && row_upper[i] - row_lower[i] <= kEqual;
    eq_y_[i] = 0;
  }
  for (std::size_t j = 0; j < at(n_); ++j) {
    if (fixed_[j]) continue;
    open(static_cast<Index>(j), x[j], 1, lower[j], HUGE_VAL, 0, mu);
    open(static_cast<Index>(j), x[j], -1, upper[j], HUGE_VAL, 0, mu);
  }
  bounds_ = count_;
  // In elastic mode only hard rows count, each with weight 1.
  for (const bool soft : {false, true}) {
    hard_ = count_;
    for (std::size_t i = 0; i < at(m_); ++i) {
      if (equality_[i] || (all_soft && std::isfinite(l1[i]))) continue;
      const double weight = all_soft ? 1 : l1[i];
      if (std::isfinite(weight) != soft) continue;
      const std::size_t first = count_;
      for (const double sign : {1.0, -1.0})
        open(static_cast<Index>(i), value[i], sign, sign > 0 ? row_lower[i] : row_upper[i], weight,
             all_soft ? 0 : l2[i], mu);
      if (count_ != first + 2) continue;
      twin_[first] = static_cast<Index>(first + 1);
      twin_[first + 1] = static_cast<Index>(first);
    }
  }
}

void InteriorPoint::evaluate() {
  std::copy_n(eq_y_.begin(), m_, y.begin());
  std::fill_n(z.begin(), n_, 0.0);
  for (std::size_t s = 0; s < bounds_; ++s) z[at(of_[s])] -= sign_[s] * z_[s];
  for (std::size_t s = bounds_; s < count_; ++s) y[at(of_[s])] -= sign_[s] * z_[s];
  kkt_.products(x.data(), y.data(), value.data(), rest.data());
  double size_dual = 1, size_primal = 1, slack_dual = 0;
  mu_ = primal_ = dual_ = 0;
  for (std::size_t i = 0; i < at(m_); ++i) {
    size_dual = std::max(size_dual, std::abs(y[i]));
    size_primal = std::max(size_primal, std::abs(value[i]));
    if (equality_[i]) primal_ = std::max(primal_, std::abs(value[i] - row_lower[i]));
  }
  for (std::size_t s = 0; s < bounds_; ++s) rp_[s] = sign_[s] * (x[at(of_[s])] - b_[s]) - t_[s];
  for (std::size_t s = bounds_; s < count_; ++s)
    rp_[s] = sign_[s] * (value[at(of_[s])] - b_[s]) + e_[s] - t_[s];
  for (std::size_t s = 0; s < count_; ++s) {
    mu_ += t_[s] * z_[s];
    primal_ = std::max(primal_, std::abs(rp_[s]));
    // Near the end a distance may be smaller than what x can be moved by: nothing to correct.
    if (std::abs(rp_[s]) <= kRounding * (1 + std::abs(b_[s]))) rp_[s] = 0;
  }
  for (std::size_t s = hard_; s < count_; ++s) {
    re_[s] = z_[s] + w_[s] - l1_[s] - l2_[s] * e_[s];
    mu_ += e_[s] * w_[s];
    slack_dual = std::max(slack_dual, std::abs(re_[s]) / (1 + z_[s] + w_[s]));
  }
  if (products_ > 0) mu_ /= products_;
  for (std::size_t j = 0; j < at(n_); ++j) {
    rest[j] += z[j] + (mode_ == Mode::solve ? gradient[j] : 0);
    if (fixed_[j]) {
      z[j] = -rest[j];
      rest[j] = 0;
    }
    dual_ = std::max(dual_, std::abs(rest[j]));
    if (std::isnan(rest[j])) mu_ = rest[j];
  }
  // Where the last step left more than it promised, rounding decides, and refinement pays.
  if (dual_ > 2 * promised_ + 1e-3 * mu_) refine_ = true;
  promised_ = dual_;
  primal_ /= size_primal;
  dual_ = std::max(dual_ / size_dual, slack_dual);
}

bool InteriorPoint::factorise() {
  for (std::size_t i = 0; i < at(m_); ++i) row_weight_[i] = equality_[i] ? 1 / kDelta : 0;
  for (std::size_t j = 0; j < at(n_); ++j) bound_weight_[j] = fixed_[j] ? HUGE_VAL : 0;
  for (std::size_t s = 0; s < count_; ++s) {
    over_t_[s] = 1 / t_[s];
    over_z_[s] = 1 / z_[s];
  }
  for (std::size_t s = hard_; s < count_; ++s) {
    over_e_[s] = 1 / e_[s];
    over_w_[s] = 1 / w_[s];
  }
  for (std::size_t s = 0; s < hard_; ++s) d_[s] = z_[s] * over_t_[s];
  for (std::size_t s = hard_; s < count_; ++s)
    d_[s] = 1 / (t_[s] * over_z_[s] + e_[s] / (w_[s] + l2_[s] * e_[s]));
  for (std::size_t s = 0; s < bounds_; ++s) bound_weight_[at(of_[s])] += d_[s];
  for (std::size_t s = bounds_; s < count_; ++s) row_weight_[at(of_[s])] += d_[s];
  for (int attempt = 0; attempt < 6; ++attempt, rho_ *= 100)
    if (kkt_.factorise(bound_weight_.data(), row_weight_.data(), rho_)) return true;
  return false;
}

void InteriorPoint::direction(bool refined) {
  for (std::size_t j = 0; j < at(n_); ++j) rhs_[j] = -rest[j];
  std::fill_n(target_.begin(), m_, 0.0);
  for (std::size_t s = 0; s < bounds_; ++s) {
    q_[s] = rtz_[s] * over_z_[s] - rp_[s];
    rhs_[at(of_[s])] += sign_[s] * d_[s] * q_[s];
  }
  for (std::size_t s = bounds_; s < count_; ++s) {
    q_[s] = rtz_[s] * over_z_[s] - rp_[s];
    if (s >= hard_) q_[s] -= (e_[s] * re_[s] + rew_[s]) / (w_[s] + l2_[s] * e_[s]);
    target_[at(of_[s])] += sign_[s] * d_[s] * q_[s];
  }
  for (std::size_t i = 0; i < at(m_); ++i)
    target_[i] = equality_[i]         ? row_lower[i] - value[i]
                 : row_weight_[i] > 0 ? target_[i] / row_weight_[i]
                                      : 0;
  kkt_.solve(rhs_.data(), target_.data(), dx_.data(), dy_.data(), dvalue_.data());
  if (refined) {
    kkt_.products(dx_.data(), dy_.data(), value2_.data(), force_.data());
    for (std::size_t j = 0; j < at(n_); ++j)
      force_[j] = fixed_[j] ? 0 : rhs_[j] - force_[j] - (rho_ + bound_weight_[j]) * dx_[j];
    for (std::size_t i = 0; i < at(m_); ++i)
      target2_[i] = row_weight_[i] > 0 ? target_[i] - value2_[i] + dy_[i] / row_weight_[i] : 0;
    kkt_.solve(force_.data(), target2_.data(), dx2_.data(), dy2_.data(), dvalue_.data());
    for (std::size_t j = 0; j < at(n_); ++j) dx_[j] += dx2_[j];
    for (std::size_t i = 0; i < at(m_); ++i) {
      dy_[i] += dy2_[i];
      dvalue_[i] += value2_[i];
    }
  }
  step_sides();
}

void InteriorPoint::step_sides() {
  double steepest = 1;  // largest -dv / v
  const auto finish = [&](std::size_t s) {
    dt_[s] = (rtz_[s] - t_[s] * dz_[s]) * over_z_[s];
    steepest = std::max(steepest, std::max(-dt_[s] * over_t_[s], -dz_[s] * over_z_[s]));
  };
  for (std::size_t s = 0; s < bounds_; ++s) {
    dz_[s] = d_[s] * (q_[s] - sign_[s] * dx_[at(of_[s])]);
    finish(s);
  }
  for (std::size_t s = bounds_; s < count_; ++s) {
    const Index row = of_[s];
    if (twin_[s] < 0) {
      dz_[s] = -sign_[s] * dy_[at(row)];
      finish(s);
    } else if (at(twin_[s]) > s) {  // the lighter side from its distance, the heavier one takes the rest
      const std::size_t other = at(twin_[s]);
      const std::size_t light = d_[s] <= d_[other] ? s : other, heavy = light == s ? other : s;
      dz_[light] = d_[light] * (q_[light] - sign_[light] * dvalue_[at(row)]);
      dz_[heavy] = dz_[light] - sign_[heavy] * dy_[at(row)];  // the signs are opposite
      finish(s);
      finish(other);
    }
  }
  for (std::size_t s = hard_; s < count_; ++s) {
    de_[s] = (e_[s] * (dz_[s] + re_[s]) + rew_[s]) / (w_[s] + l2_[s] * e_[s]);
    dw_[s] = (rew_[s] - w_[s] * de_[s]) * over_e_[s];
    steepest = std::max(steepest, std::max(-de_[s] * over_e_[s], -dw_[s] * over_w_[s]));
  }
  longest_ = 1 / steepest;
}

// One of Gondzio's (1996) multiple corrections: products that a step somewhat longer than the present one
// would leave far from the target are bent towards it. Kept if the step gets longer.
bool InteriorPoint::centre(double target) {
  const double before = longest_, reach = std::min(1.0, before + kReachBeyond);
  const auto bend = [&](double product) {
    if (product < kNarrow * target) return kNarrow * target - product;
    return product > kWide * target ? std::max(kWide * target - product, -kWide * target) : 0.0;
  };
  const auto exchange = [&] {
    dt_.swap(old_dt_);
    dz_.swap(old_dz_);
    de_.swap(old_de_);
    dw_.swap(old_dw_);
    dx_.swap(old_dx_);
    dy_.swap(old_dy_);
  };
  for (std::size_t s = 0; s < count_; ++s)
    rtz_[s] += bend((t_[s] + reach * dt_[s]) * (z_[s] + reach * dz_[s]));
  for (std::size_t s = hard_; s < count_; ++s)
    rew_[s] += bend((e_[s] + reach * de_[s]) * (w_[s] + reach * dw_[s]));
  exchange();
  direction(refine_);
  if (longest_ >= before + kLeastGain * (reach - before)) return true;
  exchange();
  longest_ = before;
  return false;
}

InteriorPoint::End InteriorPoint::run(Mode mode, int max_iterations, const std::function<bool()>& accept,
                                      const std::function<bool()>* stop) {
  start(mode);
  int short_steps = 0, without_gain = 0;
  double least_mu = HUGE_VAL;
  for (iterations_ = 0;; ++iterations_) {
    evaluate();
    if (!std::isfinite(mu_) || !std::isfinite(primal_) || !std::isfinite(dual_)) return End::numeric;
    // Small here may not be small in the caller's units, and rounding grows as mu falls: every iterate near
    // the end is offered.
    if (scaled_residual() <= kWorthAsking && accept()) return End::converged;
    if (iterations_ >= max_iterations) return accept() ? End::converged : End::iterations;
    if (stop && (*stop)()) return End::stopped;
    if (short_steps >= 4 || (products_ > 0 && mu_ < kLeastUsefulMu))
      return accept() ? End::converged : End::stalled;
    // Where the products have stopped falling, a plain step towards the central path breaks the cycle.
    without_gain = mu_ < kGain * least_mu ? 0 : without_gain + 1;
    least_mu = std::min(least_mu, mu_);
    const bool plain = without_gain >= kPatience;
    if (!factorise()) return accept() ? End::converged : End::numeric;

    std::fill_n(rtz_.begin(), count_, 0.0);
    std::fill_n(rew_.begin(), count_, 0.0);
    double target = 0;
    if (products_ > 0) {
      for (std::size_t s = 0; s < count_; ++s) rtz_[s] = -t_[s] * z_[s];
      for (std::size_t s = hard_; s < count_; ++s) rew_[s] = -e_[s] * w_[s];
      direction(false);
      const double alpha = longest_;
      double after = 0;
      for (std::size_t s = 0; s < count_; ++s) after += (t_[s] + alpha * dt_[s]) * (z_[s] + alpha * dz_[s]);
      for (std::size_t s = hard_; s < count_; ++s)
        after += (e_[s] + alpha * de_[s]) * (w_[s] + alpha * dw_[s]);
      const double ratio = after / products_ / mu_;
      target =
          mu_ * std::min(1.0, std::pow(std::max(0.0, ratio), kkt_.corrections() > 0 ? kBold : kMehrotra));
      target = std::max(target, std::min(mu_, kLeastTarget));
      if (plain) target = std::max(target, kPlain * mu_);
      // The second-order term is right for a full step only; unweighted it can make the iteration cycle
      // (Cartis 2009), so it enters as the predictor's own step allows (Colombo & Gondzio 2008).
      const double trusted = plain ? 0 : alpha * alpha;
      for (std::size_t s = 0; s < count_; ++s) rtz_[s] = target - t_[s] * z_[s] - trusted * dt_[s] * dz_[s];
      for (std::size_t s = hard_; s < count_; ++s)
        rew_[s] = target - e_[s] * w_[s] - trusted * de_[s] * dw_[s];
    }
    direction(refine_);
    for (int k = 0; k < kkt_.corrections() && !plain && longest_ < kLongEnough && products_ > 0; ++k)
      if (!centre(target)) break;
    const double alpha = std::min(1.0, kToBoundary * longest_);
    short_steps = alpha < 1e-6 ? short_steps + 1 : 0;
    promised_ *= 1 - alpha;
    for (std::size_t j = 0; j < at(n_); ++j) x[j] += alpha * dx_[j];
    for (std::size_t i = 0; i < at(m_); ++i)
      if (equality_[i]) eq_y_[i] += alpha * dy_[i];
    for (std::size_t s = 0; s < count_; ++s) {
      t_[s] += alpha * dt_[s];
      z_[s] += alpha * dz_[s];
    }
    for (std::size_t s = hard_; s < count_; ++s) {
      e_[s] += alpha * de_[s];
      w_[s] += alpha * dw_[s];
    }
  }
}

}  // namespace emisopt::detail
