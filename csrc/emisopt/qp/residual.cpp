// The independent check of a QP answer, written from the optimality conditions alone.
#include <algorithm>
#include <cmath>
#include <limits>

#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/entries.hpp"
#include "emisopt/qp/qp.hpp"
#include "emisopt/qp/residual_side.hpp"

namespace emisopt {
namespace {

using detail::CheckedSide;
using detail::next_entry;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kLittle = 1e-4;      // of what is enough: not worth a sharper bound
constexpr double kNegligible = 1e-3;  // share of the objective below which a force counts as that share

double at(std::span<const double> v, Index i, double absent) {
  return v.empty() ? absent : v[static_cast<std::size_t>(i)];
}

// An equality's largest term says how large the free variables that it determines might have been: states
// that stand still because forces cancel are judged by the forces. size (n) is raised to that; returns the
// largest energy that belongs to one of them.
double sizes_of_equalities(const QpProblem& p, std::span<const double> x, double* size) {
  double energy = 0;
  const Index n = p.hessian.rows;
  for (Index j = 0; j < n; ++j) size[j] = 0;
  for (Index i = 0; i < p.rows.rows; ++i) {
    const double b = p.row_upper[static_cast<std::size_t>(i)];
    if (b != p.row_lower[static_cast<std::size_t>(i)] || at(p.l1, i, kInf) < kInf) continue;
    const double* a = p.rows.row(i);
    double largest = 0, term = std::abs(b);
    for (Index j = next_entry(a, 0, n); j < n; j = next_entry(a, j + 1, n)) {
      largest = std::max(largest, std::abs(a[j]));
      term = std::max(term, std::abs(a[j] * x[static_cast<std::size_t>(j)]));
    }
    for (Index j = next_entry(a, 0, n); j < n; j = next_entry(a, j + 1, n)) {
      if (!(std::abs(a[j]) > 0.5 * largest) || at(p.lower, j, -kInf) > -kInf || at(p.upper, j, kInf) < kInf)
        continue;
      size[j] = std::max(size[j], term / std::abs(a[j]));
      energy = std::max(energy, 0.5 * p.hessian(j, j) * size[j] * size[j]);
    }
  }
  return energy;
}

// A Newton step that no box limits may be absurd: it counts where nothing else does, or up to tenfold.
double together(double known, double unlimited) {
  return known > 0 ? std::max(known, std::min(unlimited, 10 * known)) : unlimited;
}

// The sizes that residuals are judged against, so that neither units nor a solution at 0 matter. Energies are
// in the objective's unit, which all variables share: they keep one ill-scaled variable from blowing up the
// yardstick, and with it the tolerance.
class Sizes {
 public:
  /// memory (2 n)
  Sizes(const QpProblem& p, std::span<const double> x, std::span<double> memory)
      : p_(p), x_(x), known_(memory.data()), determined_(memory.data() + x.size()) {
    const double equalities = sizes_of_equalities(p, x, determined_);
    // What the terms of the objective amount to at x, and what a Newton step along one variable alone, within
    // its box, would amount to. Without a box that step may be absurd: of those the geometric mean counts.
    double terms = 0, boxed = 0, logs = 0;
    int open = 0;
    for (Index j = 0; j < p.hessian.rows; ++j) {
      const double g = std::abs(p.gradient[static_cast<std::size_t>(j)]);
      double curvature = 0;  // the sum, not the sum of sizes: along a null direction of H they may be huge
      for (Index k = 0; k < p.hessian.rows; ++k)
        curvature += p.hessian(j, k) * x[static_cast<std::size_t>(k)];
      terms += (g + 0.5 * std::abs(curvature)) * std::abs(x[static_cast<std::size_t>(j)]);
      const double step = std::min(box(j), p.hessian(j, j) > 0 ? g / p.hessian(j, j) : kInf);
      if (std::isfinite(box(j))) {
        boxed = std::max(boxed, g * step);
      } else if (g * step > 0 && std::isfinite(step)) {
        logs += std::log(g * step);
        ++open;
      }
    }
    energy_ = together(std::max({terms, boxed, equalities}), open ? std::exp(logs / open) : 0);
    for (std::size_t j = 0; j < x.size(); ++j) known_[j] = compute(static_cast<Index>(j));
  }
  double energy() const { return energy_; }
  /// The size that variable j may be expected to have: by this value, or by its Newton step as far as the box
  /// and the energy allow it.
  double of(Index j) const { return known_[j]; }
  /// Sum of |H_jk| times the size of x_k.
  double curvature(Index j) const {
    double sum = 0;
    for (Index k = 0; k < p_.hessian.rows; ++k) sum += std::abs(p_.hessian(j, k)) * of(k);
    return sum;
  }

