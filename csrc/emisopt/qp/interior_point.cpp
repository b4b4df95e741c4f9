// Mehrotra 1992; the elimination order follows Frison & Diehl 2020 (slacks cost a diagonal). Primal
// regularisation rho (dx only, so it moves no solution) and dual regularisation delta on equalities follow
// the proximal method of multipliers (Pougkakiotis & Gondzio 2021).
#include "emisopt/qp/interior_point.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/entries.hpp"

namespace emisopt::detail {
namespace {

constexpr double kDelta = 1e-8;           // equality regularisation; the data is of size 1
constexpr double kRho = 1e-10;            // first primal regularisation
constexpr double kToBoundary = 0.995;     // share of the step to the nearest zero
constexpr double kWorthAsking = 1e-5;     // scaled residual from which the caller's check may pass
constexpr double kLeastUsefulMu = 1e-15;  // below, rounding in the factor outweighs progress
constexpr double kLeastMu = 0.01;         // of the first iterate
constexpr double kStartShare = 0.1;       // of the largest weighted violation at the first iterate
constexpr double kLeastDistance = 0.1;    // of a hard side at the first iterate
constexpr Index kSparse = 8;              // rows with at most one entry in so many are kept as entries
constexpr double kEqual = 1e-13;          // bounds closer than this, in scaled units, are one

}  // namespace

InteriorPoint::InteriorPoint(int max_variables, int max_rows) {
  const auto nn = static_cast<std::size_t>(max_variables), mm = static_cast<std::size_t>(max_rows);
  for (auto* v : {&gradient, &lower, &upper, &x, &z, &dx_, &rd_, &rhs_, &rest_}) v->resize(nn);
  for (auto* v :
       {&row_lower, &row_upper, &l1, &l2, &y, &eq_y_, &eq_r_, &value_, &dvalue_, &weight_, &push_, &gather_})
    v->resize(mm);
  hessian.resize(nn * nn);
  factor_.resize(nn * nn);
  rows.resize(mm * nn);
  full_rows_.resize(mm * nn);
  full_weight_.resize(mm);
  full_.reserve(mm);
  entries_.reserve(mm * (nn / kSparse) + 1);
  work_.resize(static_cast<std::size_t>(kernels::dense_work(max_variables)));
  sides_.resize(2 * nn + 2 * mm);
  fixed_.resize(nn);
  equality_.resize(mm);
}

template <class F>
void InteriorPoint::for_sides(F&& f) {
  const Index count = 2 * n + 2 * m;
  for (Index k = 0; k < count; ++k)
    if (sides_[static_cast<std::size_t>(k)].active) f(k, sides_[static_cast<std::size_t>(k)]);
}

double InteriorPoint::scaled_residual() const { return std::max({primal_, dual_, mu_}); }

bool InteriorPoint::convex() {
  double size = 0;
  for (Index i = 0; i < n * n; ++i) size = std::max(size, std::abs(hessian[static_cast<std::size_t>(i)]));
  View k(factor_.data(), n, n);
  std::copy_n(hessian.begin(), n * n, factor_.begin());
  for (Index j = 0; j < n; ++j) k(j, j) += 1e-9 * size + 1e-300;
  return dense::cholesky(k, work_.data());
}

// A row of many entries is worth a register tile, a rate row of two only its own products.
void InteriorPoint::sort_rows() {
  full_.clear();
  entries_.clear();
  for (Index i = 0; i < m; ++i) {
    const double* a = rows.data() + i * n;
    const std::size_t before = entries_.size();
    Index entries = 0, j = next_entry(a, 0, n);
    for (; j < n && (entries + 1) * kSparse <= n; j = next_entry(a, j + 1, n), ++entries)
      entries_.push_back({i, j, a[j]});
    if (j == n) continue;
    entries_.resize(before);
    std::copy_n(a, n, full_rows_.data() + static_cast<Index>(full_.size()) * n);
    full_.push_back(i);
  }
}

void InteriorPoint::row_values(double* value, const double* v) {
  const auto count = static_cast<Index>(full_.size());
  dense::multiply(gather_.data(), ConstView(full_rows_.data(), count, n), v);
  for (Index i = 0; i < m; ++i) value[i] = 0;
  for (std::size_t f = 0; f < full_.size(); ++f) value[full_[f]] = gather_[f];
  for (const Entry& e : entries_) value[e.row] += e.value * v[e.column];
}

void InteriorPoint::add_rows(double* force, const double* push) {
  for (std::size_t f = 0; f < full_.size(); ++f) gather_[f] = push[full_[f]];
  dense::add_transposed(force, ConstView(full_rows_.data(), static_cast<Index>(full_.size()), n),
                        gather_.data());
  for (const Entry& e : entries_) force[e.column] += e.value * push[e.row];
}

void InteriorPoint::start(Mode mode) {
  mode_ = mode;
  sort_rows();
  rho_ = kRho;
  products_ = 0;
  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    const double low = lower[at], high = upper[at], width = high - low;
    fixed_[at] = width <= kEqual;
    if (fixed_[at])
      x[at] = 0.5 * (low + high);
    else if (std::isfinite(width))
      x[at] = std::clamp(0.0, low + 0.25 * width, high - 0.25 * width);
    else
      x[at] = std::clamp(0.0, std::isfinite(low) ? low + 1 : -1.0, std::isfinite(high) ? high - 1 : 1.0);
  }
  row_values(value_.data(), x.data());

  // Complementarity to start from: that of the soft rows as x violates them, so that neither t nor e has to
  // grow from nearly nothing.
  double mu0 = kLeastMu;
  for (Index i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double weight = mode == Mode::elastic ? 1 : l1[at];
    const double beyond = std::max({0.0, row_lower[at] - value_[at], value_[at] - row_upper[at]});
    if (std::isfinite(weight)) mu0 = std::max(mu0, kStartShare * weight * beyond);
  }

  const auto open = [&](Index k, double value, double sign, double b, double weight1, double weight2) {
    Side& s = sides_[static_cast<std::size_t>(k)];
    s = Side{};
    s.active = std::isfinite(b);
    if (!s.active) return;
    s.sign = sign;
    s.b = b;
    s.soft = std::isfinite(weight1);
    s.l1 = weight1;
    s.l2 = weight2;
    const double c = sign * (value - b);
    ++products_;
    if (!s.soft) {
      s.t = std::max(std::abs(c), kLeastDistance);
      s.z = mu0 / s.t;
      return;
    }
    // A soft side can start on the central path: t z = e w = mu0, z + w = l1 and c + e = t hold at once.
    const double reach = weight1 * c, root = std::hypot(reach, 2 * mu0);
    const double sum = 2 * mu0 + std::abs(reach) + root;
    const double wide = sum / (2 * weight1), narrow = 2 * mu0 * (2 * mu0 + root) / (weight1 * sum);
    s.t = c >= 0 ? wide : narrow;
    s.e = c >= 0 ? narrow : wide;
    s.z = mu0 / s.t;
    s.w = mu0 / s.e;
    ++products_;
  };
  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    const bool free = !fixed_[at];
    open(j, x[at], 1, free ? lower[at] : kMissing, HUGE_VAL, 0);
    open(n + j, x[at], -1, free ? upper[at] : kMissing, HUGE_VAL, 0);
  }
  for (Index i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const bool elastic = mode == Mode::elastic;
    equality_[at] = !elastic && !std::isfinite(l1[at]) && row_upper[at] - row_lower[at] <= kEqual;
    eq_y_[at] = eq_r_[at] = 0;
    // In elastic mode only hard rows count, each with weight 1.
    const bool out = equality_[at] || (elastic && std::isfinite(l1[at]));
    const double weight = elastic ? 1 : l1[at];
    open(2 * n + i, value_[at], 1, out ? kMissing : row_lower[at], weight, elastic ? 0 : l2[at]);
    open(2 * n + m + i, value_[at], -1, out ? kMissing : row_upper[at], weight, elastic ? 0 : l2[at]);
  }
}