 private:
  double compute(Index j) const {
    const double g = std::abs(p_.gradient[static_cast<std::size_t>(j)]), h = p_.hessian(j, j);
    double step = std::min(box(j), h > 0 ? std::max(g / h, std::sqrt(energy_ / h)) : kInf);
    if (g > 0) step = std::min(step, energy_ / g);
    const double size =
        std::max({std::abs(x_[static_cast<std::size_t>(j)]), std::isfinite(step) ? step : 0, determined_[j]});
    return size > 0 ? size : 1;
  }
  double box(Index j) const {
    return std::max(std::abs(at(p_.lower, j, -kInf)), std::abs(at(p_.upper, j, kInf)));
  }
  const QpProblem& p_;
  std::span<const double> x_;
  double energy_ = 0;
  double *known_, *determined_;
};

// A row without entries has no size but its bounds', and 0 <= -1e-17 is meant to hold: the largest bound of
// all rows counts.
double size_of_empty_row(const QpProblem& p) {
  double size = 0;
  for (const auto& bounds : {p.row_lower, p.row_upper})
    for (double b : bounds)
      if (std::abs(b) < kInf) size = std::max(size, std::abs(b));
  return size > 0 ? size : 1;
}

// force (n) += y a, part (n) += |y a|; a NaN in y passes.
void add_row(double* force, double* part, const double* a, double y, Index n) {
  if (y == 0) return;
  for (Index j = 0; j < n; ++j) {
    const double term = a[j] * y;
    force[j] += term;
    part[j] += std::abs(term);
  }
}

// As qp.hpp defines it.
QpResidual exact(const QpProblem& p, std::span<const double> x, std::span<const double> y,
                 std::span<const double> z, std::span<double> memory) {
  const Index n = p.hessian.rows, m = p.rows.rows;
  QpResidual r;
  const auto nn = static_cast<std::size_t>(n);
  std::vector<double> own;
  if (memory.size() < 4 * nn) {
    own.resize(4 * nn);
    memory = own;
  }
  const Sizes sizes(p, x, memory.subspan(0, 2 * nn));
  double *forces = memory.data() + 2 * n, *parts = forces + n;
  for (Index j = 0; j < n; ++j) {
    double product = 0;
    for (Index k = 0; k < n; ++k) product += p.hessian(j, k) * x[static_cast<std::size_t>(k)];
    forces[j] = product + p.gradient[static_cast<std::size_t>(j)] + z[static_cast<std::size_t>(j)];
    parts[j] = std::abs(product);
  }
  double energy = sizes.energy();
  const double floor = energy > 0 ? energy : 1;
  double gap = 0;
  bool nan = false;

  for (Index i = 0; i < m; ++i) {
    double value = 0, size = 0;
    for (Index j = 0; j < n; ++j) {
      const double a = p.rows(i, j);
      value += a * x[static_cast<std::size_t>(j)];
      size += std::abs(a) * sizes.of(j);
    }
    add_row(forces, parts, p.rows.row(i), y[static_cast<std::size_t>(i)], n);
    const double low = p.row_lower[static_cast<std::size_t>(i)],
                 high = p.row_upper[static_cast<std::size_t>(i)];
    const double l1 = at(p.l1, i, kInf), l2 = at(p.l2, i, 0);
    const double yi = y[static_cast<std::size_t>(i)];
    const CheckedSide below{std::max(0.0, -yi), value - low, l1, l2},
        above{std::max(0.0, yi), high - value, l1, l2};
    if (size == 0) size = size_of_empty_row(p);
    if (std::isfinite(low)) size = std::max(size, std::abs(low));
    if (std::isfinite(high)) size = std::max(size, std::abs(high));
    for (const CheckedSide& side : {below, above}) {
      // A violated soft row may be read as slack that costs, or as a row that holds up to rounding; the
      // answer stands if it stands either way. Without the second, rounding times a huge weight would decide.
      const double relative = side.violation() / size, paid = side.penalty_gap() / floor;
      if (!side.soft() || relative < paid)
        r.primal = std::max(r.primal, relative);
      else
        gap += side.penalty_gap();
      gap += side.room_gap();
      if (side.soft()) energy += (side.l1 + 0.5 * side.l2 * side.violation()) * side.violation();
      r.dual = std::max(r.dual, side.excess());
    }
  }
  if (energy == 0) energy = 1;
  const double negligible = kNegligible * energy;

  for (Index j = 0; j < n; ++j) {
    const double xj = x[static_cast<std::size_t>(j)], zj = z[static_cast<std::size_t>(j)];
    const double gj = p.gradient[static_cast<std::size_t>(j)];
    const double force = forces[j];
    // The last term: a variable on which nearly nothing acts is judged by what it could still gain.
    const double reach = sizes.of(j);
    const double size =
        std::max({std::abs(gj), sizes.curvature(j), parts[j], std::abs(zj), negligible / reach});
    r.dual = std::max(r.dual, std::abs(force) / size);
    nan |= std::isnan(force);

    const double low = at(p.lower, j, -kInf), high = at(p.upper, j, kInf);
    for (const CheckedSide& side : {CheckedSide{std::max(0.0, -zj), xj - low, kInf, 0},
                                    CheckedSide{std::max(0.0, zj), high - xj, kInf, 0}}) {
      r.primal = std::max(r.primal, side.violation() / reach);
      gap += side.room_gap();
      r.dual = std::max(r.dual, side.excess());
    }
  }
  r.complementarity = gap / energy;
  // std::max drops a NaN; every NaN in x, y or z reaches some component of the force.
  if (nan) r.dual = kMissing;
  return r;
}

// An upper bound of exact() from products with H and the rows alone: every size is replaced by a smaller one,
// by the cheapest first and only where that says more than `little` by one that costs more.
QpResidual quick(const QpProblem& p, std::span<const double> x, std::span<const double> y,
                 std::span<const double> z, std::span<double> memory, double little) {
  const Index n = p.hessian.rows, m = p.rows.rows;
  double *force = memory.data(), *curvature = force + n, *determined = curvature + n, *value = determined + n;
  dense::multiply(curvature, p.hessian, x.data());
  dense::multiply(value, p.rows, x.data());

  const auto box = [&](Index j) {
    return std::max(std::abs(at(p.lower, j, -kInf)), std::abs(at(p.upper, j, kInf)));
  };
  double energy = sizes_of_equalities(p, x, determined);
  for (Index j = 0; j < n; ++j) {
    const auto k = static_cast<std::size_t>(j);
    const double g = std::abs(p.gradient[k]), h = p.hessian(j, j), side = box(j);
    force[j] = (g + 0.5 * std::abs(curvature[j])) * std::abs(x[k]);
    if (side < kInf) energy = std::max(energy, g * std::min(side, h > 0 ? g / h : kInf));
  }
  double terms = 0;
  for (Index j = 0; j < n; ++j) terms += force[j];
  energy = std::max(energy, terms);  // of a Newton step without a box, which may count too: nothing
  const double negligible =
      kNegligible * energy;  // over reach it rises with the energy, so this is below exact()'s
  const double floor = energy > 0 ? energy : 1;
  const auto reach = [&, energy](Index j) {
    const auto k = static_cast<std::size_t>(j);
    const double g = std::abs(p.gradient[k]), h = p.hessian(j, j);
    double step = std::min(box(j), h > 0 ? std::max(g / h, std::sqrt(energy / h)) : kInf);
    if (g > 0) step = std::min(step, energy / g);
    const double size = std::max({std::abs(x[k]), step < kInf ? step : 0, determined[j]});
    return size > 0 ? size : 1;
  };

  QpResidual r;
  double gap = 0;
  bool nan = false;
  for (Index i = 0; i < m; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const double low = p.row_lower[k], high = p.row_upper[k];
    const double below = low - value[i], above = value[i] - high;
    nan |= !(std::abs(value[i]) < kInf);
    if (y[k] == 0 && below <= 0 && above <= 0) continue;
    const double l1 = at(p.l1, i, kInf), l2 = at(p.l2, i, 0);
    const CheckedSide sides[] = {{std::max(0.0, -y[k]), -below, l1, l2},
                                 {std::max(0.0, y[k]), -above, l1, l2}};
    for (const CheckedSide& side : sides) {
      double relative = side.violation();
      if (relative > 0) {
        double size = std::abs(value[i]);
        for (double b : {low, high})
          if (std::abs(b) < kInf) size = std::max(size, std::abs(b));
        if (!(relative <= little * size)) {
          double terms_of_row = 0;
          for (Index j = 0; j < n; ++j)
            if (p.rows(i, j) != 0) terms_of_row += std::abs(p.rows(i, j)) * reach(j);
          size = std::max(size, terms_of_row == 0 ? size_of_empty_row(p) : terms_of_row);
        }
        relative /= size;
      }
      if (!side.soft() || relative < side.penalty_gap() / floor)
        r.primal = std::max(r.primal, relative);
      else
        gap += side.penalty_gap();
      gap += side.room_gap();
      if (side.soft()) energy += (side.l1 + 0.5 * side.l2 * side.violation()) * side.violation();
      r.dual = std::max(r.dual, side.excess());
    }
  }

  for (Index j = 0; j < n; ++j) {
    const auto k = static_cast<std::size_t>(j);
    force[j] = curvature[j] + p.gradient[k] + z[k];
  }
  for (Index i = 0, end; i < m; i = end + 1) {  // rows that push, neighbours together
    for (end = i; end < m && y[static_cast<std::size_t>(end)] != 0;) ++end;
    if (end > i) dense::add_transposed(force, {p.rows.row(i), end - i, n, p.rows.stride}, y.data() + i);
  }
  for (Index j = 0; j < n; ++j) {
    const auto k = static_cast<std::size_t>(j);
    double size = std::max({std::abs(p.gradient[k]), 0.5 * std::abs(curvature[j]), std::abs(z[k])});
    const double off = std::abs(force[j]);
    nan |= !(off < kInf);
    if (off > 0) {
      if (!(off <= little * size)) size = std::max(size, negligible / reach(j));
      r.dual = std::max(r.dual, size > 0 ? off / size : kInf);
    }
    const double low = at(p.lower, j, -kInf), high = at(p.upper, j, kInf);
    if (z[k] == 0 && x[k] >= low && x[k] <= high) continue;
    const CheckedSide sides[] = {{std::max(0.0, -z[k]), x[k] - low, kInf, 0},
                                 {std::max(0.0, z[k]), high - x[k], kInf, 0}};
    for (const CheckedSide& side : sides) {
      if (side.violation() > 0) r.primal = std::max(r.primal, side.violation() / reach(j));
      gap += side.room_gap();
      r.dual = std::max(r.dual, side.excess());
    }
  }
  r.complementarity = gap / (energy > 0 ? energy : 1);
  if (nan) r.dual = kMissing;
  return r;
}

}  // namespace

double QpResidual::worst() const {
  const double largest = std::max({primal, dual, complementarity});
  return std::isnan(primal) || std::isnan(dual) || std::isnan(complementarity) ? kInf : largest;
}

QpResidual qp_residual(const QpProblem& p, std::span<const double> x, std::span<const double> y,
                       std::span<const double> z, std::span<double> memory, double enough, double hopeless) {
  if (memory.size() >= qp_residual_memory(p.hessian.rows, p.rows.rows)) {
    const QpResidual bound = quick(p, x, y, z, memory, kLittle * enough);
    if (bound.worst() <= enough || bound.worst() >= hopeless) return bound;
  }
  return exact(p, x, y, z, memory);
}

}  // namespace emisopt