void InteriorPoint::evaluate() {
  const ConstView h(hessian.data(), n, n);
  row_values(value_.data(), x.data());
  double size_dual = 1, size_primal = 1;
  if (mode_ == Mode::solve) {
    dense::multiply(rd_.data(), h, x.data());
    for (Index j = 0; j < n; ++j) rd_[static_cast<std::size_t>(j)] += gradient[static_cast<std::size_t>(j)];
  } else {
    for (Index j = 0; j < n; ++j) rd_[static_cast<std::size_t>(j)] = 1e-7 * x[static_cast<std::size_t>(j)];
  }
  for (Index i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    eq_r_[at] = equality_[at] ? value_[at] - row_lower[at] : 0;
    push_[at] = eq_y_[at];
    size_primal = std::max(size_primal, std::abs(value_[at]));
  }
  mu_ = 0;
  primal_ = 0;
  double slack_dual = 0;
  for_sides([&](Index k, Side& s) {
    s.rp = s.sign * (side_dot(k, x.data(), value_.data()) - s.b) + s.e - s.t;
    s.re = s.soft ? s.z + s.w - s.l1 - s.l2 * s.e : 0;
    mu_ += s.t * s.z + s.e * s.w;
    primal_ = std::max(primal_, std::abs(s.rp));
    slack_dual = std::max(slack_dual, std::abs(s.re) / (1 + s.z + s.w));
    if (k < 2 * n)
      rd_[static_cast<std::size_t>(k % n)] -= s.sign * s.z;
    else
      push_[static_cast<std::size_t>((k - 2 * n) % m)] -= s.sign * s.z;
  });
  if (products_ > 0) mu_ /= products_;
  add_rows(rd_.data(), push_.data());
  for (Index i = 0; i < m; ++i) {
    primal_ = std::max(primal_, std::abs(eq_r_[static_cast<std::size_t>(i)]));
    size_dual = std::max(size_dual, std::abs(push_[static_cast<std::size_t>(i)]));
  }
  dual_ = 0;
  for (Index j = 0; j < n; ++j)
    if (!fixed_[static_cast<std::size_t>(j)])
      dual_ = std::max(dual_, std::abs(rd_[static_cast<std::size_t>(j)]));
  primal_ /= size_primal;
  dual_ = std::max(dual_ / size_dual, slack_dual);
}

bool InteriorPoint::factorise() {
  for (Index i = 0; i < m; ++i)
    weight_[static_cast<std::size_t>(i)] = equality_[static_cast<std::size_t>(i)] ? 1 / kDelta : 0;
  View k(factor_.data(), n, n);
  for (int attempt = 0; attempt < 6; ++attempt, rho_ *= 100) {
    if (mode_ == Mode::solve)
      std::copy_n(hessian.begin(), n * n, factor_.begin());
    else
      std::fill_n(factor_.begin(), n * n, 0.0);
    for (Index j = 0; j < n; ++j) k(j, j) += rho_ + (mode_ == Mode::solve ? 0 : 1e-7);
    for_sides([&](Index side, Side& s) {
      if (attempt == 0) s.d = 1 / (s.t / s.z + (s.soft ? s.e / (s.w + s.l2 * s.e) : 0));
      if (side < 2 * n)
        k(side % n, side % n) += s.d;
      else if (attempt == 0)
        weight_[static_cast<std::size_t>((side - 2 * n) % m)] += s.d;
    });
    for (std::size_t begin = 0, e = 0; e < entries_.size(); ++e) {  // pairs of one row, columns rising
      if (entries_[e].row != entries_[begin].row) begin = e;
      const double weighted = weight_[static_cast<std::size_t>(entries_[e].row)] * entries_[e].value;
      for (std::size_t f = begin; f <= e; ++f)
        k(entries_[e].column, entries_[f].column) += weighted * entries_[f].value;
    }
    for (std::size_t i = 0; i < full_.size(); ++i)
      full_weight_[i] = weight_[static_cast<std::size_t>(full_[i])];
    dense::add_squares(k, ConstView(full_rows_.data(), static_cast<Index>(full_.size()), n),
                       full_weight_.data(), work_.data());
    for (Index j = 0; j < n; ++j) {
      if (!fixed_[static_cast<std::size_t>(j)]) continue;
      for (Index i = 0; i < n; ++i) (i < j ? k(j, i) : k(i, j)) = 0;
      k(j, j) = 1;
    }
    if (dense::cholesky(k, work_.data())) return true;
  }
  return false;
}

void InteriorPoint::refine() {
  // Residual of (H + rho I + A'DA) dx = rhs without the matrix that the factor has overwritten.
  const ConstView h(hessian.data(), n, n);
  if (mode_ == Mode::solve)
    dense::multiply(rest_.data(), h, dx_.data());
  else
    for (Index j = 0; j < n; ++j)
      rest_[static_cast<std::size_t>(j)] = 1e-7 * dx_[static_cast<std::size_t>(j)];
  row_values(dvalue_.data(), dx_.data());
  for (Index i = 0; i < m; ++i) dvalue_[static_cast<std::size_t>(i)] *= weight_[static_cast<std::size_t>(i)];
  add_rows(rest_.data(), dvalue_.data());
  for_sides([&](Index k, Side& s) {
    if (k < 2 * n) rest_[static_cast<std::size_t>(k % n)] += s.d * dx_[static_cast<std::size_t>(k % n)];
  });
  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::size_t>(j);
    rest_[at] = fixed_[at] ? 0 : rhs_[at] - rest_[at] - rho_ * dx_[at];
  }
  dense::cholesky_solve(rest_.data(), ConstView(factor_.data(), n, n));
  for (Index j = 0; j < n; ++j) dx_[static_cast<std::size_t>(j)] += rest_[static_cast<std::size_t>(j)];
}

void InteriorPoint::direction() {
  for (Index j = 0; j < n; ++j) rhs_[static_cast<std::size_t>(j)] = -rd_[static_cast<std::size_t>(j)];
  for (Index i = 0; i < m; ++i)
    push_[static_cast<std::size_t>(i)] = -eq_r_[static_cast<std::size_t>(i)] / kDelta;
  for_sides([&](Index k, Side& s) {
    s.q = -s.rp + s.rtz / s.z;
    if (s.soft) s.q -= (s.e * s.re + s.rew) / (s.w + s.l2 * s.e);
    if (k < 2 * n)
      rhs_[static_cast<std::size_t>(k % n)] += s.sign * s.d * s.q;
    else
      push_[static_cast<std::size_t>((k - 2 * n) % m)] += s.sign * s.d * s.q;
  });
  add_rows(rhs_.data(), push_.data());
  for (Index j = 0; j < n; ++j)
    if (fixed_[static_cast<std::size_t>(j)]) rhs_[static_cast<std::size_t>(j)] = 0;
  std::copy_n(rhs_.begin(), n, dx_.begin());
  dense::cholesky_solve(dx_.data(), ConstView(factor_.data(), n, n));
  refine();
  row_values(dvalue_.data(), dx_.data());
  for_sides([&](Index k, Side& s) {
    s.dz = s.d * (s.q - s.sign * side_dot(k, dx_.data(), dvalue_.data()));
    s.dt = (s.rtz - s.t * s.dz) / s.z;
    if (!s.soft) return;
    s.de = (s.e * (s.dz + s.re) + s.rew) / (s.w + s.l2 * s.e);
    s.dw = (s.rew - s.w * s.de) / s.e;
  });
}

double InteriorPoint::longest_step() const {
  double alpha = 1;
  const auto limit = [&](double v, double dv) {
    if (dv < 0) alpha = std::min(alpha, -v / dv);
  };
  for (Index k = 0; k < 2 * n + 2 * m; ++k) {
    const Side& s = sides_[static_cast<std::size_t>(k)];
    if (!s.active) continue;
    limit(s.t, s.dt);
    limit(s.z, s.dz);
    if (!s.soft) continue;
    limit(s.e, s.de);
    limit(s.w, s.dw);
  }
  return alpha;
}

void InteriorPoint::multipliers() {
  for (Index i = 0; i < m; ++i) y[static_cast<std::size_t>(i)] = eq_y_[static_cast<std::size_t>(i)];
  for (Index j = 0; j < n; ++j)
    z[static_cast<std::size_t>(j)] =
        fixed_[static_cast<std::size_t>(j)] ? -rd_[static_cast<std::size_t>(j)] : 0;
  for_sides([&](Index k, Side& s) {
    double& net =
        k < 2 * n ? z[static_cast<std::size_t>(k % n)] : y[static_cast<std::size_t>((k - 2 * n) % m)];
    net -= s.sign * s.z;
  });
}

InteriorPoint::End InteriorPoint::run(Mode mode, int max_iterations, const std::function<bool()>& accept,
                                      const std::function<bool()>* stop) {
  start(mode);
  int short_steps = 0;
  for (iterations_ = 0;; ++iterations_) {
    evaluate();
    if (!std::isfinite(mu_) || !std::isfinite(primal_) || !std::isfinite(dual_)) return End::numeric;
    multipliers();
    // Small here may not be small in the caller's units, and rounding grows as mu falls: every iterate near
    // the end is offered.
    if (scaled_residual() <= kWorthAsking && accept()) return End::converged;
    if (iterations_ >= max_iterations) return accept() ? End::converged : End::iterations;
    if (stop && (*stop)()) return End::stopped;
    if (short_steps >= 4 || (products_ > 0 && mu_ < kLeastUsefulMu))
      return accept() ? End::converged : End::stalled;
    if (!factorise()) return accept() ? End::converged : End::numeric;

    double target = 0;
    if (products_ > 0) {
      for_sides([&](Index, Side& s) {
        s.rtz = -s.t * s.z;
        s.rew = -s.e * s.w;
      });
      direction();
      const double alpha = longest_step();
      double after = 0;
      for_sides([&](Index, Side& s) {
        after += (s.t + alpha * s.dt) * (s.z + alpha * s.dz) + (s.e + alpha * s.de) * (s.w + alpha * s.dw);
      });
      const double ratio = after / products_ / mu_;
      target = mu_ * std::clamp(ratio * ratio * ratio, 0.0, 1.0);
      // The second-order term is right for a full step only; unweighted it can make the iteration cycle
      // (Cartis 2009), so it enters as the predictor's own step allows (Colombo & Gondzio 2008).
      const double trusted = alpha * alpha;
      for_sides([&](Index, Side& s) {
        s.rtz = target - s.t * s.z - trusted * s.dt * s.dz;
        s.rew = s.soft ? target - s.e * s.w - trusted * s.de * s.dw : 0;
      });
    }
    direction();
    const double alpha = std::min(1.0, kToBoundary * longest_step());
    short_steps = alpha < 1e-6 ? short_steps + 1 : 0;
    for (Index j = 0; j < n; ++j) x[static_cast<std::size_t>(j)] += alpha * dx_[static_cast<std::size_t>(j)];
    for (Index i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (equality_[at]) eq_y_[at] += alpha * (dvalue_[at] + eq_r_[at]) / kDelta;
    }
    for_sides([&](Index, Side& s) {
      s.t += alpha * s.dt;
      s.z += alpha * s.dz;
      s.e += alpha * s.de;
      s.w += alpha * s.dw;
    });
  }
}

}  // namespace emisopt::detail
